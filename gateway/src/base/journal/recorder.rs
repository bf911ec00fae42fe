//! A core's handle on the journal.
//!
//! Records are salted and hashed here, on the core that made them, and collected until the tick
//! of its event loop ends; then they go to the writer as one batch: one message there, one wake
//! back.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_lc_rs::rand;
use chartward_rules::proof::{Claim, Entry, Receipt};
use tokio::time::{Instant, Sleep};

use super::format::{Hash, MAX_BODY, SALT, sha256};
use super::queue::{Batch, Shared};
use super::{Health, held, mint};

/// How long a commit waits for the writer before it gives up.
const DEADLINE: Duration = Duration::from_millis(1500);

/// Why a record has no receipt. What it names must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritten {
    /// Writing or syncing failed, or failed before and hasn't healed.
    #[error("the journal can't be written")]
    Failed,
    /// The writer is too far behind.
    #[error("the journal is overloaded")]
    Overloaded,
    /// The writer didn't answer in 1.5 s. The record may still be written.
    #[error("the journal is too slow")]
    Late,
    /// The journal is closed, or no [`Recorder::run`] is there to hand over.
    #[error("the journal is closed")]
    Closed,
    /// Longer than 16 MiB.
    #[error("the record is too long")]
    TooLong,
}

/// One core's way into the journal. Clones share the core's batch.
#[derive(Clone)]
pub struct Recorder(Arc<Core>);

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let core = Arc::new(Core {
            shared,
            pending: Mutex::default(),
            flusher: Mutex::new(None),
        });
        held(&core.shared.cores).push(Arc::downgrade(&core));
        Self(core)
    }

    /// Hands over a record that nobody waits for. If it can't be written it is counted in
    /// `notes_lost`.
    pub fn note(&self, entry: Entry) {
        let (json, _) = entry.split();
        if self.0.add(json, false).is_err() {
            let lost = &self.0.shared.counters.notes_lost;
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over a record at once (also if the answer is never polled); the answer is its
    /// receipt when it is durable, and fails within 2 s.
    pub fn commit(
        &self,
        entry: Entry,
    ) -> impl Future<Output = Result<Receipt, Unwritten>> + Send + use<> {
        let (json, claim) = entry.split();
        Commit {
            claim: Some(claim),
            slip: self.0.add(json, true),
            place: None,
        }
    }

    /// Hands this core's batches over and wakes those who wait. Spawn it on the core's runtime
    /// before the first record; without it every commit fails as closed. Ends when the journal
    /// is closed. Only one runs for a recorder: another call's future ends at once.
    pub fn run(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut pending = held(&self.0.pending);
        let first = !std::mem::replace(&mut pending.running, true);
        Flush {
            core: first.then(|| self.0.clone()),
            inflight: VecDeque::new(),
            alarm: None,
        }
    }
}

/// What the handles of one core share.
pub(super) struct Core {
    shared: Arc<Shared>,
    pending: Mutex<Pending>,
    flusher: Mutex<Option<Waker>>,
}

#[derive(Default)]
struct Pending {
    running: bool,
    batch: Option<Batch>,
    salts: Salts,
}

impl Core {
    fn add(self: &Arc<Self>, json: Vec<u8>, wanted: bool) -> Result<Arc<Slip>, Unwritten> {
        match self.shared.state() {
            Health::Ready => (),
            Health::Closed => return Err(Unwritten::Closed),
            Health::Failed | Health::Stalled => return Err(Unwritten::Failed),
        }
        let mut pending = held(&self.pending);
        if !pending.running {
            return Err(Unwritten::Closed);
        }
        let line = Line::new(json, &mut pending.salts)?;
        let first = pending.batch.is_none();
        let batch = pending
            .batch
            .get_or_insert_with(|| Batch::new(self.clone()));
        batch.bytes += line.json.len();
        batch.notes += u64::from(!wanted);
        batch.lines.push(line);
        let slip = batch.slip.clone();
        drop(pending);
        if first {
            self.wake();
        }
        Ok(slip)
    }

    /// What was collected, if anything.
    pub(super) fn take(&self) -> Option<Batch> {
        held(&self.pending).batch.take()
    }

    /// Wakes the core's [`Recorder::run`]; false if there is none.
    pub(super) fn wake(&self) -> bool {
        let flusher = held(&self.flusher);
        if let Some(waker) = &*flusher {
            waker.wake_by_ref();
        }
        flusher.is_some()
    }
}

/// A record ready to be chained.
pub(super) struct Line {
    pub(super) commitment: Hash,
    pub(super) salt: [u8; SALT],
    pub(super) json: Vec<u8>,
}

impl Line {
    pub(super) fn new(json: Vec<u8>, salts: &mut Salts) -> Result<Self, Unwritten> {
        if json.len() > MAX_BODY - SALT {
            return Err(Unwritten::TooLong);
        }
        let salt = salts.next().ok_or(Unwritten::Failed)?;
        Ok(Self {
            commitment: sha256(&[&salt, &json]),
            salt,
            json,
        })
    }
}

/// Random salts, drawn 64 at a time; each is given once.
#[derive(Default)]
pub(super) struct Salts(Vec<[u8; SALT]>);

impl Salts {
    fn next(&mut self) -> Option<[u8; SALT]> {
        if self.0.is_empty() {
            let mut drawn = [[0; SALT]; 64];
            rand::fill(drawn.as_flattened_mut()).ok()?;
            self.0.extend_from_slice(&drawn);
        }
        self.0.pop()
    }
}

/// Where the records of one batch learn what became of it.
#[derive(Default)]
pub(super) struct Slip {
    outcome: AtomicU8,
    waiters: Mutex<Vec<Waker>>,
}

const WRITTEN: u8 = 1;

impl Slip {
    /// Settles the batch. The first word stands.
    pub(super) fn settle(&self, outcome: Result<(), Unwritten>) {
        let word = match outcome {
            Ok(()) => WRITTEN,
            Err(Unwritten::Failed) => 2,
            Err(Unwritten::Overloaded) => 3,
            Err(Unwritten::Late) => 4,
            Err(Unwritten::Closed | Unwritten::TooLong) => 5,
        };
        let _ = self
            .outcome
            .compare_exchange(0, word, Ordering::AcqRel, Ordering::Acquire);
    }

    fn outcome(&self) -> Option<Result<(), Unwritten>> {
        Some(match self.outcome.load(Ordering::Acquire) {
            0 => return None,
            WRITTEN => Ok(()),
            2 => Err(Unwritten::Failed),
            3 => Err(Unwritten::Overloaded),
            4 => Err(Unwritten::Late),
            _ => Err(Unwritten::Closed),
        })
    }

    pub(super) fn wake(&self) {
        for waiter in std::mem::take(&mut *held(&self.waiters)) {
            waiter.wake();
        }
    }
}

struct Commit {
    claim: Option<Claim>,
    slip: Result<Arc<Slip>, Unwritten>,
    /// Index among the slip's waiters.
    place: Option<usize>,
}

impl Future for Commit {
    type Output = Result<Receipt, Unwritten>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let slip = match &this.slip {
            Ok(slip) => slip,
            Err(error) => return Poll::Ready(Err(*error)),
        };
        if slip.outcome().is_none() {
            let mut waiters = held(&slip.waiters);
            // settled while the lock was taken: nobody would wake us
            if slip.outcome().is_none() {
                match this.place.and_then(|place| waiters.get_mut(place)) {
                    Some(waiter) => waiter.clone_from(cx.waker()),
                    None => {
                        this.place = Some(waiters.len());
                        waiters.push(cx.waker().clone());
                    }
                }
                return Poll::Pending;
            }
        }
        let outcome = slip.outcome().unwrap_or(Err(Unwritten::Closed));
        let claim = this.claim.take().ok_or(Unwritten::Closed);
        Poll::Ready(outcome.and(claim).and_then(|claim| {
            let mint = mint().ok_or(Unwritten::Closed)?;
            Ok(mint.receipt(claim))
        }))
    }
}

