//! What the cores and the writer share: the queue of batches, the state, the counters.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::recorder::{Core, Line, Slip, Unwritten};
use super::{Health, held};

/// A write or sync that takes longer makes the journal not ready.
const STALL: Duration = Duration::from_millis(750);

/// Records of one core from one tick of its loop.
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
    /// Length of all texts.
    pub(super) bytes: usize,
    /// How many of them nobody waits for.
    pub(super) notes: u64,
    pub(super) slip: Arc<Slip>,
    pub(super) core: Arc<Core>,
}

impl Batch {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self {
            lines: Vec::new(),
            bytes: 0,
            notes: 0,
            slip: Arc::default(),
            core,
        }
    }
}

/// Figures of the journal since it was opened; read them with [`Ordering::Relaxed`].
#[derive(Debug, Default)]
pub struct Counters {
    /// Records written.
    pub records: AtomicU64,
    /// Bytes of frames written.
    pub bytes: AtomicU64,
    /// Groups written: one `write`, and one sync where that is asked.
    pub batches: AtomicU64,
    /// Errors of writing, syncing, opening or of the file having gone.
    pub failures: AtomicU64,
    /// Records that nobody waited for and that were not written.
    pub notes_lost: AtomicU64,
    /// Segments begun.
    pub segments: AtomicU64,
    /// What the last group took to write and sync, in microseconds.
    pub last_batch_micros: AtomicU64,
}

pub(super) struct Shared {
    pub(super) counters: Counters,
    pub(super) cores: Mutex<Vec<Weak<Core>>>,
    queue: Mutex<Queue>,
    arrived: Condvar,
    state: AtomicU8,
    /// Since when the writer is in a call that may block: microseconds after `began`, plus 1.
    busy: AtomicU64,
    began: Instant,
    limit: usize,
}

#[derive(Default)]
struct Queue {
    batches: Vec<Batch>,
    /// Bytes queued or being written.
    bytes: usize,
    /// The writer waits for `arrived`.
    idle: bool,
    closing: bool,
}

/// What the writer took.
pub(super) struct Taken {
    pub(super) batches: Vec<Batch>,
    pub(super) closing: bool,
}

impl Shared {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            counters: Counters::default(),
            cores: Mutex::default(),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            state: AtomicU8::new(Health::Ready as u8),
            busy: AtomicU64::new(0),
            began: Instant::now(),
            limit,
        }
    }

    /// The writer's word on its state.
    pub(super) fn state(&self) -> Health {
        match self.state.load(Ordering::Acquire) {
            0 => Health::Ready,
            1 => Health::Failed,
            _ => Health::Closed,
        }
    }

    pub(super) fn set_state(&self, state: Health) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// The state, also where the writer can't say it because a call of its doesn't return.
    pub(super) fn health(&self) -> Health {
        let state = self.state();
        let busy = self.busy.load(Ordering::Relaxed);
        let stalled = busy > 0 && self.micros().saturating_sub(busy) > STALL.as_micros() as u64;
        match state {
            Health::Ready if stalled => Health::Stalled,
            state => state,
        }
    }

    /// Notes that the writer enters a call that may block; the moment it did.
    pub(super) fn enter(&self) -> u64 {
        let now = self.micros();
        self.busy.store(now, Ordering::Relaxed);
        now
    }

    /// Notes that it came back; how long it took, in microseconds.
    pub(super) fn leave(&self, entered: u64) -> u64 {
        self.busy.store(0, Ordering::Relaxed);
        self.micros().saturating_sub(entered)
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).map_or(u64::MAX, |m| m.saturating_add(1))
    }

    /// Queues a batch. If that can't be, settles it and says false; its waiters aren't woken.
    pub(super) fn hand_over(&self, batch: Batch) -> bool {
        let mut queue = held(&self.queue);
        let refused = if queue.closing {
            Unwritten::Closed
        } else if queue.bytes > 0 && queue.bytes + batch.bytes > self.limit {
            Unwritten::Overloaded
        } else {
            queue.bytes += batch.bytes;
            queue.batches.push(batch);
            let idle = std::mem::take(&mut queue.idle);
            drop(queue);
            if idle {
                self.arrived.notify_one();
            }
            return true;
        };
        drop(queue);
        self.lose(&batch, refused);
        false
    }

    /// Settles a batch that isn't written.
    pub(super) fn lose(&self, batch: &Batch, why: Unwritten) {
        let lost = &self.counters.notes_lost;
        lost.fetch_add(batch.notes, Ordering::Relaxed);
        batch.slip.settle(Err(why));
    }

    /// Waits until there are batches, or the journal closes, or `patience` is over.
    pub(super) fn take(&self, patience: Duration) -> Taken {
        let mut queue = held(&self.queue);
        if queue.batches.is_empty() && !queue.closing {
            queue.idle = true;
            queue = self
                .arrived
                .wait_timeout_while(queue, patience, |q| q.batches.is_empty() && !q.closing)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            queue.idle = false;
        }
        Taken {
            batches: std::mem::take(&mut queue.batches),
            closing: queue.closing,
        }
    }

    /// Gives back the room of batches that are settled.
    pub(super) fn done(&self, bytes: usize) {
        let mut queue = held(&self.queue);
        queue.bytes = queue.bytes.saturating_sub(bytes);
    }

    /// The writer ended: what is still queued is settled, and the cores' runners end.
    pub(super) fn end(&self) {
        self.set_state(Health::Closed);
        let mut queue = held(&self.queue);
        queue.closing = true;
        let left = std::mem::take(&mut queue.batches);
        drop(queue);
        for batch in left {
            self.lose(&batch, Unwritten::Closed);
            batch.slip.wake();
        }
        let cores = std::mem::take(&mut *held(&self.cores));
        for core in cores.iter().filter_map(Weak::upgrade) {
            core.wake();
        }
    }

    /// Takes what the cores have collected, and nothing more after it.
    pub(super) fn close(&self) {
        let cores: Vec<_> = held(&self.cores).iter().filter_map(Weak::upgrade).collect();
        for core in cores {
            if let Some(batch) = core.take() {
                let slip = batch.slip.clone();
                if !self.hand_over(batch) {
                    slip.wake();
                }
            }
        }
        held(&self.queue).closing = true;
        self.arrived.notify_one();
    }
}
