//! Reading TOML with spans, and telling all that is wrong with it at once.
//!
//! In: the text of a pack or a configuration, already in memory. Out: typed
//! values that remember where they stand, and [`Diagnostics`] that point at
//! file, line and column. Never here: opening files, and stopping at the first
//! error. serde's derive is avoided on purpose: it stops at the first error and
//! loses spans.

mod diagnostic;
mod quantity;
mod suggest;
mod table;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt,
    ops::{Deref, Range},
    sync::Arc,
};

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use suggest::nearest;
pub use table::{Named, Table, Words};

/// A text and the name it is known by; cheap to clone.
#[derive(Clone)]
pub struct Source(Arc<Text>);

struct Text {
    name: String,
    text: String,
}

impl Source {
    /// A source named as the user named the file.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self(Arc::new(Text {
            name: name.into(),
            text: text.into(),
        }))
    }

    /// The file name, as given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Line and column of a byte offset, both from 1, the column in characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let end = self.text().floor_char_boundary(offset);
        let before = self.text().get(..end).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name()).finish()
    }
}

/// A range of bytes in a [`Source`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
        }
    }
}

/// A value and where it stands. It reads like the value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands in its source.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value found at `span`.
    pub fn new(value: T, span: impl Into<Span>) -> Self {
        Self {
            value,
            span: span.into(),
        }
    }

    /// Another value at the same place.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned {
            value: f(self.value),
            span: self.span,
        }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// What [`read`] made of a source.
#[derive(Debug)]
pub struct Outcome<T> {
    /// What the reader returned; `None` where it could not go on or the text is
    /// not TOML.
    pub value: Option<T>,
    /// All that is wrong, in the order of the text.
    pub diagnostics: Diagnostics,
    /// The keys that were asked for and those that the text has.
    pub schema: Schema,
}

impl<T> Outcome<T> {
    /// The value, if there is no error (warnings are dropped).
    pub fn into_result(self) -> Result<T, Diagnostics> {
        match self.value {
            Some(value) if !self.diagnostics.has_errors() => Ok(value),
            _ => Err(self.diagnostics),
        }
    }
}

/// Dotted keys (`service.page.max`; `*` stands for a name of the user's choice).
#[derive(Debug, Default)]
pub struct Schema {
    /// Keys that the reader asked for.
    pub asked: BTreeSet<String>,
    /// Keys that the text has, in tables that were asked for.
    pub present: BTreeSet<String>,
}

impl Schema {
    /// Keys that the reader understands and the text doesn't show.
    pub fn undocumented(&self) -> Vec<&str> {
        self.asked
            .difference(&self.present)
            .map(String::as_str)
            .collect()
    }
}

/// What all tables of one source share while it is read.
pub(crate) struct Reader {
    source: Source,
    found: RefCell<Diagnostics>,
    schema: RefCell<Schema>,
}

impl Reader {
    fn error(&self, span: Span, message: String, help: Option<String>) {
        self.found.borrow_mut().push(Diagnostic {
            source: self.source.clone(),
            span,
            message,
            help,
            severity: Severity::Error,
        });
    }
}

/// Parses `source` and lets `body` read its root table.
///
/// All syntax errors are reported, and then `body` isn't called. Keys that
/// `body` didn't ask for are reported when a table is dropped, at the latest at
/// the end.
pub fn read<T>(source: &Source, body: impl FnOnce(&mut Table<'_>) -> Option<T>) -> Outcome<T> {
    let reader = Reader {
        source: source.clone(),
        found: RefCell::default(),
        schema: RefCell::default(),
    };
    let (document, errors) = toml::de::DeTable::parse_recoverable(source.text());
    for error in &errors {
        let span = error.span().map(Span::from).unwrap_or_default();
        reader.error(span, error.message().to_owned(), None);
    }
    let value = if errors.is_empty() {
        let mut root = Table::root(&reader, document.get_ref());
        body(&mut root)
    } else {
        None
    };
    let mut diagnostics = reader.found.into_inner();
    if value.is_none() && !diagnostics.has_errors() {
        diagnostics.error(source, Span::default(), "this file can't be understood");
    }
    diagnostics.sort();
    Outcome {
        value,
        diagnostics,
        schema: reader.schema.into_inner(),
    }
}

#[cfg(test)]
mod tests;
