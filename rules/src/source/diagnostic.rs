//! What is wrong, where, and how to say it: with carets for people, as JSON
//! lines for tools.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use serde_json::json;

use super::{Source, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The source can't be used.
    Error,
    /// It can, but its author should look.
    Warning,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// The text it is about.
    pub source: Source,
    /// Where in it.
    pub span: Span,
    /// What is wrong: lowercase, names in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// How bad it is.
    pub severity: Severity,
}

impl Diagnostic {
    /// Line and column, both from 1, the column in characters.
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.span.start)
    }

    /// With the line of the source, a caret and the help; no trailing newline.
    pub fn render(&self) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let snippet = Snippet::source(self.source.text())
            .path(self.source.name())
            .annotation(AnnotationKind::Primary.span(self.drawable()));
        let mut report = vec![level.primary_title(clean(&self.message)).element(snippet)];
        if let Some(help) = &self.help {
            report.push(Group::with_title(Level::HELP.secondary_title(clean(help))));
        }
        Renderer::plain().render(&report).trim_end().to_owned()
    }

    fn json(&self) -> String {
        let (line, column) = self.position();
        json!({
            "severity": self.severity.name(),
            "file": self.source.name(),
            "line": line,
            "column": column,
            "message": self.message,
            "help": self.help,
        })
        .to_string()
    }

    /// The span, kept on its first line and on character boundaries.
    fn drawable(&self) -> std::ops::Range<usize> {
        let text = self.source.text();
        let start = text.floor_char_boundary(self.span.start);
        let end = text.floor_char_boundary(self.span.end.max(start));
        let line = text.get(start..end).unwrap_or("");
        let length = line.find(['\r', '\n']).unwrap_or(line.len());
        start..start + length
    }
}

/// One line: `file:line:column: error: message (help)`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        let (name, severity) = (self.source.name(), self.severity.name());
        write!(
            f,
            "{name}:{line}:{column}: {severity}: {}",
            clean(&self.message)
        )?;
        match &self.help {
            Some(help) => write!(f, " ({})", clean(help)),
            None => Ok(()),
        }
    }
}

/// A key may hold an escape sequence; a terminal must not see it.
fn clean(text: &str) -> String {
    normalize_untrusted_str(text)
}

/// All findings, of one source or of several.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Adds an error without help.
    pub fn error(&mut self, source: &Source, span: Span, message: impl Into<String>) {
        self.add(Severity::Error, source, span, message.into(), None);
    }

    /// Adds an error that says what to do.
    pub fn error_with_help(
        &mut self,
        source: &Source,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let help = Some(help.into());
        self.add(Severity::Error, source, span, message.into(), help);
    }

    /// Adds a warning.
    pub fn warning(&mut self, source: &Source, span: Span, message: impl Into<String>) {
        self.add(Severity::Warning, source, span, message.into(), None);
    }

    /// Takes over the findings of another collector.
    pub fn append(&mut self, other: Diagnostics) {
        self.list.extend(other.list);
    }

    /// Orders by file name, then by place.
    pub fn sort(&mut self) {
        self.list
            .sort_by(|a, b| (a.source.name(), a.span).cmp(&(b.source.name(), b.span)));
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many findings there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// The findings, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// For people: every finding with its line and caret, a blank line between.
    pub fn render(&self) -> String {
        let all: Vec<_> = self.list.iter().map(Diagnostic::render).collect();
        all.join("\n\n")
    }

    /// For tools: one JSON object a line, each line ended.
    pub fn render_json(&self) -> String {
        self.list.iter().map(|d| d.json() + "\n").collect()
    }

    fn add(
        &mut self,
        severity: Severity,
        source: &Source,
        span: Span,
        message: String,
        help: Option<String>,
    ) {
        let source = source.clone();
        self.push(Diagnostic {
            source,
            span,
            message,
            help,
            severity,
        });
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

impl std::error::Error for Diagnostics {}
