//! A request as FHIR understands it (http://hl7.org/fhir/R4/http.html). What isn't understood is
//! refused.
//!
//! In: a head and, where there is one, its whole body. Out: an [`Interaction`], which is decided
//! on and from which the request that is sent is written anew. **Never here:** a row of the
//! upstream, or who asks.

mod body;
mod conditions;
mod entries;
mod paging;
mod patch;
mod place;
mod shape;
mod system;
#[cfg(test)]
mod tests;
mod understand;

pub use understand::understand;

use std::fmt;

use bytes::Bytes;

use super::search::Search;
use super::tables::{TypeId, r4};
use crate::pack::Can;
use crate::record::Action;
use crate::refusal::{No, Reason};
use place::Place;

/// What is asked.
#[derive(Debug, Clone)]
pub enum Interaction {
    /// `GET [base]/metadata`
    Capabilities,
    /// `OPTIONS` of a target that is understood.
    Options {
        /// The methods that the target has, for `Allow`.
        allow: &'static str,
    },
    /// `GET [base]/[type]/[id]`
    Read {
        /// The type.
        resource: TypeId,
        /// The logical id, well-formed.
        id: Box<str>,
    },
    /// `GET [base]/[type]/[id]/_history/[vid]`
    VRead {
        /// The type.
        resource: TypeId,
        /// The logical id, well-formed.
        id: Box<str>,
        /// The version, well-formed as an id.
        version: Box<str>,
    },
    /// `GET …/_history` at one of three levels.
    History(History),
    /// `GET [base]/[type]?…`, `POST [base]/[type]/_search`, and both below a compartment.
    Search(Search),
    /// `GET [base]?…` and `POST [base]/_search`.
    SystemSearch(SystemSearch),
    /// `POST [base]/[type]`
    Create(Create),
    /// `PUT [base]/[type]/[id]` and `PUT [base]/[type]?…`
    Update(Update),
    /// `PATCH [base]/[type]/[id]` and `PATCH [base]/[type]?…`
    Patch(Patch),
    /// `DELETE [base]/[type]/[id]` and `DELETE [base]/[type]?…`
    Delete(Delete),
    /// `POST [base]` with a Bundle.
    Bundle(Bundle),
}

/// One resource, or a patch, as the caller wrote it: valid JSON, keys unique, depth bounded.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Bytes);

impl Body {
    pub(crate) fn checked(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// A resource of this type that a patch made: read as one that came would be.
    pub(crate) fn of_patch(bytes: Bytes, resource: TypeId) -> Result<Self, No> {
        let request = Request {
            body: Some(&bytes),
            content_type: Some("application/fhir+json"),
            ..Request::new("PUT", "", "")
        };
        body::resource(&request, resource).map(|(body, _)| body)
    }

    /// The bytes as they came.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

/// `_history` (http.html#history).
#[derive(Debug, Clone)]
pub struct History {
    /// Of what.
    pub level: Level,
    /// `_count`, as asked.
    pub count: Option<u32>,
    /// `_since`, a well-formed instant.
    pub since: Option<Box<str>>,
    /// A page of it.
    pub page: Page,
}

/// How much a history is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// Everything.
    System,
    /// One type.
    Type(TypeId),
    /// One resource.
    Instance(TypeId, Box<str>),
}

/// Where a page's handle leads. All empty for a first page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// A handle made by this gateway, still sealed.
    pub handle: Option<String>,
    /// Where the upstream goes on, once the handle was opened: a path and query below its base.
    pub position: Option<String>,
    /// The purpose that the handle is bound to.
    pub purpose: Option<String>,
}

/// A search over several types: the same parameters, understood for each.
#[derive(Debug, Clone)]
pub struct SystemSearch {
    /// One for each type of `_type`, in the order asked, with parameters that all types have.
    /// `None`: no `_type`; decide takes the types that the caller may search.
    pub types: Option<Vec<Search>>,
    /// The parameters as asked, `_type`, `_count` and `_format` apart.
    pub pairs: Vec<(String, String)>,
    /// `_count`, as asked.
    pub count: Option<u32>,
    /// Asked by POST.
    pub form: bool,
    /// A page of it.
    pub page: Page,
}

