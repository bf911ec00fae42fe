//! What is known of a server: whether checks find it down, and whether callers' requests failed on
//! it so often that it is left alone for a while.
//!
//! Times are counted from a moment that the caller keeps. **Never here:** a lock on the way of a
//! request that succeeds.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::base::config::Ejection;

/// Of one server. Shared by the cores.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Requests under way.
    pub busy: AtomicUsize,
    /// Checks find it down.
    down: AtomicBool,
    /// Requests that failed in a row.
    failures: AtomicU32,
    /// Milliseconds; 0: never ejected.
    ejected_until: AtomicU64,
    history: Mutex<History>,
}

/// How often in a row it was ejected.
#[derive(Debug, Default)]
struct History {
    times: u32,
}

impl Standing {
    /// Whether requests may go there while others do.
    pub fn is_usable(&self, now: Duration) -> bool {
        !self.is_down() && !self.is_ejected(now)
    }

    /// Whether checks find it down.
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Says what checks find; whether that is new.
    pub fn set_down(&self, down: bool) -> bool {
        self.down.swap(down, Relaxed) != down
    }

    /// Whether it is left alone.
    pub fn is_ejected(&self, now: Duration) -> bool {
        let until = self.ejected_until.load(Relaxed);
        until != 0 && millis(now) < until
    }

    /// A request was answered.
    pub fn succeeded(&self) {
        // most of the time there is nothing to forget, and nothing is written
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// A request failed; whether that makes enough in a row.
    pub fn failed(&self, policy: &Ejection) -> bool {
        self.failures.fetch_add(1, Relaxed) + 1 >= policy.after
    }

    /// Leaves it alone from now on, twice as long as the last time where that isn't long ago.
    pub fn eject(&self, now: Duration, policy: &Ejection) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.ejected_until.load(Relaxed);
        let since = now.saturating_sub(Duration::from_millis(last));
        let forgotten = last == 0 || since >= policy.longest;
        history.times = if forgotten { 0 } else { history.times + 1 };
        let doubled = policy.first.saturating_mul(1 << history.times.min(20));
        let until = now + doubled.min(policy.longest);
        self.ejected_until.store(millis(until).max(1), Relaxed);
        self.failures.store(0, Relaxed);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_left_alone_for_longer_each_time_up_to_a_cap() {
        let policy = Ejection {
            after: 2,
            first: Duration::from_secs(10),
            longest: Duration::from_secs(35),
        };
        let standing = Standing::default();
        let at = Duration::from_secs;
        assert!(standing.is_usable(at(0)));
        assert!(!standing.failed(&policy));
        standing.succeeded();
        assert!(!standing.failed(&policy) && standing.failed(&policy));
        let mut now = at(1);
        // a first time so early must count as one, though nothing was long ago
        for (lasts, rest) in [(10, 1), (20, 1), (35, 1), (35, 35), (10, 0)] {
            standing.eject(now, &policy);
            assert!(standing.is_ejected(now + at(lasts) - Duration::from_millis(1)));
            assert!(standing.is_usable(now + at(lasts)), "{lasts}");
            now += at(lasts + rest);
        }
        assert!(standing.set_down(true) && !standing.set_down(true));
        assert!(!standing.is_usable(now));
        assert!(standing.set_down(false) && standing.is_usable(now));
    }
}
