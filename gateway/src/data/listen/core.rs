//! One data core: its runtime, its connections, its end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    sync::{
        mpsc::{self, UnboundedReceiver},
        watch,
    },
    time::{Instant, timeout, timeout_at},
};

use super::{Handler, Shared, accept::Arrival, connection};

/// What [`Handler::finish`] is given.
const FINISH: Duration = Duration::from_secs(2);

/// Runs a core until `dealt` is closed and its connections have ended, or until the instant in
/// `stopped`.
pub(super) fn run<H: Handler>(
    runtime: Runtime,
    index: usize,
    handler: &Arc<H>,
    shared: &Arc<Shared>,
    dealt: UnboundedReceiver<Arrival>,
    stopped: &watch::Receiver<Option<Instant>>,
) {
    runtime.block_on(serve(index, handler, shared, dealt, stopped));
    // a name that is being looked up holds nothing up
    runtime.shutdown_background();
}

async fn serve<H: Handler>(
    index: usize,
    handler: &Arc<H>,
    shared: &Arc<Shared>,
    mut dealt: UnboundedReceiver<Arrival>,
    stopped: &watch::Receiver<Option<Instant>>,
) {
    let core = handler.core(index);
    let (quit, quitting) = watch::channel(false);
    // each connection holds a sender: the channel closes when the last one has ended
    let (living, mut ended) = mpsc::channel::<()>(1);
    while let Some(arrival) = dealt.recv().await {
        let served =
            connection::serve::<H>(shared.clone(), core.clone(), arrival, quitting.clone());
        let alive = living.clone();
        tokio::spawn(async move {
            served.await;
            drop(alive);
        });
    }
    quit.send_replace(true);
    let living = living.downgrade();
    let deadline = (*stopped.borrow()).unwrap_or_else(Instant::now);
    if timeout_at(deadline, ended.recv()).await.is_err() {
        shared
            .cut
            .fetch_add(living.strong_count(), Ordering::Relaxed);
    }
    if timeout(FINISH, H::finish(core)).await.is_err() {
        tracing::warn!("core {index} was not finished in time");
    }
}
