//! Rows of one form: most rows of an answer have the same keys in the same order, and differ in
//! their values alone. What becomes of such a row is known from the first one.
//!
//! What comes in: a row, the union it is speculated to be under, and the rows walked before. What
//! goes out: what [`super::row::walk`] would give, or that no form fits, and then the row is
//! walked. **Never here:** an output that the walk would not give, a fault (the walk finds it),
//! anything that outlives its answer (forms hold rows).
//!
//! A form is a row that was walked, where its values are, and which spans of it left. Another row
//! has the form if it is the same but for those values, and each of them is well-formed and of
//! its kind. What the walk reads of a value beyond its kind must be the same ([`Test`]).

mod follow;
mod learn;

use super::Stop;
use super::probe::{Finding, Slot};
use super::row::{Walked, quoted};
use follow::Reached;
pub(crate) use learn::{By, Notes};

/// More forms aren't kept for one answer; [`Forms::find`] has a bit for each.
const MOST_FORMS: usize = 64;
/// Nor more bytes of rows.
const MOST_BYTES: usize = 256 << 10;
/// Forms learned before any fits a row. Each row that one fits allows another.
const FIRST_FORMS: usize = 4;

/// The forms of an answer's rows.
pub(crate) struct Forms {
    forms: Vec<Form>,
    /// The one that fitted last.
    last: usize,
    /// How many more may be learned.
    allowed: usize,
    /// Of all rows that are kept.
    bytes: usize,
    /// Where the values of the row at hand end; before them, where the row begins.
    ends: Vec<u32>,
}

/// A row that was walked, and what became of it.
struct Form {
    row: Box<[u8]>,
    values: Box<[Value]>,
    /// For every [`follow::STEP`] bytes of the row, the first value that ends there or later.
    near: Box<[u16]>,
    pieces: Vec<Piece>,
    found: Vec<Found>,
    withheld: bool,
    /// The row's end.
    end: Place,
    /// The union of grants it was walked under.
    under: u128,
    /// For each form: up to which value both are the same.
    agrees: Vec<u16>,
}

/// A scalar that isn't `null`, and no key.
#[derive(Clone, Copy)]
struct Value {
    start: u32,
    end: u32,
    /// A string; else a number or a boolean.
    text: bool,
    test: Test,
}

/// What a value has in common with the form's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    /// Only its kind.
    Kind,
    /// Every byte: it decided something.
    Bytes,
    /// Its first so many bytes, up to a reference's last `/`; what follows is an id.
    Target(u32),
}

/// A position between two values: so many bytes after the end of the first `values`.
#[derive(Clone, Copy)]
struct Place {
    values: u16,
    after: u32,
}

impl Place {
    fn within(self, ends: &[u32]) -> usize {
        let end = ends.get(usize::from(self.values)).copied();
        end.unwrap_or(0) as usize + self.after as usize
    }
}

/// What leaves.
enum Piece {
    /// A span of the row.
    Span(Place, Place),
    /// Bytes of the view's own.
    Own(Box<[u8]>),
}

/// A value that a decision asks for.
struct Found {
    value: u16,
    slot: Slot,
    object: usize,
}

impl Default for Forms {
    fn default() -> Self {
        Self {
            forms: Vec::new(),
            last: 0,
            allowed: FIRST_FORMS,
            bytes: 0,
            ends: vec![0],
        }
    }
}

impl std::fmt::Debug for Forms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forms")
            .field("forms", &self.forms.len())
            .finish_non_exhaustive()
    }
}

