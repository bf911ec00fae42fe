//! What the writer asks of the file system, behind a trait so that tests can make it fail.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Opens segments for appending.
pub(super) trait Files: Send {
    /// Opens one that is there.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Tape>>;
    /// Makes one; an error if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Tape>>;
}

/// One segment, open for appending.
pub(super) trait Tape: Send {
    /// Appends all of `bytes`; after an error the file's end is unknown.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended survive the machine's death.
    fn sync(&mut self) -> io::Result<()>;
    /// Drops all beyond `length`.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Its length; `None` if no name leads to the file any more.
    fn length(&self) -> io::Result<Option<u64>>;
    /// Whether `path` leads to this very file.
    fn is_at(&self, path: &Path) -> bool;
}

/// The real file system.
pub(super) struct Disk;

impl Files for Disk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Tape>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Tape>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        Ok(Box::new(options.open(path)?))
    }
}

impl Tape for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<Option<u64>> {
        let state = rustix::fs::fstat(self)?;
        Ok((state.st_nlink > 0).then_some(u64::try_from(state.st_size).unwrap_or(0)))
    }

    fn is_at(&self, path: &Path) -> bool {
        match (self.metadata(), path.metadata()) {
            (Ok(open), Ok(named)) => open.dev() == named.dev() && open.ino() == named.ino(),
            _ => false,
        }
    }
}

/// Makes the directory if it isn't there; its parent must be.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Takes the directory's advisory lock; `None` if another process holds it.
pub(super) fn lock_directory(directory: &Path) -> io::Result<Option<File>> {
    let lock = File::open(directory)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes new and removed names survive the machine's death.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
