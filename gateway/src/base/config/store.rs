//! `[journal]`, `[secrets]` and `[log]`: what the gateway keeps and says.

use std::path::PathBuf;

use chartward_rules::source::{Spanned, Table};

use super::{Handles, place::Place};

/// Where records go, and when they count as written.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Made where absent. Default `journal`.
    pub directory: PathBuf,
    /// Default `fsync`.
    pub durability: Durability,
}

/// What a receipt promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The record survives the machine's sudden end.
    Fsync,
    /// It survives the process's.
    Write,
}

impl Journal {
    pub(super) fn read(mut t: Table<'_>, place: &Place<'_>) -> Self {
        t.not_enforced(&["key"]);
        let directory = t.str("directory");
        let words = [("fsync", Durability::Fsync), ("write", Durability::Write)];
        let durability = t.choice("durability", &words);
        Self {
            directory: place.resolve(directory.as_ref().map_or("journal", |found| found)),
            durability: durability.map_or(Durability::Fsync, |found| found.value),
        }
    }
}

/// The gateway's own keys.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Seals page handles. Default the file `secrets/handles.key`.
    pub handles: Handles,
}

impl Secrets {
    pub(super) fn read(mut t: Table<'_>, place: &Place<'_>) -> Option<Self> {
        let usual = Spanned::new("secrets/handles.key".to_owned(), t.span());
        let named = t.str("handles").unwrap_or(usual);
        Some(Self {
            handles: Handles::read(&t, place, &named)?,
        })
    }
}

/// What goes to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Default `info`.
    pub level: Level,
    /// Default `text`.
    pub format: LogFormat,
}

/// The least that is worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What must be looked at now.
    Error,
    /// What should be.
    Warn,
    /// Starts, stops and changes.
    Info,
    /// Each request, without patient data.
    Debug,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Log {
    pub(super) fn read(mut t: Table<'_>) -> Self {
        let level = t.choice(
            "level",
            &[
                ("error", Level::Error),
                ("warn", Level::Warn),
                ("info", Level::Info),
                ("debug", Level::Debug),
            ],
        );
        let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = t.choice("format", &words);
        Self {
            level: level.map_or(Level::Info, |found| found.value),
            format: format.map_or(LogFormat::Text, |found| found.value),
        }
    }
}