/// The future of [`Recorder::run`].
struct Flush {
    core: Option<Arc<Core>>,
    /// Batches at the writer, oldest first, and when each must be settled.
    inflight: VecDeque<(Instant, Arc<Slip>)>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Future for Flush {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(core) = &this.core else {
            return Poll::Ready(());
        };
        // before looking, so that nothing that happens after is missed
        {
            let mut flusher = held(&core.flusher);
            match &mut *flusher {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        if let Some(batch) = core.take() {
            let slip = batch.slip.clone();
            if core.shared.hand_over(batch) {
                this.inflight.push_back((Instant::now() + DEADLINE, slip));
            } else {
                slip.wake();
            }
        }
        wake_settled(&mut this.inflight);
        while let Some((deadline, _)) = this.inflight.front() {
            let alarm = this
                .alarm
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*deadline)));
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.alarm = None;
            let now = Instant::now();
            for (deadline, slip) in &this.inflight {
                if *deadline <= now {
                    slip.settle(Err(Unwritten::Late));
                }
            }
            wake_settled(&mut this.inflight);
        }
        match core.shared.state() {
            Health::Closed => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

/// Wakes those whose batch is settled; batches are settled in order.
fn wake_settled(inflight: &mut VecDeque<(Instant, Arc<Slip>)>) {
    while let Some((_, slip)) = inflight.front() {
        if slip.outcome().is_none() {
            break;
        }
        slip.wake();
        inflight.pop_front();
    }
}

impl Drop for Flush {
    /// What was collected is written all the same, but nobody can be told any more.
    fn drop(&mut self) {
        let Some(core) = &self.core else {
            return;
        };
        *held(&core.flusher) = None;
        let mut pending = held(&core.pending);
        pending.running = false;
        let batch = pending.batch.take();
        drop(pending);
        if let Some(batch) = batch {
            let slip = batch.slip.clone();
            core.shared.hand_over(batch);
            self.inflight.push_back((Instant::now(), slip));
        }
        for (_, slip) in self.inflight.drain(..) {
            slip.settle(Err(Unwritten::Closed));
            slip.wake();
        }
    }
}
