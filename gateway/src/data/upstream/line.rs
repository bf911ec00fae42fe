//! How many requests are under way to a service's servers, and the line of those that wait.
//!
//! Passing costs an atomic exchange and a subtraction where there is room. **Never here:** a line without an end,
//! or a wait without one.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::base::config::Load;

/// The places of a service, over all cores.
#[derive(Debug)]
pub(super) struct Line {
    most: usize,
    most_waiting: usize,
    wait: Duration,
    under_way: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

/// No place in time.
#[derive(Debug)]
pub(super) struct Full;

impl Line {
    pub fn new(load: &Load) -> Self {
        Self {
            most: load.requests,
            most_waiting: load.waiting,
            wait: load.wait,
            under_way: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        }
    }

    /// Takes a place, to be given back with [`Line::leave`]; whether there was one at once.
    pub fn try_enter(&self) -> bool {
        // who waits comes first
        self.waiting.load(SeqCst) == 0 && self.take()
    }

    /// Waits for a place, to be given back with [`Line::leave`].
    ///
    /// Fails at once where too many wait, and after the configured time.
    pub async fn enter(&self) -> Result<(), Full> {
        let _waiting = Waiting::join(&self.waiting, self.most_waiting)?;
        let until = Instant::now() + self.wait;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // from here on a place that is given back isn't missed
            freed.as_mut().enable();
            if self.take() {
                return Ok(());
            }
            if timeout_at(until, freed).await.is_err() {
                return Err(Full);
            }
        }
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.under_way.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    fn take(&self) -> bool {
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        self.under_way
            .fetch_update(SeqCst, SeqCst, one_more)
            .is_ok()
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
