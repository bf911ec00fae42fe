//! Reads a whole journal: `verify` proves that nothing in it was changed, `show` gives its
//! records. Neither writes anything, and both may be used while the journal is live.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::vec;

use serde::Deserialize;

use super::format::{GENESIS, Hash, What};
use super::scan::{Scan, Start, Step, Stop, last_whole, segments};

/// A record or a segment that doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: record {seq}: {what}", .segment.display())]
pub struct Fault {
    /// The segment's file.
    pub segment: PathBuf,
    /// Seq of the first record that doesn't hold or is missing.
    pub seq: u64,
    /// What is wrong with it.
    pub what: What,
}

/// Why a journal could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// A record or segment that doesn't hold.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A file or directory that can't be read.
    #[error("{}: can't be read", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory holds no segment.
    #[error("{}: holds no journal", .0.display())]
    NoJournal(PathBuf),
}

/// What a journal that holds is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Number of segments.
    pub segments: u64,
    /// Number of records.
    pub records: u64,
    /// Seq of the first record: 0 unless segments before were taken away.
    pub first_seq: u64,
    /// `time` of the first record.
    pub first_time: Option<String>,
    /// `time` of the last record.
    pub last_time: Option<String>,
    /// Chain hash after the last record. Two journals with the same head hold the same records.
    pub head: Head,
    /// A record half written at the end: usual while the journal is live or after a crash.
    pub torn: Option<Torn>,
}

/// A chain hash, shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head(pub [u8; 32]);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({self})")
    }
}

/// The part of a record at the end of the last segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment's file.
    pub segment: PathBuf,
    /// Seq that the record would have.
    pub seq: u64,
    /// How many bytes of it are there.
    pub bytes: u64,
}

/// Reads all of a journal and checks each byte of it, in constant memory.
pub fn verify(directory: &Path) -> Result<Report, Wrong> {
    let mut walk = Walk::new(directory)?;
    let mut records = 0;
    let mut first_time = None;
    let mut last = Vec::new();
    while walk.next_record()?.is_some() {
        let json = walk.json();
        if records == 0 {
            first_time = time_of(json);
        }
        last.clear();
        last.extend_from_slice(json);
        records += 1;
    }
    Ok(Report {
        segments: walk.opened,
        records,
        first_seq: walk.first_seq,
        first_time,
        last_time: time_of(&last),
        head: Head(walk.chain),
        torn: walk.torn,
    })
}

/// The journal's records in order, each checked before it is given.
pub fn show(directory: &Path) -> Result<Records, Wrong> {
    Ok(Records(Some(Walk::new(directory)?)))
}

/// One record of [`show`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its place in the journal, from 0.
    pub seq: u64,
    /// Its text: one JSON object.
    pub json: Vec<u8>,
}

/// The iterator of [`show`]; ends after the first error.
pub struct Records(Option<Walk>);

impl Iterator for Records {
    type Item = Result<Shown, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        let walk = self.0.as_mut()?;
        match walk.next_record() {
            Ok(Some(seq)) => Some(Ok(Shown {
                seq,
                json: walk.json().to_vec(),
            })),
            Ok(None) => None,
            Err(wrong) => {
                self.0 = None;
                Some(Err(wrong))
            }
        }
    }
}

/// Goes through all segments in order.
struct Walk {
    left: vec::IntoIter<(Option<u64>, PathBuf)>,
    scan: Option<(PathBuf, Scan)>,
    opened: u64,
    first_seq: u64,
    /// Seq and chain hash where the next segment must begin.
    seq: u64,
    chain: Hash,
    torn: Option<Torn>,
}

impl Walk {
    fn new(directory: &Path) -> Result<Self, Wrong> {
        let found = segments(directory).map_err(|source| unreadable(directory, source))?;
        if found.is_empty() {
            return Err(Wrong::NoJournal(directory.to_owned()));
        }
        Ok(Self {
            left: found.into_iter(),
            scan: None,
            opened: 0,
            first_seq: 0,
            seq: 0,
            chain: GENESIS,
            torn: None,
        })
    }

    /// Seq of the next record that holds; `None` at the end.
    fn next_record(&mut self) -> Result<Option<u64>, Wrong> {
        loop {
            let Some((path, scan)) = &mut self.scan else {
                match self.left.next() {
                    Some((named, path)) => self.open(named, path)?,
                    None => return Ok(None),
                }
                continue;
            };
            let what = match scan.step() {
                Ok(Step::Record(seq)) => {
                    (self.seq, self.chain) = (scan.seq, scan.chain);
                    return Ok(Some(seq));
                }
                Ok(Step::End) => {
                    self.scan = None;
                    continue;
                }
                Ok(Step::Torn(bytes)) => {
                    let later = last_whole(path, scan.at, scan.seq)
                        .map_err(|source| unreadable(path, source))?;
                    if later.is_none() && self.left.len() == 0 {
                        self.torn = Some(Torn {
                            segment: path.clone(),
                            seq: scan.seq,
                            bytes,
                        });
                        self.scan = None;
                        continue;
                    }
                    What::Short
                }
                Err(Stop::Wrong(what)) => what,
                Err(Stop::Unreadable(source)) => return Err(unreadable(path, source)),
            };
            return Err(fault(path, self.seq, what));
        }
    }

    fn open(&mut self, named: Option<u64>, path: PathBuf) -> Result<(), Wrong> {
        let (header, scan) = match Scan::open(&path) {
            Ok(Start::Header(header, scan)) => (header, scan),
            Ok(Start::Torn(bytes)) if self.left.len() == 0 => {
                self.torn = Some(Torn {
                    segment: path,
                    seq: self.seq,
                    bytes,
                });
                return Ok(());
            }
            Ok(Start::Torn(_)) => return Err(fault(&path, self.seq, What::Short)),
            Err(Stop::Wrong(what)) => return Err(fault(&path, self.seq, what)),
            Err(Stop::Unreadable(source)) => return Err(unreadable(&path, source)),
        };
        let first = self.opened == 0;
        let what = if named != Some(header.first_seq) {
            Some(What::Name)
        } else if !first && header.first_seq != self.seq {
            Some(What::Sequence {
                expected: self.seq,
                found: header.first_seq,
            })
        } else if header.chain != self.chain && (!first || header.first_seq == 0) {
            Some(What::SegmentChain)
        } else {
            None
        };
        if let Some(what) = what {
            return Err(fault(&path, self.seq, what));
        }
        if first {
            self.first_seq = header.first_seq;
        }
        self.opened += 1;
        (self.seq, self.chain) = (header.first_seq, header.chain);
        self.scan = Some((path, scan));
        Ok(())
    }

    /// The text of the record last read.
    fn json(&self) -> &[u8] {
        self.scan.as_ref().map_or(&[], |(_, scan)| scan.json())
    }
}

fn fault(segment: &Path, seq: u64, what: What) -> Wrong {
    Wrong::Fault(Fault {
        segment: segment.to_owned(),
        seq,
        what,
    })
}

fn unreadable(path: &Path, source: io::Error) -> Wrong {
    Wrong::Unreadable {
        path: path.to_owned(),
        source,
    }
}

fn time_of(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Timed {
        time: String,
    }
    Some(serde_json::from_slice::<Timed>(json).ok()?.time)
}
