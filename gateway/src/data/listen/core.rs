//! One data core: its runtime, its connections, its end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    sync::{mpsc::UnboundedReceiver, watch},
    task::{JoinSet, yield_now},
    time::{Instant, timeout_at},
};

use super::{Handler, Taken, accept::Arrival, connection};

/// What [`Handler::finish`] is given at least, however long connections took.
const FINISH: Duration = Duration::from_secs(2);
/// What it has to end what it has to give up then.
const LAST: Duration = Duration::from_millis(500);

/// Runs a core until `dealt` is closed and its connections have ended, or until the instant in
/// `stopped`.
pub(super) fn run<H: Handler>(
    runtime: Runtime,
    index: usize,
    handler: &Arc<H>,
    taken: &Taken,
    dealt: UnboundedReceiver<Arrival>,
    stopped: &watch::Receiver<Option<Instant>>,
) {
    runtime.block_on(serve(index, handler, taken, dealt, stopped));
    // a name that is being looked up holds nothing up
    runtime.shutdown_background();
}

async fn serve<H: Handler>(
    index: usize,
    handler: &Arc<H>,
    taken: &Taken,
    mut dealt: UnboundedReceiver<Arrival>,
    stopped: &watch::Receiver<Option<Instant>>,
) {
    let core = handler.core(index);
    let (quit, quitting) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        let arrival = tokio::select! {
            arrival = dealt.recv() => arrival,
            // what has ended leaves nothing behind; a panic was told by its hook
            Some(_) = connections.join_next() => continue,
        };
        let Some(arrival) = arrival else { break };
        let (shared, core) = (arrival.slot.shared(), core.clone());
        connections.spawn(connection::serve::<H>(
            shared,
            core,
            arrival,
            quitting.clone(),
        ));
    }
    quit.send_replace(true);
    let deadline = (*stopped.borrow()).unwrap_or_else(Instant::now);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout_at(deadline, ended).await.is_err() {
        taken.cut.fetch_add(connections.len(), Ordering::Relaxed);
        connections.shutdown().await;
    }
    // streams of HTTP/2 are tasks of their own, and learn now that their connection is gone
    yield_now().await;
    // what goes on without a connection has no less time than what has one
    let until = deadline.max(Instant::now() + FINISH);
    if timeout_at(until + LAST, H::finish(core, until))
        .await
        .is_err()
    {
        tracing::warn!("core {index} was not finished in time");
    }
}
