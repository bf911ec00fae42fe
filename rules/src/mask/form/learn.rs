//! The form of a row: a walk that notes what it does rather than write it, and the places of the
//! row's values.

use super::super::probe::{Probe, Slot};
use super::super::row::{Contained, Inner, is_key, walk};
use super::super::scan::{self, skip_space};
use super::super::sink::Sink;
use super::super::view::View;
use super::follow::STEP;
use super::{Form, Found, Piece, Place, Test, Value};

/// Longer rows have no form: they are rarely alike, and cost much to keep.
const LONGEST: usize = 64 << 10;

/// The form of the row at the beginning of `row`; `None` where more than the row decides, or it is
/// too long.
pub(super) fn learn(row: &[u8], by: By<'_>) -> Option<Form> {
    let mut notes = Notes::default();
    let (contained, about) = match by.contained {
        Some((contained, about)) => (Some(contained), about),
        None => (None, Notes::default()),
    };
    let walked = walk(row, 0, by.view, by.probe, contained, by.inner, &mut notes).ok()?;
    notes.read.extend(about.read);
    notes.followed.extend(about.followed);
    if notes.parted || about.parted || walked.needs_contained || walked.end > LONGEST {
        return None;
    }
    let row = row.get(..walked.end)?;
    let mut values = values(row);
    if values.len() >= usize::from(u16::MAX) {
        return None;
    }
    // whose form it is
    scan::members(row, 0, 0, |member| {
        if is_key(&member, b"resourceType") {
            notes.read(member.value);
        }
        true
    })
    .ok()?;
    for at in &notes.followed {
        if let Some(value) = value_mut(&mut values, *at) {
            value.test = followed(row, value);
        }
    }
    for at in &notes.read {
        if let Some(value) = value_mut(&mut values, *at) {
            value.test = Test::Bytes;
        }
    }
    let pieces = notes.pieces.into_iter().map(|piece| match piece {
        Note::Span(from, to) => Some(Piece::Span(place(&values, from)?, place(&values, to)?)),
        Note::Own(bytes) => Some(Piece::Own(bytes.into())),
    });
    let found = notes.found.into_iter().map(|(at, slot, object)| {
        let value = values
            .binary_search_by_key(&at, |v| v.start as usize)
            .ok()?;
        Some(Found {
            value: u16::try_from(value).ok()?,
            slot,
            object,
        })
    });
    Some(Form {
        pieces: pieces.collect::<Option<_>>()?,
        found: found.collect::<Option<_>>()?,
        withheld: walked.withheld,
        end: place(&values, row.len())?,
        near: near(&values, row.len()),
        row: row.into(),
        values: values.into(),
        under: 0,
        agrees: Vec::new(),
    })
}

/// What a row was walked by.
pub(crate) struct By<'a> {
    pub(crate) view: &'a View,
    pub(crate) probe: &'a Probe,
    pub(crate) inner: &'a dyn Inner,
    /// Its contained resources as they were judged, and what of them decided that.
    pub(crate) contained: Option<(&'a [Contained], Notes)>,
}

/// What a walk did.
#[derive(Default)]
pub(crate) struct Notes {
    pieces: Vec<Note>,
    length: usize,
    read: Vec<usize>,
    followed: Vec<usize>,
    found: Vec<(usize, Slot, usize)>,
    parted: bool,
}

impl Notes {
    /// What was found for these slots decided something, too.
    pub(crate) fn decided(&mut self, by: impl Fn(Slot) -> bool) {
        let found = self.found.iter().filter(|(_, slot, _)| by(*slot));
        self.read.extend(found.map(|(at, _, _)| at));
    }
}

enum Note {
    Span(usize, usize),
    Own(Vec<u8>),
}

impl Note {
    fn length(&self) -> usize {
        match self {
            Self::Span(from, to) => to - from,
            Self::Own(bytes) => bytes.len(),
        }
    }
}

impl Sink for Notes {
    fn length(&self) -> usize {
        self.length
    }

