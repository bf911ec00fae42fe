//! The connections of one core to one server.

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
    Answer, Ask, Fault,
    connect::{Sender, connect},
    server::Server,
    target::Times,
};

/// Connections to a server that wait for a request. Cloning gives the same ones.
#[derive(Clone)]
pub(super) struct Connections(Arc<Inner>);

struct Inner {
    server: Arc<Server>,
    times: Times,
    /// The longest idle first.
    idle: Mutex<Vec<Resting>>,
}

struct Resting {
    sender: Sender,
    since: Instant,
}

impl Connections {
    /// None yet. Call it inside the runtime that will use them: what is idle for too long is
    /// closed, until the last clone is dropped.
    pub fn new(server: Arc<Server>, times: Times) -> Self {
        let connections = Self(Arc::new(Inner {
            server,
            times,
            idle: Mutex::default(),
        }));
        tokio::spawn(sweep(Arc::downgrade(&connections.0), times.idle / 4));
        connections
    }

    /// The server at their other end.
    pub fn server(&self) -> &Server {
        &self.0.server
    }

    /// Connections that wait for a request.
    #[cfg(test)]
    pub fn idle(&self) -> usize {
        self.0.idle().len()
    }

    /// Asks, and waits for the head of the answer.
    ///
    /// A connection that waited may be closed by the time it is used, or hold what doesn't belong
    /// to the answer before: then a request that never
    /// left, or that is safe where it may be made `again`, is made once more on a new one.
    /// Dropping the future closes the connection.
    pub async fn send(
        &self,
        ask: &Ask,
        deadline: Instant,
        again: &mut bool,
    ) -> Result<Answer, Failed> {
        let server = self.server();
        let mut request = server.request(ask)?;
        if let Some(sender) = self.rested().await {
            match self.once(sender, request, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(Failed {
                    unsent: Some(back), ..
                }) => request = *back,
                Err(Failed {
                    // malformed: most likely what followed the answer before
                    fault: Fault::Closed(_) | Fault::Malformed(_),
                    ..
                }) if ask.is_safe() && *again => {
                    *again = false;
                    request = server.request(ask)?;
                }
                Err(failed) => return Err(failed),
            }
        }
        match connect(server, self.0.times.connect, deadline).await {
            Ok(sender) => self.once(sender, request, deadline).await,
            Err(fault) => Err(Failed {
                fault,
                unsent: Some(Box::new(request)),
            }),
        }
    }

    async fn once(
        &self,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Answer, Failed> {
        let until = deadline.min(Instant::now() + self.0.times.response);
        match timeout_at(until, sender.try_send_request(request)).await {
            Ok(Ok(response)) => self
                .answer(sender, response, deadline)
                .map_err(Failed::from),
            Ok(Err(mut failed)) => Err(Failed {
                unsent: failed.take_message().map(Box::new),
                fault: Fault::of(failed.into_error()),
            }),
            Err(_) => Err(Fault::late(deadline).into()),
        }
    }

    fn answer(
        &self,
        sender: Sender,
        response: Response<Incoming>,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        let lease = Lease {
            connections: self.0.clone(),
            sender,
        };
        Answer::new(response, lease, self.0.times.response, deadline)
    }

    /// A connection that waits and isn't known to be closed, the last used first.
    async fn rested(&self) -> Option<Sender> {
        loop {
            let Resting { mut sender, since } = self.0.idle().pop()?;
            // its task may still have the end of the last answer to note
            if since.elapsed() < self.0.times.idle && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }
}

/// A failed attempt, with the request where none of it left.
pub(super) struct Failed {
    pub fault: Fault,
    pub unsent: Option<Box<Request<Full<Bytes>>>>,
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
    connections: Arc<Inner>,
    sender: Sender,
}

impl Lease {
    /// The answer was read to its end.
    pub fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.connections.idle();
        if idle.len() < self.connections.times.most_idle {
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

async fn sweep(connections: Weak<Inner>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(connections) = connections.upgrade() else {
            return;
        };
        let longest = connections.times.idle;
        connections
            .idle()
            .retain(|resting| resting.since.elapsed() < longest && !resting.sender.is_closed());
    }
}
