//! What of the row is written, and taken back.

use super::super::scan;
use super::super::sink::Sink;
use super::Walk;

/// A point to which the output can return.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    length: usize,
    run: usize,
    at: usize,
}

impl<S: Sink> Walk<'_, '_, S> {
    /// First position at or after `at` that is not white space; under a view that hides
    /// something, what was skipped doesn't leave.
    #[inline]
    pub(super) fn space(&mut self, at: usize) -> usize {
        match self.bytes.get(at) {
            Some(b' ' | b'\n' | b'\r' | b'\t') => {}
            _ => return at,
        }
        let end = scan::skip_space(self.bytes, at);
        if !self.view.whole {
            self.cut(at, end);
        }
        end
    }

    #[inline]
    pub(super) fn mark(&self, at: usize) -> Mark {
        Mark {
            length: self.out.length(),
            run: self.run,
            at,
        }
    }

    /// Takes back all that was written since `mark`, and cuts from there to `end`.
    pub(super) fn back(&mut self, mark: Mark, end: usize) {
        self.out.truncate(mark.length);
        self.run = mark.run;
        self.cut(mark.at, end);
    }

    /// Leaves out `from..to`.
    #[inline]
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.flush(from);
        self.run = to;
    }

    /// Copies up to `to`.
    #[inline]
    pub(super) fn flush(&mut self, to: usize) {
        self.out.copy(self.bytes, self.run, to);
        self.run = to;
    }

    /// Puts a member before position `at`.
    pub(super) fn put(&mut self, at: usize, comma: bool, parts: &[&[u8]]) {
        self.flush(at);
        if comma {
            self.out.put(b",");
        }
        for part in parts {
            self.out.put(part);
        }
    }
}
