//! The journal: an append-only file of records, each chained to all before it.
//!
//! What comes in: [`Entry`](chartward_rules::proof::Entry)s, through one [`Recorder`] for each
//! core. What goes out: a [`Receipt`](chartward_rules::proof::Receipt) for each that is durable,
//! the journal's [`Health`], and for a reader [`verify`] and [`show`]. `docs/journal.md` has the
//! format.
//!
//! **Never here:** what a record says; a receipt for something that isn't written; a second
//! attempt to sync a descriptor that failed.

mod disk;
mod format;
mod queue;
mod recorder;
mod recover;
mod scan;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use chartward_rules::proof::Mint;

pub use format::What;
pub use queue::Counters;
pub use recorder::{Recorder, Unwritten};
pub use recover::{Cut, Recovery};
pub use verify::{Fault, Head, Records, Report, Shown, Torn, Wrong, show, verify};

use disk::{Disk, Files};
use queue::Shared;
use writer::Writer;

/// What a receipt promises to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of the machine: `fdatasync` before receipts.
    Fsync,
    /// The death of the process: `write` before receipts.
    Write,
}

/// How to open a journal.
#[derive(Debug, Clone)]
pub struct Options {
    /// Holds the segments and nothing else. Made if only its parent is there.
    pub directory: PathBuf,
    /// What a receipt promises to survive.
    pub durability: Durability,
    /// Name of this process, at most 128 bytes.
    pub node: Arc<str>,
    /// A segment that has grown to so many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// Bytes of records that may wait for the writer, before commits fail as overloaded.
    pub queue_bytes: usize,
}

impl Options {
    /// Segments of 256 MiB and a queue of 64 MiB.
    pub fn new(
        directory: impl Into<PathBuf>,
        durability: Durability,
        node: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            directory: directory.into(),
            durability,
            node: node.into(),
            segment_bytes: 256 << 20,
            queue_bytes: 64 << 20,
        }
    }
}

/// Why a journal can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("`{0}` is in use by another process")]
    Busy(PathBuf),
    /// The last segment can't be continued.
    #[error("the journal's last segment can't be continued: {0}")]
    Damaged(Fault),
    /// The node's name is empty or longer than 128 bytes.
    #[error("the node's name must have 1 to 128 bytes")]
    Node,
    /// [`Mint::take`] was called outside the journal.
    #[error("the mint of receipts was taken by another part of the program")]
    Mint,
    /// The file system refused.
    #[error("the journal can't be opened: {0}")]
    Io(#[from] io::Error),
}

/// Whether the journal can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// It is.
    Ready = 0,
    /// Writing failed; the journal is trying to heal.
    Failed = 1,
    /// Closed for good.
    Closed = 2,
    /// A write or sync has not come back for 750 ms.
    Stalled = 3,
}

/// An open journal. Dropping it closes it.
pub struct Journal {
    shared: Arc<Shared>,
    recovery: Recovery,
    /// Ends when the writer's thread does.
    ended: Mutex<Receiver<()>>,
}

impl Journal {
    /// Locks the directory, finds the end of the last segment, cuts a torn tail (its bytes are
    /// kept in a file `.torn`) and starts the writer's thread. Blocks while it reads.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Self::open_on(options, Box::new(Disk))
    }

    fn open_on(options: Options, files: Box<dyn Files>) -> Result<Self, OpenError> {
        if options.node.is_empty() || options.node.len() > format::MAX_NODE {
            return Err(OpenError::Node);
        }
        mint().ok_or(OpenError::Mint)?;
        disk::make_directory(&options.directory)?;
        let lock = disk::lock_directory(&options.directory)?
            .ok_or_else(|| OpenError::Busy(options.directory.clone()))?;
        let resume = recover::recover(&options.directory)?;
        let recovery = resume.recovery.clone();
        let shared = Arc::new(Shared::new(options.queue_bytes));
        let writer = Writer::new(shared.clone(), options, files, lock, resume)?;
        let (alive, ended) = channel::<()>();
        thread::Builder::new().name("journal".into()).spawn({
            let ending = Ending(shared.clone(), alive);
            move || {
                writer.run();
                drop(ending);
            }
        })?;
        Ok(Self {
            shared,
            recovery,
            ended: Mutex::new(ended),
        })
    }

    /// What opening found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// A handle for one core. Spawn its [`Recorder::run`] on that core's runtime.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(self.shared.clone())
    }

    /// Whether the journal can be written. Cheap.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Figures for the metrics.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Writes and syncs what was handed over, and ends the writer's thread. Blocks up to `within`;
    /// false if the writer hasn't ended by then.
    pub fn close(&self, within: Duration) -> bool {
        self.shared.close();
        held(&self.ended).recv_timeout(within) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close(Duration::from_secs(5));
    }
}

/// Closes the journal when the writer's thread ends, also if it ends by a panic.
struct Ending(
    Arc<Shared>,
    #[expect(dead_code, reason = "dropped")] Sender<()>,
);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The one mint of this process.
fn mint() -> Option<&'static Mint> {
    static MINT: OnceLock<Option<Mint>> = OnceLock::new();
    MINT.get_or_init(Mint::take).as_ref()
}

/// Locks; a panic of another holder is no reason to panic too: what is guarded here is whole
/// between any two statements.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
