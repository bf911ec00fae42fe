//! Contained resources of a row, judged before it is walked.
//!
//! In: each with its id, type and view. Out: the views in their order, and what a reference to an
//! id may show. A row may have as many of both as fit, so an id is looked up and never sought.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fhir::tables::TypeId;
use crate::mask::view::{Copies, View};

/// A contained resource.
#[derive(Debug, Default)]
pub(crate) struct Contained {
    pub(crate) id: Box<str>,
    /// `None`: of a type that the tables don't know, or no resource.
    pub(crate) resource: Option<TypeId>,
    /// `None`: it goes, with the references to it.
    pub(crate) view: Option<Arc<View>>,
}

/// All of a row, in their order.
#[derive(Debug, Default)]
pub(crate) struct AllContained {
    items: Vec<Contained>,
    /// By id; several may have the same.
    ids: HashMap<Box<str>, Named>,
}

/// Those that have one id.
#[derive(Debug, Default)]
struct Named {
    /// One of them goes.
    goes: bool,
    /// Their types, each once.
    types: Vec<Option<TypeId>>,
}

impl AllContained {
    /// The views of all, in their order.
    pub(super) fn views(&self) -> impl Iterator<Item = Option<&View>> {
        self.items.iter().map(|one| one.view.as_deref())
    }

    /// What of a reference to this id may stay; `None`: it goes.
    pub(super) fn shown(&self, id: &str, copies: &Copies) -> Option<u8> {
        // several with one id: it goes with the first that goes
        let named = self.ids.get(id).filter(|named| !named.goes)?;
        let of = |t: &Option<TypeId>| t.map_or(0, |t| copies.of(t));
        Some(named.types.iter().fold(3, |kept, t| kept & of(t)))
    }
}

impl FromIterator<Contained> for AllContained {
    fn from_iter<I: IntoIterator<Item = Contained>>(all: I) -> Self {
        let mut found = Self::default();
        for one in all {
            let named = found.ids.entry(one.id.clone()).or_default();
            named.goes |= one.view.is_none();
            if !named.types.contains(&one.resource) {
                named.types.push(one.resource);
            }
            found.items.push(one);
        }
        found
    }
}
