//! The journal's own thread: chains what the cores hand over, writes and syncs it in groups, and
//! tells them.
//!
//! After any error nothing is tried again on the same descriptor as if it had worked: the segment
//! is opened anew, cut to the last durable record, and the journal goes on in a new one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chartward_rules::proof::Entry;
use time::OffsetDateTime;
use time::macros::format_description;

use super::disk::{Files, Tape, lock_directory, make_directory, sync_directory};
use super::format::{FrameHeader, Hash, SALT, SEGMENT_HEADER, SegmentHeader, link};
use super::queue::{Batch, Shared};
use super::recorder::{Core, Line, Salts, Unwritten};
use super::recover::Resume;
use super::scan::segment_name;
use super::{Durability, Health, Options};

/// How often an idle writer looks whether its file is still there.
const LOOK: Duration = Duration::from_millis(250);
/// Between attempts to heal.
const PAUSE: Duration = Duration::from_millis(500);
/// A group is written when it has grown to this.
const GROUP: usize = 4 << 20;

/// The writer's side of an open journal.
pub(super) struct Writer {
    shared: Arc<Shared>,
    options: Options,
    files: Box<dyn Files>,
    /// Locks the directory for as long as it lives.
    lock: File,
    segment: Segment,
    /// Seq of the next record.
    seq: u64,
    /// Chain hash before it.
    chain: Hash,
    group: Vec<u8>,
    looked: Instant,
    broken: Option<Broken>,
    notes_lost: u64,
}

struct Segment {
    tape: Box<dyn Tape>,
    path: PathBuf,
    /// Length up to the end of the last durable record.
    length: u64,
}

impl Segment {
    /// Whether the file is still there, and exactly so long: nobody else cut or wrote it.
    fn check(&self, length: u64) -> io::Result<()> {
        match self.tape.length()? {
            None => Err(gone()),
            Some(found) if found == length => Ok(()),
            Some(_) => Err(io::Error::other("another process changed the file")),
        }
    }
}

/// Since when the journal can't be written, and when to try again.
struct Broken {
    since: Instant,
    next: Instant,
    /// The error last logged; the same one isn't logged again.
    logged: io::ErrorKind,
}

impl Writer {
    /// Goes on where `resume` says.
    pub(super) fn new(
        shared: Arc<Shared>,
        options: Options,
        files: Box<dyn Files>,
        lock: File,
        resume: Resume,
    ) -> io::Result<Self> {
        let at = resume.at;
        let segment = match resume.segment {
            Some(path) => Segment {
                tape: files.open(&path)?,
                path,
                length: at.end,
            },
            None => begin(&shared, &options, &*files, at.seq, at.chain)?,
        };
        Ok(Self {
            shared,
            options,
            files,
            lock,
            segment,
            seq: at.seq,
            chain: at.chain,
            group: Vec::new(),
            looked: Instant::now(),
            broken: None,
            notes_lost: 0,
        })
    }

    /// Writes until the journal is closed.
    pub(super) fn run(mut self) {
        loop {
            let taken = self.shared.take(LOOK);
            if self.looked.elapsed() >= LOOK {
                self.look();
            }
            let mut batches = taken.batches.into_iter().peekable();
            while batches.peek().is_some() {
                self.serve(&mut batches);
            }
            if taken.closing {
                break;
            }
        }
        if self.broken.is_none()
            && let Err(error) = self.segment.tape.sync()
        {
            self.fail("sync", &error);
        }
    }

    /// Writes one group and settles it.
    fn serve(&mut self, batches: &mut dyn Iterator<Item = Batch>) {
        let mut group = Vec::new();
        let (mut seq, mut chain) = (self.seq, self.chain);
        self.group.clear();
        for batch in batches {
            if self.broken.is_none() {
                for line in &batch.lines {
                    frame(&mut self.group, line, seq, &mut chain);
                    seq += 1;
                }
            }
            group.push(batch);
            if self.group.len() >= GROUP {
                break;
            }
        }
        if self.broken.is_none() {
            match self.write() {
                Ok(()) => {
                    let counters = &self.shared.counters;
                    counters
                        .records
                        .fetch_add(seq - self.seq, Ordering::Relaxed);
                    (self.seq, self.chain) = (seq, chain);
                }
                Err(error) => self.fail("write", &error),
            }
        }
        self.settle(&group);
        if self.broken.is_none()
            && self.segment.length >= self.options.segment_bytes
            && let Err(error) = self.roll()
        {
            self.fail("begin a segment", &error);
        }
        if self.group.capacity() > 2 * GROUP {
            self.group = Vec::new();
        }
    }

