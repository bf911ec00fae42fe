//! The keys of one issuer while the gateway runs: fetched beside the data path, swapped whole.
//!
//! One fetch at a time, and none within the cool-down of the last, whoever asks: an unknown `kid`
//! is the attacker's to choose.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::fetch::Source;
use super::keys::KeySet;
use super::settings::Timing;

pub(super) struct Keyring {
    source: Source,
    timing: Timing,
    control: Handle,
    held: ArcSwapOption<Held>,
    attempts: Mutex<Attempts>,
    fetches: AtomicU64,
    failures: AtomicU64,
    refresher: OnceLock<AbortHandle>,
}

/// Keys as of the last good fetch.
pub(super) struct Held {
    pub set: Arc<KeySet>,
    until: Instant,
}

#[derive(Default)]
struct Attempts {
    /// Set before a fetch begins.
    last: Option<Instant>,
    /// Closed when the fetch is over, however it ended.
    running: Option<watch::Receiver<()>>,
}

impl Keyring {
    /// An empty ring that fetches at once, and again and again, on `control`, until it is dropped.
    pub fn start(source: Source, timing: Timing, control: &Handle) -> Arc<Self> {
        let ring = Self::idle(source, timing, control);
        let task = control.spawn(keep_fresh(Arc::downgrade(&ring), timing));
        let _ = ring.refresher.set(task.abort_handle());
        ring
    }

    pub(super) fn idle(source: Source, timing: Timing, control: &Handle) -> Arc<Self> {
        Arc::new(Self {
            source,
            timing,
            control: control.clone(),
            held: ArcSwapOption::empty(),
            attempts: Mutex::default(),
            fetches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            refresher: OnceLock::new(),
        })
    }

    /// The keys, where there are any that still hold.
    pub fn current(&self, now: Instant) -> Option<Arc<KeySet>> {
        let held = self.held.load();
        let held = held.as_ref()?;
        (now < held.until).then(|| Arc::clone(&held.set))
    }

    /// Whether the ring's keys still hold.
    pub fn ready(&self, now: Instant) -> bool {
        self.held
            .load()
            .as_ref()
            .is_some_and(|held| now < held.until)
    }

    /// How many fetches have begun.
    pub fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    /// How many fetches have failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Waits for the fetch that is running, or begins one unless it is too soon; at most for one
    /// timeout. What came of it, [`Keyring::current`] tells.
    pub async fn refetch(self: &Arc<Self>, now: Instant) {
        if let Some(mut done) = self.begin(now) {
            // an error means that the fetch is over: nothing is ever sent
            let _ = tokio::time::timeout(self.timing.timeout, done.changed()).await;
        }
    }

    fn begin(self: &Arc<Self>, now: Instant) -> Option<watch::Receiver<()>> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &attempts.running
            && running.has_changed().is_ok()
        {
            return Some(running.clone());
        }
        if attempts
            .last
            .is_some_and(|last| now < last + self.timing.cool_down)
        {
            return None;
        }
        attempts.last = Some(now);
        let (over, running) = watch::channel(());
        attempts.running = Some(running.clone());
        let ring = Arc::clone(self);
        self.control.spawn(async move {
            ring.fetch().await;
            drop(over);
        });
        Some(running)
    }

    fn held_until(&self) -> Option<Instant> {
        self.held.load().as_ref().map(|held| held.until)
    }

    async fn fetch(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let issuer = self.source.issuer.as_str();
        match tokio::time::timeout(self.timing.timeout, self.source.fetch()).await {
            Ok(Ok(set)) => {
                tracing::debug!(issuer, keys = set.len(), "keys fetched");
                self.held.store(Some(Arc::new(Held {
                    set: Arc::new(set),
                    until: Instant::now() + self.timing.keep,
                })));
            }
            Ok(Err(failure)) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                let cause = std::error::Error::source(&failure).map(ToString::to_string);
                tracing::warn!(issuer, %failure, cause, "keys could not be fetched");
            }
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(issuer, "keys could not be fetched in time");
            }
        }
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        if let Some(refresher) = self.refresher.get() {
            refresher.abort();
        }
    }
}

async fn keep_fresh(ring: Weak<Keyring>, timing: Timing) {
    while let Some(strong) = ring.upgrade() {
        let before = strong.held_until();
        strong.refetch(Instant::now()).await;
        let wait = if strong.held_until() == before {
            timing.cool_down
        } else {
            timing.refresh
        };
        drop(strong);
        tokio::time::sleep(wait).await;
    }
}
