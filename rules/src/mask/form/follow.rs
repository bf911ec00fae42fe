//! Whether a row has a form: both are compared in long steps, and only values that differ are
//! looked at.

use super::super::Stop;
use super::super::scan::{scalar, string};
use super::{Form, Test, Value};

/// Bytes of the form's row for one entry of its `near`.
pub(super) const STEP: usize = 16;

/// How far a row has a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// All of it.
    End,
    /// So many values and what is before each; then they differ.
    Value(usize),
}

impl Form {
    /// Compares `row` from the value after the first `settled`, whose ends are known and which
    /// are as the form's. Ends that become known are written down.
    pub(super) fn follow(
        &self,
        row: &[u8],
        settled: usize,
        ends: &mut [u32],
    ) -> Result<Reached, Stop> {
        let mut known = settled;
        // the same place in the form's row and in this one
        let mut here = match settled.checked_sub(1) {
            Some(last) => self.values.get(last).map_or(0, |v| v.end as usize),
            None => 0,
        };
        let mut there = ends.get(settled).copied().unwrap_or(0) as usize;
        loop {
            let same = common(
                self.row.get(here..).unwrap_or_default(),
                row.get(there..).unwrap_or_default(),
            );
            here += same;
            there += same;
            let shift = (there as u32).wrapping_sub(here as u32);
            if here == self.row.len() {
                self.settle(known, self.values.len(), shift, ends);
                return Ok(Reached::End);
            }
            let index = self.value_at(here, known);
            self.settle(known, index, shift, ends);
            let value = match self.values.get(index) {
                Some(value) if value.start as usize <= here => value,
                // not a value: the row goes on otherwise, or it isn't whole yet
                _ if there == row.len() => return Err(Stop::Incomplete),
                _ => return Ok(Reached::Value(index)),
            };
            let from = there - (here - value.start as usize);
            let end = match end_of(row, from, value) {
                Ok(Some(end)) => end,
                Ok(None) | Err(Stop::Fault(_)) => return Ok(Reached::Value(index)),
                Err(Stop::Incomplete) => return Err(Stop::Incomplete),
            };
            let fits = match value.test {
                Test::Kind => true,
                // a number may end where the rows differ
                Test::Bytes => end == there && here == value.end as usize,
                Test::Target(prefix) => {
                    let after = from + prefix as usize;
                    there >= after && is_last_part(row.get(after..end), prefix)
                }
            };
            if !fits {
                return Ok(Reached::Value(index));
            }
            known = index + 1;
            if let Some(place) = ends.get_mut(known) {
                *place = end as u32;
            }
            if end == there && here == value.end as usize {
                return Ok(Reached::Value(known));
            }
            (here, there) = (value.end as usize, end);
        }
    }

    /// Values `from..to` end as far from the form's as the last one that was compared.
    fn settle(&self, from: usize, to: usize, shift: u32, ends: &mut [u32]) {
        let values = self.values.get(from..to).unwrap_or_default();
        let ends = ends.get_mut(from + 1..).unwrap_or_default();
        for (end, value) in ends.iter_mut().zip(values) {
            *end = value.end.wrapping_add(shift);
        }
    }

    /// The first value, from the one numbered `from`, to which the byte at `here` may belong.
    fn value_at(&self, here: usize, from: usize) -> usize {
        let near = self.near.get(here / STEP).copied().unwrap_or(u16::MAX);
        let mut index = usize::from(near).min(self.values.len()).max(from);
        while self.values.get(index).is_some_and(|v| v.ends_before(here)) {
            index += 1;
        }
        index
    }

    /// Up to which value both are the same, but for what isn't tested.
    pub(super) fn agrees(&self, other: &Self) -> u16 {
        let (mut mine, mut its) = (0, 0);
        let mut count = 0;
        for (one, two) in self.values.iter().zip(&other.values) {
            let same = self.row.get(mine..one.start as usize)
                == other.row.get(its..two.start as usize)
                && (one.text, one.test) == (two.text, two.test)
                && self.tested(one) == other.tested(two);
            if !same {
                break;
            }
            (mine, its) = (one.end as usize, two.end as usize);
            count += 1;
        }
        count
    }

    /// What of a value is tested.
    fn tested(&self, value: &Value) -> &[u8] {
        let end = match value.test {
            Test::Kind => value.start,
            Test::Bytes => value.end,
            Test::Target(prefix) => value.start + prefix,
        };
        self.row
            .get(value.start as usize..end as usize)
            .unwrap_or_default()
    }
}

impl Value {
    /// Whether a row that differs at `here` has the value whole. A string ends with its quote; a
    /// number goes on as long as its bytes do.
    pub(super) fn ends_before(&self, here: usize) -> bool {
        here >= self.end as usize + usize::from(!self.text)
    }
}

/// Where the value at `from` ends, if it is of the kind of `value`.
fn end_of(row: &[u8], from: usize, value: &Value) -> Result<Option<usize>, Stop> {
    match row.get(from) {
        None => Err(Stop::Incomplete),
        Some(b'"') if value.text => {
            let end = string(row, from + 1)?.end;
            let text = row.get(from..end).unwrap_or_default();
            let valid = text.is_ascii() || std::str::from_utf8(text).is_ok();
            Ok(valid.then_some(end))
        }
        Some(b'-' | b'0'..=b'9' | b't' | b'f') if !value.text => scalar(row, from).map(Some),
        Some(_) => Ok(None),
    }
}

/// Whether the rest of a quoted reference, after the same beginning, names nothing but an id.
fn is_last_part(rest: Option<&[u8]>, prefix: u32) -> bool {
    let Some((b'"', id)) = rest.and_then(<[u8]>::split_last) else {
        return false;
    };
    // one that begins with `#` is within the row
    let outside = prefix > 1 || id.first() != Some(&b'#');
    let plain = |b: u8| (b != b'/') & (b != b'?') & (b != b'\\');
    // all of them, many at once
    outside && !id.is_empty() && id.iter().fold(true, |all, b| all & plain(*b))
}

/// How many bytes both begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    let mut same = 0;
    for (x, y) in a.as_chunks::<32>().0.iter().zip(b.as_chunks::<32>().0) {
        if x != y {
            break;
        }
        same += 32;
    }
    let (a, b) = (
        a.get(same..).unwrap_or_default(),
        b.get(same..).unwrap_or_default(),
    );
    for (x, y) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differ != 0 {
            return same + (differ.trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    // fewer than eight bytes are left of one of them
    let done = a.len().min(b.len()) & !7;
    let (a, b) = (a.iter().skip(done), b.iter().skip(done));
    same + a.zip(b).take_while(|(x, y)| x == y).count()
}
