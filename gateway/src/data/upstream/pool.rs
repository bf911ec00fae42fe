//! The connections of one core to one upstream.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Answer, Ask, Fault, Target,
    connect::{Sender, connect},
};
use crate::base::metrics::{Metrics, UpstreamOutcome};

/// Connections to an upstream that wait for a request. Cloning gives the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    target: Arc<Target>,
    metrics: Arc<Metrics>,
    /// The longest idle first.
    idle: Mutex<Vec<Resting>>,
}

struct Resting {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// An empty pool. Call it inside the runtime that will use it: it closes what is idle for too
    /// long, until the last clone is dropped.
    pub fn new(target: Arc<Target>, metrics: Arc<Metrics>) -> Self {
        let pool = Self(Arc::new(Inner {
            target,
            metrics,
            idle: Mutex::default(),
        }));
        tokio::spawn(sweep(Arc::downgrade(&pool.0), pool.0.target.idle / 4));
        pool
    }

    /// Asks, and waits for the head of the answer.
    ///
    /// A connection that waited may be closed by the time it is used: then a request that never
    /// left, or that is safe, is made once more on a new one. Dropping the future closes the
    /// connection.
    pub async fn send(&self, ask: &Ask) -> Result<Answer, Fault> {
        let begun = Instant::now();
        let sent = self.ask(ask).await;
        let metrics = &self.0.metrics;
        metrics.upstream(match &sent {
            Ok(_) => UpstreamOutcome::Answered,
            Err(fault) if fault.is_unreachable() => UpstreamOutcome::Unreachable,
            Err(fault) if fault.is_timeout() => UpstreamOutcome::Timeout,
            Err(_) => UpstreamOutcome::Broken,
        });
        metrics
            .upstream_seconds
            .observe(begun.elapsed().as_secs_f64());
        sent
    }

    /// Connections that wait for a request.
    pub fn idle(&self) -> usize {
        self.0.idle().len()
    }

    async fn ask(&self, ask: &Ask) -> Result<Answer, Fault> {
        let mut request = self.0.target.request(ask)?;
        if let Some(sender) = self.rested().await {
            match self.once(sender, request).await {
                Ok(answer) => return Ok(answer),
                Err(Failed {
                    unsent: Some(back), ..
                }) => request = back,
                Err(Failed {
                    fault: Fault::Closed(_),
                    ..
                }) if ask.is_safe() => {
                    request = self.0.target.request(ask)?;
                }
                Err(failed) => return Err(failed.fault),
            }
        }
        let sender = connect(&self.0.target).await?;
        self.once(sender, request)
            .await
            .map_err(|failed| failed.fault)
    }

    async fn once(
        &self,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Failed> {
        let patience = self.0.target.response;
        let sent = timeout_at(Instant::now() + patience, sender.try_send_request(request));
        match sent.await {
            Ok(Ok(response)) => self.answer(sender, response).map_err(Failed::from),
            Ok(Err(mut failed)) => Err(Failed {
                unsent: failed.take_message(),
                fault: Fault::of(failed.into_error()),
            }),
            Err(_) => Err(Fault::Timeout.into()),
        }
    }

    fn answer(&self, sender: Sender, response: Response<Incoming>) -> Result<Answer, Fault> {
        let lease = Lease {
            pool: self.0.clone(),
            sender,
        };
        Answer::new(response, lease, self.0.target.response)
    }

    /// A connection that waits and isn't known to be closed, the last used first.
    async fn rested(&self) -> Option<Sender> {
        loop {
            let Resting { mut sender, since } = self.0.idle().pop()?;
            // its task may still have the end of the last answer to note
            if since.elapsed() < self.0.target.idle && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }
}

/// A failed attempt, with the request where none of it left.
struct Failed {
    fault: Fault,
    unsent: Option<Request<Full<Bytes>>>,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            unsent: None,
        }
    }
}

/// A connection in use. It waits for another request once this is given back, and is closed where
/// it is dropped.
pub(super) struct Lease {
    pool: Arc<Inner>,
    sender: Sender,
}

impl Lease {
    /// The answer was read to its end.
    pub fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.pool.idle();
        if idle.len() < self.pool.target.most_idle {
            idle.push(Resting {
                sender: self.sender,
                since: Instant::now(),
            });
        }
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<Resting>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(pool: Weak<Inner>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        let longest = pool.target.idle;
        pool.idle()
            .retain(|resting| resting.since.elapsed() < longest && !resting.sender.is_closed());
    }
}
