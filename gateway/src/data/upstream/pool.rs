//! The way of one core to a service's servers: a place in the line, one of the servers, once more
//! on another where that is harmless.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use prometheus::IntGauge;
use tokio::time::Instant;

use super::{
    Answer, Ask, Fault, Target,
    connections::{Connections, Failed},
    server::Server,
    standing::Standing,
};
use crate::base::metrics::{Metrics, UpstreamMetrics, UpstreamOutcome};

/// A core's connections to the servers of a service. Cloning gives the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    target: Arc<Target>,
    metrics: Arc<Metrics>,
    figures: UpstreamMetrics,
    /// By server.
    servers: Vec<Connections>,
    draws: AtomicU64,
}

impl Pool {
    /// An empty pool. Call it inside the runtime that will use it: it closes what is idle for too
    /// long, until the last clone is dropped.
    pub fn new(target: Arc<Target>, metrics: Arc<Metrics>) -> Self {
        let servers = target.servers.iter();
        let servers: Vec<_> = servers
            .map(|server| Connections::new(server.clone(), target.times))
            .collect();
        Self(Arc::new(Inner {
            figures: metrics.upstream_of(&target.name),
            target,
            metrics,
            servers,
            draws: AtomicU64::new(RandomState::new().hash_one(0)),
        }))
    }

    /// Asks, and waits for the head of the answer.
    ///
    /// Waits for a place first, and fails where there is none in time. Where a server gives no
    /// answer, the request is made once more, if nothing of it left or it is safe, and if the
    /// budget of retries allows: on another server where there are several. A 503 of one of
    /// several counts as no answer. Dropping the future closes the connection.
    pub async fn send(&self, ask: &Ask) -> Result<Answer, Fault> {
        let begun = Instant::now();
        let place = Place::take(&self.0, begun).await?;
        let sent = self.ask(ask, place, begun).await;
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
    #[cfg(test)]
    pub fn idle(&self) -> usize {
        self.0.servers.iter().map(Connections::idle).sum()
    }

    #[cfg(test)]
    pub(super) fn target(&self) -> &Arc<Target> {
        &self.0.target
    }

    #[cfg(test)]
    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    async fn ask(&self, ask: &Ask, mut place: Place, begun: Instant) -> Result<Answer, Fault> {
        let target = &self.0.target;
        let several = self.0.servers.len() > 1;
        let deadline = begun + target.times.total;
        // one more attempt, and not where the last one failed
        let (mut again, mut avoid) = (true, None);
        loop {
            let at = self.pick(begun.duration_since(target.began), avoid);
            let Some(connections) = self.0.servers.get(at) else {
                return Err(Fault::NoServer);
            };
            if several {
                place.at(at);
            }
            let tried = connections.send(ask, deadline, &mut again).await;
            self.note(&connections.server().standing, at, &tried);
            match tried {
                Ok(mut answer) => {
                    let elsewhere = several && answer.status == StatusCode::SERVICE_UNAVAILABLE;
                    if !(elsewhere && again && ask.is_safe() && self.may_retry()) {
                        answer.body.hold(place);
                        return Ok(answer);
                    }
                    answer.discard();
                }
                Err(Failed { fault, unsent }) => {
                    let harmless = match fault {
                        Fault::Closed(_) => unsent.is_some() || ask.is_safe(),
                        // nothing left; but to try the same server at once would be in vain
                        Fault::Connect(_) | Fault::Tls(_) | Fault::ConnectTimeout => several,
                        _ => false,
                    };
                    if !(harmless && again && self.may_retry()) {
                        return Err(fault);
                    }
                }
            }
            (again, avoid) = (false, several.then_some(at));
        }
    }

    fn may_retry(&self) -> bool {
        let figures = &self.0.figures;
        let may = self.0.target.budget.take();
        if may {
            figures.retries.inc();
        } else {
            figures.retries_refused.inc();
        }
        may
    }

    /// What an attempt says of its server.
    fn note(&self, standing: &Standing, at: usize, tried: &Result<Answer, Failed>) {
        let target = &self.0.target;
        let failed = match tried {
            Ok(answer) => {
                answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED
            }
            // that is the ask's fault
            Err(Failed {
                fault: Fault::Request(_),
                ..
            }) => return,
            Err(_) => true,
        };
        if !failed {
            target.budget.succeeded();
        }
        // the only one is never left alone, and needs no standing
        if self.0.servers.len() == 1 {
            return;
        }
        if !failed {
            standing.succeeded();
        } else if standing.failed(&target.ejection) && target.eject(at) {
            self.0.figures.ejections.inc();
            tracing::warn!(
                service = &*target.name,
                upstream = at,
                "left an upstream alone for a while, for too many requests failed there"
            );
        }
    }

    /// The less busy of two servers that are drawn among those that are well; among those that
    /// checks find up where none is; among all where none is.
    fn pick(&self, now: Duration, avoid: Option<usize>) -> usize {
        let servers = &self.0.target.servers;
        if servers.len() == 1 {
            return 0;
        }
        let well = |standing: &Standing| standing.is_usable(now);
        let up = |standing: &Standing| !standing.is_down();
        let any = |_: &Standing| true;
        let classes: [&dyn Fn(&Standing) -> bool; 3] = [&well, &up, &any];
        for class in classes {
            let fits = || {
                let numbered = servers.iter().enumerate();
                numbered.filter(|(at, server)| Some(*at) != avoid && class(&server.standing))
            };
            let count = fits().count();
            if count == 0 {
                continue;
            }
            let draw = self.draw() as usize;
            // the second is another than the first where there is another
            let one = draw % count;
            let other = (one + 1 + (draw >> 16) % count.saturating_sub(1).max(1)) % count;
            let drawn = [one, other].into_iter().filter_map(|n| fits().nth(n));
            let busy = |&(_, server): &(usize, &Arc<Server>)| server.standing.busy.load(Relaxed);
            if let Some((at, _)) = drawn.min_by_key(busy) {
                return at;
            }
        }
        0
    }

    /// SplitMix64: even enough to draw lots.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.draws.fetch_add(STEP, Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A request's place among those under way, until its answer was read to the end or dropped.
pub(super) struct Place {
    pool: Arc<Inner>,
    /// Where it is, if there are several.
    server: Option<usize>,
}

impl Place {
    async fn take(pool: &Arc<Inner>, begun: Instant) -> Result<Self, Fault> {
        let (line, figures) = (&pool.target.line, &pool.figures);
        if !line.try_enter() {
            let _waiting = Raised::new(&figures.waiting);
            if line.enter(begun + pool.target.times.total).await.is_err() {
                figures.refused.inc();
                return Err(Fault::Overloaded);
            }
        }
        figures.in_flight.inc();
        Ok(Self {
            pool: pool.clone(),
            server: None,
        })
    }

    fn at(&mut self, server: usize) {
        self.leave_server();
        self.server = Some(server);
        if let Some(server) = self.pool.target.servers.get(server) {
            server.standing.busy.fetch_add(1, Relaxed);
        }
    }

    fn leave_server(&mut self) {
        let left = self.server.take();
        if let Some(server) = left.and_then(|at| self.pool.target.servers.get(at)) {
            server.standing.busy.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave_server();
        self.pool.figures.in_flight.dec();
        self.pool.target.line.leave();
    }
}

/// A gauge that is one higher until this is dropped.
struct Raised<'g>(&'g IntGauge);

impl<'g> Raised<'g> {
    fn new(gauge: &'g IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