/// A resource to be made.
#[derive(Debug, Clone)]
pub struct Create {
    /// Its type; the body's `resourceType` is the same.
    pub resource: TypeId,
    /// The resource.
    pub body: Body,
    /// `If-None-Exist`, understood as a search of the type.
    pub if_none_exist: Option<Search>,
}

/// What a write is aimed at.
#[derive(Debug, Clone)]
pub enum Aim {
    /// The resource of this id; the id of an update's body is the same.
    Id(Box<str>),
    /// What this search of the type finds. It has at least one filter.
    Found(Search),
}

/// A resource to be written anew.
#[derive(Debug, Clone)]
pub struct Update {
    /// Its type; the body's `resourceType` is the same.
    pub resource: TypeId,
    /// Which one.
    pub aim: Aim,
    /// The resource.
    pub body: Body,
    /// The version of `If-Match: W/"…"`.
    pub if_match: Option<Box<str>>,
}

/// A JSON Patch (RFC 6902) to be applied.
#[derive(Debug, Clone)]
pub struct Patch {
    /// The type.
    pub resource: TypeId,
    /// Which one.
    pub aim: Aim,
    /// The patch: a JSON array.
    pub body: Body,
    /// The version of `If-Match: W/"…"`.
    pub if_match: Option<Box<str>>,
}

/// A resource to be deleted.
#[derive(Debug, Clone)]
pub struct Delete {
    /// The type.
    pub resource: TypeId,
    /// Which one.
    pub aim: Aim,
    /// The version of `If-Match: W/"…"`.
    pub if_match: Option<Box<str>>,
}

/// A batch or a transaction.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Whole or not at all.
    pub transaction: bool,
    /// In the order sent.
    pub entries: Vec<Entry>,
}

/// One entry: what it asks, or why that isn't understood.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `fullUrl`, as sent.
    pub full_url: Option<Box<str>>,
    /// Never a Bundle, an `OPTIONS`, `metadata` or a page's handle. In a transaction always `Ok`.
    pub asks: Result<Interaction, No>,
}

/// A request as far as FHIR sees it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The path below the service, with its leading `/`; empty for the base itself.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: &'a str,
    /// The body of a form, where there is one.
    pub form: Option<&'a str>,
    /// The body of a write, where there is one.
    pub body: Option<&'a Bytes>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `If-Match`.
    pub if_match: Option<&'a str>,
    /// `If-None-Exist`.
    pub if_none_exist: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A request without a body, without conditions.
    pub fn new(method: &'a str, path: &'a str, query: &'a str) -> Self {
        Self {
            method,
            path,
            query,
            form: None,
            body: None,
            content_type: None,
            if_match: None,
            if_none_exist: None,
        }
    }
}

/// What a request's body is, by method and path alone: known before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// No body; one that comes is refused.
    Nothing,
    /// The form of a `_search`.
    Form,
    /// A resource or a patch, of this type, to do this with it.
    Resource(TypeId, Can),
    /// A batch or transaction.
    Bundle,
}

impl Interaction {
    /// What the body is that a method and a path come with, by these alone. A path that isn't
    /// understood takes nothing.
    pub fn takes(method: &str, path: &str) -> Takes {
        Place::of(path).map_or(Takes::Nothing, |place| place.takes(method))
    }

    /// Whether it may change something upstream.
    pub fn is_unsafe(&self) -> bool {
        matches!(
            self,
            Self::Create(_) | Self::Update(_) | Self::Patch(_) | Self::Delete(_) | Self::Bundle(_)
        )
    }

    /// Whether its answer goes on under other rights when these change. That of a single write
    /// says what was done; of a Bundle's entries, some may be reads that are still to come.
    pub fn may_go_on(&self) -> bool {
        !self.is_unsafe() || matches!(self, Self::Bundle(_))
    }

