//! Packs: who may do what, read from TOML and compiled to a [`Program`].
//!
//! What comes in: the texts of a service's packs. What goes out: an immutable program known by
//! name and content hash, or every error at once with its place. **Never here:** a request.

pub(crate) mod compile;
mod condition;
mod path;
mod read;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use crate::decide::stance::{Stance, StanceKey};
use crate::fhir::labels::Purpose;
use crate::fhir::tables::TypeId;
use crate::mask::rule::Rule;
use crate::source::{Diagnostics, Source, nearest};

pub(crate) use condition::Condition;

/// Why a path or a condition can't be used, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Wrong {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: Some(help.into()),
        }
    }

    /// Names the nearest known word, if one is near.
    fn with_nearest<'a>(
        message: impl Into<String>,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            message: message.into(),
            help: nearest(word, known).map(|name| format!("did you mean `{name}`?")),
        }
    }
}

/// The packs of one service, compiled.
#[derive(Debug)]
pub struct Program {
    /// `outpatient@0123456789ab`: names and the start of the content hash.
    pub(crate) id: Arc<str>,
    pub(crate) roles: Vec<Role>,
    pub(crate) classes: Vec<Class>,
    pub(crate) grants: Vec<Grant>,
    /// Grants that name the type, by type index.
    pub(crate) by_type: Vec<Vec<usize>>,
    /// Extensions that a view which hides something keeps.
    pub(crate) extensions: Arc<[Box<str>]>,
    /// What was worked out for sets of rights seen before.
    pub(crate) stances: RwLock<HashMap<StanceKey, Arc<Stance>>>,
}

#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) name: Arc<str>,
    /// Empty: every purpose but BTG.
    pub(crate) purposes: Vec<Purpose>,
}

/// A sensitivity class: rows that have one of its labels need a grant that lists it.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: Arc<str>,
    pub(crate) labels: Vec<Label>,
}

/// A label's code; `system` is `None` for the two systems of labels and for none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) system: Option<Box<str>>,
    pub(crate) code: Box<str>,
}

/// A set of classes, by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub(crate) struct Classes(pub(crate) u128);

impl Classes {
    pub(crate) const MOST: usize = 128;

    pub(crate) fn add(&mut self, index: usize) {
        self.0 |= 1u128
            .checked_shl(u32::try_from(index).unwrap_or(u32::MAX))
            .unwrap_or(0);
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn indexes(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let next = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(next)
        })
    }
}

/// What a grant lets do. None contains another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Can {
    /// Read a resource, or a version of it.
    Read,
    /// Search the type.
    Search,
    /// Ask for histories.
    History,
    /// Make new ones.
    Create,
    /// Write anew.
    Update,
    /// Change parts.
    Patch,
    /// Delete.
    Delete,
}

impl Can {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Search,
        Self::History,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
    ];

    /// As packs write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::History => "history",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Grant {
    /// `nurse#1`: the role and the grant's place in it, from 1.
    pub(crate) name: Arc<str>,
    pub(crate) role: usize,
    pub(crate) can: Vec<Can>,
    pub(crate) classes: Classes,
    pub(crate) types: Vec<Granted>,
}

/// What a grant says of one type.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) resource: TypeId,
    pub(crate) rule: Rule,
    /// All must hold of a row.
    pub(crate) conditions: Vec<Condition>,
}

impl Program {
    /// Compiles the packs of one service. All that is wrong is told at once.
    pub fn compile(sources: &[Source]) -> Result<Self, Diagnostics> {
        compile::compile(sources)
    }

    /// Names and content hash: `outpatient@0123456789ab`.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The names of the roles, for checking a configuration's maps.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| &*role.name)
    }

    /// How many grants there are.
    pub fn grant_count(&self) -> usize {
        self.grants.len()
    }
}