    fn truncate(&mut self, length: usize) {
        while self.length > length {
            let Some(mut last) = self.pieces.pop() else {
                return;
            };
            self.length -= last.length();
            let keeps = length.saturating_sub(self.length);
            if keeps > 0 {
                match &mut last {
                    Note::Span(from, to) => *to = *from + keeps,
                    Note::Own(bytes) => bytes.truncate(keeps),
                }
                self.length += keeps;
                self.pieces.push(last);
            }
        }
    }

    fn copy(&mut self, _: &[u8], from: usize, to: usize) {
        if from >= to {
            return;
        }
        self.length += to - from;
        match self.pieces.last_mut() {
            Some(Note::Span(_, end)) if *end == from => *end = to,
            _ => self.pieces.push(Note::Span(from, to)),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        match self.pieces.last_mut() {
            Some(Note::Own(own)) => own.extend_from_slice(bytes),
            _ => self.pieces.push(Note::Own(bytes.to_vec())),
        }
    }

    fn read(&mut self, at: usize) {
        self.read.push(at);
    }

    fn followed(&mut self, at: usize) {
        self.followed.push(at);
    }

    fn found(&mut self, at: usize, slot: Slot, object: usize) {
        self.found.push((at, slot, object));
    }

    fn parted(&mut self) {
        self.parted = true;
    }
}

/// The scalars of a well-formed row that aren't keys or `null`, in order.
fn values(row: &[u8]) -> Vec<Value> {
    let mut values = Vec::new();
    let mut at = 0;
    while let Some(byte) = row.get(at) {
        let end = match byte {
            b'"' => scan::string(row, at + 1).map(|text| text.end),
            b'n' | b't' | b'f' | b'-' | b'0'..=b'9' => scan::scalar(row, at),
            _ => {
                at += 1;
                continue;
            }
        };
        let Ok(end) = end else {
            return values;
        };
        let key = *byte == b'"' && row.get(skip_space(row, end)) == Some(&b':');
        if !key && *byte != b'n' {
            values.push(Value {
                start: at as u32,
                end: end as u32,
                text: *byte == b'"',
                test: Test::Kind,
            });
        }
        at = end;
    }
    values
}

fn value_mut(values: &mut [Value], at: usize) -> Option<&mut Value> {
    let index = values
        .binary_search_by_key(&at, |v| v.start as usize)
        .ok()?;
    values.get_mut(index)
}

/// What another reference must have in common to point to the same type.
fn followed(row: &[u8], value: &Value) -> Test {
    let text = row.get(value.start as usize..value.end as usize);
    let text = text.unwrap_or_default();
    let Some((b'"', inside)) = text.split_last() else {
        return Test::Bytes;
    };
    let prefix = inside.iter().rposition(|b| *b == b'/').map_or(1, |i| i + 1);
    let plain = !inside.contains(&b'?')
        && !inside.contains(&b'\\')
        && inside.get(1) != Some(&b'#')
        && inside.len() > prefix;
    match plain {
        true => Test::Target(prefix as u32),
        false => Test::Bytes,
    }
}

/// A position as one between values; `None` inside of one.
fn place(values: &[Value], at: usize) -> Option<Place> {
    let before = values.partition_point(|v| v.end as usize <= at);
    let inside = values.get(before).is_some_and(|v| (v.start as usize) < at);
    let end = match before.checked_sub(1) {
        Some(last) => values.get(last)?.end as usize,
        None => 0,
    };
    let place = Place {
        values: u16::try_from(before).ok()?,
        after: u32::try_from(at - end).ok()?,
    };
    (!inside).then_some(place)
}

/// For every [`STEP`] bytes, the first value that ends there or later.
fn near(values: &[Value], length: usize) -> Box<[u16]> {
    let mut first = 0;
    let mut near = Vec::with_capacity(length / STEP + 1);
    for at in (0..=length).step_by(STEP) {
        while values
            .get(usize::from(first))
            .is_some_and(|v| v.ends_before(at))
        {
            first += 1;
        }
        near.push(first);
    }
    near.into()
}