    /// Writes `self.group` as durably as asked.
    fn write(&mut self) -> io::Result<()> {
        let entered = self.shared.enter();
        let tape = &mut self.segment.tape;
        let mut written = tape.append(&self.group);
        if written.is_ok() && self.options.durability == Durability::Fsync {
            written = tape.sync();
        }
        let length = self.segment.length + self.group.len() as u64;
        let there = written.and_then(|()| self.segment.check(length));
        let took = self.shared.leave(entered);
        there?;
        self.segment.length = length;
        let counters = &self.shared.counters;
        counters.last_batch_micros.store(took, Ordering::Relaxed);
        counters.batches.fetch_add(1, Ordering::Relaxed);
        let bytes = self.group.len() as u64;
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the cores, each once.
    fn settle(&mut self, group: &[Batch]) {
        let written = self.broken.is_none();
        let mut told: Vec<&Arc<Core>> = Vec::new();
        let mut bytes = 0;
        for batch in group {
            bytes += batch.bytes;
            if written {
                batch.slip.settle(Ok(()));
            } else {
                self.notes_lost += batch.notes;
                self.shared.lose(batch, Unwritten::Failed);
            }
        }
        self.shared.done(bytes);
        for batch in group {
            if told.iter().any(|core| Arc::ptr_eq(core, &batch.core)) {
                continue;
            }
            if batch.core.wake() {
                told.push(&batch.core);
            } else {
                batch.slip.wake();
            }
        }
    }

    /// Looks whether the file is still where it was, or whether it is time to heal.
    fn look(&mut self) {
        self.looked = Instant::now();
        match &self.broken {
            None => {
                let entered = self.shared.enter();
                let segment = &self.segment;
                let there = match segment.tape.is_at(&segment.path) {
                    true => segment.check(segment.length),
                    false => Err(gone()),
                };
                self.shared.leave(entered);
                if let Err(error) = there {
                    self.fail("find its file", &error);
                }
            }
            Some(broken) if Instant::now() >= broken.next => {
                let since = broken.since;
                let entered = self.shared.enter();
                let healed = self.heal(since);
                self.shared.leave(entered);
                match healed {
                    Ok(()) => {
                        self.broken = None;
                        self.notes_lost = 0;
                        self.shared.set_state(Health::Ready);
                        tracing::info!(seq = self.seq, "the journal is written again");
                    }
                    Err(error) => self.fail("heal", &error),
                }
            }
            Some(_) => (),
        }
    }

    fn fail(&mut self, step: &str, error: &io::Error) {
        self.shared.set_state(Health::Failed);
        self.shared
            .counters
            .failures
            .fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let before = self.broken.as_ref();
        if before.is_none_or(|b| b.logged != error.kind()) {
            tracing::error!(%error, seq = self.seq, "the journal can't {step}; nothing is released");
        }
        self.broken = Some(Broken {
            since: before.map_or(now, |b| b.since),
            next: now + PAUSE,
            logged: error.kind(),
        });
    }

    /// Opens the journal anew behind the last durable record, and proves with a record of its own
    /// that it can be written.
    fn heal(&mut self, since: Instant) -> io::Result<()> {
        let directory = self.options.directory.clone();
        make_directory(&directory)?;
        if !self.lock.is_at(&directory) {
            self.lock = lock_directory(&directory)?
                .ok_or_else(|| io::Error::other("another process took the directory"))?;
        }
        if self.segment.tape.is_at(&self.segment.path) {
            let mut old = self.files.open(&self.segment.path)?;
            if old.length()?.is_some_and(|l| l > self.segment.length) {
                old.cut(self.segment.length)?;
                old.sync()?;
            }
        }
        let options = &self.options;
        self.segment = begin(&self.shared, options, &*self.files, self.seq, self.chain)?;

        let json = recovered(&options.node, since.elapsed(), self.notes_lost)?;
        let (json, _) = Entry::own(json).split();
        let line = Line::new(json, &mut Salts::default()).map_err(io::Error::other)?;
        let mut chain = self.chain;
        self.group.clear();
        frame(&mut self.group, &line, self.seq, &mut chain);
        self.segment.tape.append(&self.group)?;
        self.segment.tape.sync()?;
        let length = self.segment.length + self.group.len() as u64;
        self.segment.check(length)?;
        self.segment.length = length;
        self.seq += 1;
        self.chain = chain;
        self.shared.counters.records.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        let entered = self.shared.enter();
        let rolled = self.segment.tape.sync().and_then(|()| {
            let (options, files) = (&self.options, &*self.files);
            begin(&self.shared, options, files, self.seq, self.chain)
        });
        self.shared.leave(entered);
        self.segment = rolled?;
        Ok(())
    }
}

/// Makes the segment for the records from `seq` on.
///
/// A file of its name that holds no record (left by an attempt that failed) is replaced.
fn begin(
    shared: &Shared,
    options: &Options,
    files: &dyn Files,
    seq: u64,
    chain: Hash,
) -> io::Result<Segment> {
    let path = options.directory.join(segment_name(seq));
    let header = SegmentHeader {
        first_seq: seq,
        chain,
        created: millis(),
        node: (&*options.node).into(),
    };
    if holds_no_record(&path) {
        fs::remove_file(&path)?;
    }
    let mut tape = files.create(&path)?;
    tape.append(&header.encode())?;
    tape.sync()?;
    sync_directory(&options.directory)?;
    shared.counters.segments.fetch_add(1, Ordering::Relaxed);
    Ok(Segment {
        tape,
        path,
        length: SEGMENT_HEADER as u64,
    })
}

fn holds_no_record(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= SEGMENT_HEADER as u64)
}

/// Appends a frame and moves the chain on.
fn frame(out: &mut Vec<u8>, line: &Line, seq: u64, chain: &mut Hash) {
    let header = FrameHeader {
        // checked when the line was made
        length: (SALT + line.json.len()) as u32,
        seq,
        prev: *chain,
        commitment: line.commitment,
    };
    header.encode(out);
    out.extend_from_slice(&line.salt);
    out.extend_from_slice(&line.json);
    *chain = link(chain, &line.commitment);
}

/// The journal's record of its own failure.
fn recovered(node: &str, after: Duration, notes_lost: u64) -> io::Result<Vec<u8>> {
    let now = OffsetDateTime::now_utc()
        .format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .map_err(io::Error::other)?;
    let record = serde_json::json!({
        "time": now,
        "phase": "journal",
        "node": node,
        "outcome": "recovered",
        "duration_ms": after.as_millis() as u64,
        "notes_lost": notes_lost,
    });
    Ok(record.to_string().into_bytes())
}

fn millis() -> i64 {
    (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64
}

fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "the journal's file was moved or removed",
    )
}
