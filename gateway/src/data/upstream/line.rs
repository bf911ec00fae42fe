//! How many requests are under way to a service's servers, and the line of those that wait.
//!
//! Who waits longest comes first. **Never here:** a line without an end, or a wait without one.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::base::config::Load;

/// The places of a service, over all cores.
#[derive(Debug)]
pub(super) struct Line {
    /// Whoever takes one has it until [`Line::leave`].
    places: Semaphore,
    most_waiting: usize,
    wait: Duration,
    waiting: AtomicUsize,
}

/// No place in time.
#[derive(Debug)]
pub(super) struct Full;

impl Line {
    pub fn new(load: &Load) -> Self {
        Self {
            places: Semaphore::new(load.requests),
            most_waiting: load.waiting,
            wait: load.wait,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Takes a place, to be given back with [`Line::leave`]; whether there was one at once. A place
    /// that is given back while someone waits is his, so there is none then.
    pub fn try_enter(&self) -> bool {
        let place = self.places.try_acquire();
        place.is_ok_and(|place| {
            place.forget();
            true
        })
    }

    /// Waits for a place, to be given back with [`Line::leave`].
    ///
    /// Fails at once where too many wait, after the configured time, and at the deadline.
    pub async fn enter(&self, deadline: Instant) -> Result<(), Full> {
        let _waiting = Waiting::join(&self.waiting, self.most_waiting)?;
        let until = deadline.min(Instant::now() + self.wait);
        match timeout_at(until, self.places.acquire()).await {
            Ok(Ok(place)) => {
                place.forget();
                Ok(())
            }
            _ => Err(Full),
        }
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.places.add_permits(1);
    }
}

/// Someone in the line, until it is dropped.
struct Waiting<'l>(&'l AtomicUsize);

impl<'l> Waiting<'l> {
    fn join(waiting: &'l AtomicUsize, most: usize) -> Result<Self, Full> {
        let joined = Self(waiting);
        if waiting.fetch_add(1, SeqCst) < most {
            Ok(joined)
        } else {
            Err(Full)
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Poll};

    use super::*;

    fn line(wait: Duration) -> Line {
        Line::new(&Load {
            requests: 1,
            waiting: 2,
            wait,
        })
    }

    async fn poll(waits: std::pin::Pin<&mut impl Future<Output = Result<(), Full>>>) -> bool {
        let mut waits = Some(waits);
        std::future::poll_fn(move |cx| {
            let polled = waits.take().map(|waits| waits.poll(cx));
            Poll::Ready(matches!(polled, Some(Poll::Ready(Ok(())))))
        })
        .await
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_is_the_one_of_who_waits_longest() {
        let line = line(Duration::from_secs(10));
        let late = Instant::now() + Duration::from_secs(20);
        assert!(line.try_enter() && !line.try_enter());
        let (mut first, mut second) = (pin!(line.enter(late)), pin!(line.enter(late)));
        assert!(!poll(first.as_mut()).await && !poll(second.as_mut()).await);
        assert!(line.enter(late).await.is_err(), "a third in the line");
        line.leave();
        // it was given back, and nobody who came later has it
        assert!(!line.try_enter());
        assert!(!poll(second.as_mut()).await);
        assert!(poll(first.as_mut()).await);
        line.leave();
        assert!(poll(second.as_mut()).await);
        line.leave();
        assert!(line.try_enter() && !line.try_enter());
    }

    #[tokio::test]
    async fn who_gives_up_takes_no_place_with_him() {
        let line = line(Duration::from_secs(10));
        let late = Instant::now() + Duration::from_secs(20);
        assert!(line.try_enter());
        {
            let mut leaves = pin!(line.enter(late));
            assert!(!poll(leaves.as_mut()).await);
            // his already, but he leaves without knowing
            line.leave();
        }
        assert!(line.try_enter());
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(line.enter(soon).await.is_err(), "a wait over its deadline");
        line.leave();
        assert!(line.try_enter());
    }
}
