//! Finds where a journal stands: the end of its last segment, without what a crash left of a
//! record half written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::format::{GENESIS, SEGMENT_HEADER, What};
use super::scan::{Scan, Standing, Start, Step, Stop, last_whole, segments};
use super::verify::Fault;
use super::{OpenError, disk};

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Seq of the next record.
    pub next_seq: u64,
    /// What was cut off the end, if anything.
    pub cut: Option<Cut>,
    /// The first wrong record of the last segment. Others follow it, so it is no torn tail: it
    /// stays where it is, and the journal goes on behind it.
    pub damage: Option<Fault>,
}

/// A torn tail that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Length in bytes.
    pub bytes: u64,
    /// Seq that the torn record would have had.
    pub seq: u64,
    /// Where the bytes were put.
    pub kept: PathBuf,
}

/// Where to go on, and in which file; `None` if a segment must be made.
pub(super) struct Resume {
    pub(super) at: Standing,
    pub(super) segment: Option<PathBuf>,
    pub(super) recovery: Recovery,
}

/// Reads the last segment and cuts its torn tail. The directory is locked.
pub(super) fn recover(directory: &Path) -> Result<Resume, OpenError> {
    let mut cut = None;
    let mut found = segments(directory)?;
    while let Some((seq, path)) = found.pop() {
        let wrong = |what| {
            OpenError::Damaged(Fault {
                segment: path.clone(),
                seq: seq.unwrap_or_default(),
                what,
            })
        };
        let (header, scan) = match Scan::open(&path) {
            Ok(Start::Header(header, scan)) => (header, scan),
            Ok(Start::Torn(bytes)) => {
                // made by a process that died before it held a record
                let kept = aside(&path)?;
                fs::rename(&path, &kept)?;
                disk::sync_directory(directory)?;
                let seq = seq.unwrap_or_default();
                cut = Some(Cut { bytes, seq, kept });
                continue;
            }
            Err(Stop::Wrong(what)) => return Err(wrong(what)),
            Err(Stop::Unreadable(error)) => return Err(error.into()),
        };
        if seq != Some(header.first_seq) {
            return Err(wrong(What::Name));
        }
        let (at, damage) = stand(&path, scan)?;
        let tail = fs::metadata(&path)?.len().saturating_sub(at.end);
        if tail > 0 {
            cut = Some(cut_tail(&path, at, tail)?);
        }
        return Ok(Resume {
            at,
            segment: Some(path),
            recovery: Recovery {
                next_seq: at.seq,
                cut,
                damage,
            },
        });
    }
    let at = Standing {
        end: SEGMENT_HEADER as u64,
        seq: 0,
        chain: GENESIS,
    };
    Ok(Resume {
        at,
        segment: None,
        recovery: Recovery {
            next_seq: 0,
            cut,
            damage: None,
        },
    })
}

/// Goes through the segment to the end of its last whole record.
fn stand(path: &Path, mut scan: Scan) -> Result<(Standing, Option<Fault>), OpenError> {
    let what = loop {
        match scan.step() {
            Ok(Step::Record(_)) => (),
            Ok(Step::End) => break None,
            Ok(Step::Torn(_)) => break Some(What::Short),
            Err(Stop::Wrong(what)) => break Some(what),
            Err(Stop::Unreadable(error)) => return Err(error.into()),
        }
    };
    let good = Standing {
        end: scan.at,
        seq: scan.seq,
        chain: scan.chain,
    };
    let Some(what) = what else {
        return Ok((good, None));
    };
    Ok(match last_whole(path, good.end, good.seq)? {
        None => (good, None),
        Some(later) => {
            let fault = Fault {
                segment: path.to_owned(),
                seq: good.seq,
                what,
            };
            (later, Some(fault))
        }
    })
}

fn cut_tail(path: &Path, at: Standing, bytes: u64) -> io::Result<Cut> {
    let kept = aside(path)?;
    let mut from = File::open(path)?;
    from.seek(SeekFrom::Start(at.end))?;
    let mut copy = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut copy, 0o600);
    let mut copy = copy.write(true).create_new(true).open(&kept)?;
    io::copy(&mut from.take(bytes), &mut copy)?;
    copy.sync_all()?;
    let segment = OpenOptions::new().write(true).open(path)?;
    segment.set_len(at.end)?;
    segment.sync_all()?;
    if let Some(directory) = path.parent() {
        disk::sync_directory(directory)?;
    }
    Ok(Cut {
        bytes,
        seq: at.seq,
        kept,
    })
}

/// A free name beside the segment: `….torn`, `….1.torn` and so on.
fn aside(path: &Path) -> io::Result<PathBuf> {
    (0u32..)
        .map(|n| match n {
            0 => path.with_extension("torn"),
            n => path.with_extension(format!("{n}.torn")),
        })
        .find(|p| !p.exists())
        .ok_or_else(|| io::Error::from(io::ErrorKind::AlreadyExists))
}