    /// Whether a row may be missing in its answer that isn't an answer of its own: in a batch (D15).
    pub fn may_miss(&self) -> bool {
        let Self::Bundle(bundle) = self else {
            return false;
        };
        let mut asked = bundle.entries.iter().flat_map(|entry| &entry.asks);
        !bundle.transaction
            && asked.any(|asks| !matches!(asks, Self::Search(_) | Self::SystemSearch(_)))
    }

    /// Whether it changes something upstream, a Bundle's entries included.
    pub fn writes(&self) -> bool {
        match self {
            Self::Bundle(bundle) => {
                let mut entries = bundle.entries.iter().flat_map(|entry| &entry.asks);
                entries.any(Self::is_unsafe)
            }
            other => other.is_unsafe(),
        }
    }

    /// Every word for an interaction, as records and metrics have it
    /// (http://hl7.org/fhir/restful-interaction, and this gateway's own `options`).
    pub const WORDS: [&str; 16] = [
        "read",
        "search-type",
        "capabilities",
        "options",
        "vread",
        "history-instance",
        "history-type",
        "history-system",
        "search-compartment",
        "search-system",
        "create",
        "update",
        "patch",
        "delete",
        "batch",
        "transaction",
    ];

    /// The word for it, one of [`Interaction::WORDS`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Options { .. } => "options",
            Self::Read { .. } => "read",
            Self::VRead { .. } => "vread",
            Self::History(history) => match history.level {
                Level::System => "history-system",
                Level::Type(_) => "history-type",
                Level::Instance(..) => "history-instance",
            },
            Self::Search(search) if search.within.is_some() => "search-compartment",
            Self::Search(_) => "search-type",
            Self::SystemSearch(_) => "search-system",
            Self::Create(_) => "create",
            Self::Update(_) => "update",
            Self::Patch(_) => "patch",
            Self::Delete(_) => "delete",
            Self::Bundle(bundle) if bundle.transaction => "transaction",
            Self::Bundle(_) => "batch",
        }
    }

    /// The record's words for it.
    pub fn action(&self) -> Action {
        let (resource, id) = self.aim();
        let version = match self {
            Self::VRead { version, .. } => Some(version.clone()),
            _ => None,
        };
        let entries = match self {
            Self::Bundle(bundle) => bundle.entries.iter().map(Entry::action).collect(),
            _ => Vec::new(),
        };
        Action {
            interaction: self.word(),
            within: match self {
                Self::Search(Search { within, .. }) => within
                    .as_ref()
                    .map(|(t, id)| format!("{}/{id}", r4().name(*t)).into()),
                _ => None,
            },
            resource: resource.map(|r| r4().name(r)),
            id: id.map(Box::from),
            version,
            query: Some(self.query())
                .filter(|query| !query.is_empty() || matches!(self, Self::Search(_)))
                .map(Into::into),
            entries,
            refused: None,
        }
    }

    /// The type and the id that it names.
    fn aim(&self) -> (Option<TypeId>, Option<&str>) {
        match self {
            Self::Capabilities | Self::Options { .. } | Self::Bundle(_) | Self::SystemSearch(_) => {
                (None, None)
            }
            Self::Read { resource, id } | Self::VRead { resource, id, .. } => {
                (Some(*resource), Some(id))
            }
            Self::History(history) => match &history.level {
                Level::System => (None, None),
                Level::Type(resource) => (Some(*resource), None),
                Level::Instance(resource, id) => (Some(*resource), Some(id)),
            },
            Self::Search(search) => (Some(search.resource), None),
            Self::Create(create) => (Some(create.resource), None),
            Self::Update(Update { resource, aim, .. })
            | Self::Patch(Patch { resource, aim, .. })
            | Self::Delete(Delete { resource, aim, .. }) => match aim {
                Aim::Id(id) => (Some(*resource), Some(id)),
                Aim::Found(_) => (Some(*resource), None),
            },
        }
    }
}

impl Entry {
    fn action(&self) -> Result<Action, Reason> {
        match &self.asks {
            Ok(interaction) => Ok(interaction.action()),
            Err(no) => Err(no.reason),
        }
    }
}