impl Forms {
    /// Appends what leaves of the row at `at` to `out`, as a walk `under` that union would;
    /// `None` where no form fits.
    pub(crate) fn replay<'a>(
        &mut self,
        bytes: &'a [u8],
        at: usize,
        under: u128,
        out: &mut Vec<u8>,
    ) -> Result<Option<Walked<'a>>, Stop> {
        let row = bytes.get(at..).unwrap_or_default();
        if self.forms.is_empty() || u32::try_from(row.len()).is_err() {
            return Ok(None);
        }
        let Some(index) = self.find(row, under)? else {
            return Ok(None);
        };
        let Some(form) = self.forms.get(index) else {
            return Ok(None);
        };
        let Some(findings) = form.findings(row, &self.ends) else {
            return Ok(None);
        };
        self.last = index;
        self.allowed += 1;
        form.write(row, &self.ends, out);
        Ok(Some(Walked {
            end: at + form.end.within(&self.ends),
            findings,
            withheld: form.withheld,
            needs_contained: false,
        }))
    }

    /// The form that the row has; where its values end is known then.
    fn find(&mut self, row: &[u8], under: u128) -> Result<Option<usize>, Stop> {
        let mut untried = 0u64;
        for (index, form) in self.forms.iter().enumerate() {
            untried |= u64::from(form.under == under) << index;
        }
        let mut next = match untried >> self.last & 1 {
            1 => self.last,
            _ => untried.trailing_zeros() as usize,
        };
        // the form that went furthest, and how many values it settled
        let (mut best, mut settled) = (next, 0);
        while let Some(form) = self.forms.get(next) {
            untried &= !(1 << next);
            match form.follow(row, settled, &mut self.ends)? {
                Reached::End => return Ok(Some(next)),
                Reached::Value(value) if value > settled => (best, settled) = (next, value),
                Reached::Value(_) => {}
            }
            // those that are the same up to there may go on as the row does
            let agrees = self.forms.get(best).map_or(&[][..], |form| &form.agrees);
            let mut others = untried;
            loop {
                next = others.trailing_zeros() as usize;
                match agrees.get(next) {
                    Some(agrees) if usize::from(*agrees) < settled => others &= others - 1,
                    _ => break,
                }
            }
        }
        Ok(None)
    }

    /// Whether another form may be learned.
    pub(crate) fn learns(&self) -> bool {
        self.allowed > 0 && self.forms.len() < MOST_FORMS
    }

    /// Keeps the form of the row at the beginning of `row`, which was walked so.
    pub(crate) fn learn(&mut self, row: &[u8], under: u128, by: By<'_>) {
        self.allowed = self.allowed.saturating_sub(1);
        let Some(mut form) = learn::learn(row, by) else {
            return;
        };
        if self.bytes + form.row.len() > MOST_BYTES {
            return;
        }
        self.bytes += form.row.len();
        let ends = self.ends.len().max(form.values.len() + 1);
        self.ends.resize(ends, 0);
        form.under = under;
        form.agrees = self.forms.iter().map(|other| form.agrees(other)).collect();
        for (other, agrees) in self.forms.iter_mut().zip(&form.agrees) {
            other.agrees.push(*agrees);
        }
        form.agrees.push(0);
        self.forms.push(form);
    }
}

impl Form {
    fn write(&self, row: &[u8], ends: &[u32], out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Span(from, to) => {
                    let span = from.within(ends)..to.within(ends);
                    out.extend_from_slice(row.get(span).unwrap_or_default());
                }
                Piece::Own(bytes) => out.extend_from_slice(bytes),
            }
        }
    }

    fn findings<'a>(&self, row: &'a [u8], ends: &[u32]) -> Option<Vec<Finding<'a>>> {
        let mut findings = Vec::with_capacity(self.found.len());
        for found in &self.found {
            let index = usize::from(found.value);
            let end = *ends.get(index + 1)? as usize;
            let before = index.checked_sub(1).and_then(|i| self.values.get(i));
            let value = self.values.get(index)?;
            let gap = value.start - before.map_or(0, |v| v.end);
            let start = *ends.get(index)? as usize + gap as usize;
            let text = match value.text {
                true => quoted(row, start, end)?,
                false => std::str::from_utf8(row.get(start..end)?).ok()?.into(),
            };
            findings.push(Finding {
                slot: found.slot,
                object: found.object,
                text,
            });
        }
        Some(findings)
    }
}
