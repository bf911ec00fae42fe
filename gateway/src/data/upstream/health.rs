//! Questions that the gateway asks each server by itself, to know whether it is up.
//!
//! In: `[service.health]`. Out: the standing of each server, a figure, a line in the log when it
//! changes. It runs beside the data cores, on connections of its own. **Never here:** an answer
//! that anybody sees.

use std::sync::{Arc, Weak, atomic::Ordering};

use prometheus::IntGauge;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout_at},
};

use super::{Ask, Fault, Target, connect::connect, server::Server};
use crate::base::{config::HealthChecks, metrics::Metrics};

/// More of an answer isn't waited for.
const BODY_BYTES: usize = 16 << 20;

/// Begins to ask the servers of a service, where that is configured. It ends when nothing else
/// holds the target any more. Asked again, it does nothing more.
pub fn watch(target: &Arc<Target>, metrics: &Metrics, on: &Handle) {
    if target.watched.swap(true, Ordering::Relaxed) {
        return;
    }
    let healthy = metrics.upstream_healthy(&target.name, target.servers.len());
    for (at, healthy) in healthy.into_iter().enumerate() {
        healthy.set(1);
        if target.checks.is_some() {
            on.spawn(ask_again_and_again(Arc::downgrade(target), at, healthy));
        }
    }
}

async fn ask_again_and_again(target: Weak<Target>, at: usize, healthy: IntGauge) {
    let (mut well, mut ill) = (0, 0);
    loop {
        let every = {
            let Some(target) = target.upgrade() else {
                return;
            };
            let (Some(checks), Some(server)) = (&target.checks, target.servers.get(at)) else {
                return;
            };
            if is_well(server, checks).await {
                (well, ill) = (well + 1, 0);
            } else {
                (well, ill) = (0, ill + 1);
            }
            let standing = &server.standing;
            if ill >= checks.unhealthy_after && standing.set_down(true) {
                healthy.set(0);
                tracing::warn!(
                    service = &*target.name,
                    upstream = at,
                    "an upstream is down"
                );
            }
            if well >= checks.healthy_after && standing.set_down(false) {
                healthy.set(1);
                tracing::info!(service = &*target.name, upstream = at, "an upstream is up");
            }
            checks.every
        };
        sleep(every).await;
    }
}

async fn is_well(server: &Server, checks: &HealthChecks) -> bool {
    let until = Instant::now() + checks.timeout;
    let question = question(server, checks, until);
    matches!(timeout_at(until, question).await, Ok(Ok(true)))
}

async fn question(server: &Server, checks: &HealthChecks, until: Instant) -> Result<bool, Fault> {
    let ask = Ask {
        path_and_query: checks.path.clone(),
        ..Ask::default()
    };
    let mut sender = connect(server, checks.timeout, until).await?;
    let answer = sender
        .send_request(server.request(&ask)?)
        .await
        .map_err(Fault::of)?;
    let status = answer.status();
    let mut body = answer.into_body();
    let mut left = BODY_BYTES;
    while let Some(frame) =
        std::future::poll_fn(|cx| http_body::Body::poll_frame(std::pin::Pin::new(&mut body), cx))
            .await
    {
        let frame = frame.map_err(Fault::of)?;
        let length = frame.data_ref().map_or(0, bytes::Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    Ok(status.is_success())
}
