//! The entries of a batch or transaction (http.html#transaction), each understood as a request of
//! its own by the same reading.
//!
//! In: the request with a Bundle for a body. Out: a [`Bundle`]. A batch's entry that isn't
//! understood is a "no" in its place; a transaction with one is refused whole.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::shape::{self, Shape};
use super::understand::understand as reading;
use super::{Aim, Bundle, Delete, Entry, Interaction, Patch, Request, Update, body, system};
use crate::fhir::search;
use crate::fhir::tables::{TypeId, r4};
use crate::mask::scan::skip_space;
use crate::refusal::{No, Reason};

/// Most entries of one Bundle.
const MOST: usize = 1_000;
/// Longest `fullUrl`, bytes.
const LONGEST: usize = 1_024;
/// Longest target and condition of an entry, bytes: as long as those of a request usually may be.
const LONGEST_TARGET: usize = 8 * 1_024;
/// Most bytes of targets and conditions together: all of them are recorded.
const MOST_TARGETS: usize = 512 * 1_024;
/// Most that the searches of several types weigh together.
const MOST_SYSTEM: usize = 1_024 * 1_024;

fn odd(name: impl Into<Box<str>>) -> No {
    No::named(Reason::NotUnderstood, name)
}

fn unsupported(name: &str) -> No {
    No::named(Reason::NotSupported, name)
}

/// Understands a Bundle's entries.
pub(super) fn understand(request: &Request<'_>) -> Result<Bundle, No> {
    let bytes = body::json(request)?;
    let start = skip_space(bytes, 0);
    if bytes.get(start) != Some(&b'{') {
        return Err(odd("Bundle").because("not an object"));
    }
    shape::whole(bytes, "Bundle", Shape::Any)?;
    let (mut resource, mut kind, mut list) = (None, None, None);
    for (key, at, _) in shape::members(bytes, start)? {
        match &*key {
            "resourceType" => resource = shape::string_at(bytes, at),
            "type" => kind = shape::string_at(bytes, at),
            "entry" if bytes.get(at) == Some(&b'[') => list = Some(at),
            "id" | "meta" | "identifier" | "timestamp" | "language" => known(bytes, at, &key)?,
            _ => return Err(odd(format!("Bundle.{}", shape::shown(&key)))),
        }
    }
    if resource.as_deref() != Some("Bundle") {
        return Err(odd("resourceType"));
    }
    let transaction = match kind.as_deref() {
        Some("transaction") => true,
        Some("batch") => false,
        _ => return Err(odd("Bundle.type")),
    };
    let list = match list {
        Some(at) => shape::items(bytes, at, MOST, "Bundle.entry")?,
        None => Vec::new(),
    };
    let mut entries = Vec::with_capacity(list.len());
    let mut places = HashSet::new();
    let (mut targets, mut weight) = (0, 0);
    for at in list {
        let entry = Parts::read(bytes, at)?;
        targets += entry.asked_bytes();
        if targets > MOST_TARGETS {
            return Err(No::named(Reason::TooLarge, "Bundle.entry.request.url"));
        }
        if let Some(url) = &entry.full_url
            && !places.insert(url.clone())
        {
            return Err(odd("Bundle.entry.fullUrl").because("twice"));
        }
        let asks = entry.understand(bytes);
        if let Ok(Interaction::SystemSearch(system)) = &asks {
            weight += system::weight(system);
        }
        if weight > MOST_SYSTEM {
            return Err(No::named(Reason::TooLarge, "_type"));
        }
        entries.push(Entry {
            full_url: entry.full_url.map(|url| Box::from(&*url)),
            asks: match (asks, transaction) {
                (Err(no), true) => return Err(no),
                (asks, _) => asks,
            },
        });
    }
    if transaction {
        distinct(&entries)?;
    }
    Ok(Bundle {
        transaction,
        entries,
    })
}

/// An element of the Bundle itself, by the tables.
fn known(bytes: &Bytes, at: usize, key: &str) -> Result<(), No> {
    let root = r4().resource("Bundle").map(|bundle| r4().root(bundle));
    let found = root.and_then(|root| shape::slot(root, key));
    let Some((_, slot)) = found else {
        return Err(odd(format!("Bundle.{}", shape::shown(key))));
    };
    let mut walk = shape::Walk::at(bytes, &format!("Bundle.{key}"));
    walk.slot(at, 1, slot).map(drop)
}

/// No resource is written twice: what remains would depend on an order that FHIR leaves open.
fn distinct(entries: &[Entry]) -> Result<(), No> {
    let mut aims: HashSet<(TypeId, Cow<'_, str>)> = HashSet::new();
    for entry in entries {
        let Ok(
            Interaction::Update(Update { resource, aim, .. })
            | Interaction::Patch(Patch { resource, aim, .. })
            | Interaction::Delete(Delete { resource, aim, .. }),
        ) = &entry.asks
        else {
            continue;
        };
        let aim = match aim {
            Aim::Id(id) => Cow::Borrowed(&**id),
            // never an id: it has a `=`
            Aim::Found(search) => Cow::Owned(search::write(search)),
        };
        if !aims.insert((*resource, aim)) {
            return Err(odd("Bundle.entry.request.url").because("written twice"));
        }
    }
    Ok(())
}

/// What an entry says, not yet understood.
#[derive(Default)]
struct Parts<'a> {
    full_url: Option<Cow<'a, str>>,
    /// Where the resource begins and ends.
    resource: Option<(usize, usize)>,
    method: Option<Cow<'a, str>>,
    url: Option<Cow<'a, str>>,
    if_match: Option<Cow<'a, str>>,
    if_none_exist: Option<Cow<'a, str>>,
    /// What of it isn't understood, first of all.
    no: Option<No>,
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Result<Self, No> {
        if bytes.get(at) != Some(&b'{') {
            return Err(odd("Bundle.entry").because("not an object"));
        }
        let mut parts = Self::default();
        for (key, at, end) in shape::members(bytes, at)? {
            let first = bytes.get(at);
            match &*key {
                "fullUrl" => {
                    let url = shape::string_at(bytes, at).filter(|url| is_plain(url));
                    parts.full_url = Some(url.ok_or_else(|| odd("Bundle.entry.fullUrl"))?);
                }
                "resource" if first == Some(&b'{') => parts.resource = Some((at, end)),
                "request" if first == Some(&b'{') => parts.request(bytes, at)?,
                _ => parts.refuse(odd(format!("Bundle.entry.{}", shape::shown(&key)))),
            }
        }
        Ok(parts)
    }

    /// How much of it is target and condition.
    fn asked_bytes(&self) -> usize {
        let length = |text: &Option<Cow<'_, str>>| text.as_ref().map_or(0, |text| text.len());
        length(&self.url) + length(&self.if_none_exist)
    }

    fn refuse(&mut self, no: No) {
        self.no.get_or_insert(no);
    }

    fn request(&mut self, bytes: &'a [u8], at: usize) -> Result<(), No> {
        for (key, at, _) in shape::members(bytes, at)? {
            let name = || format!("Bundle.entry.request.{}", shape::shown(&key));
            let Some(value) = shape::string_at(bytes, at) else {
                self.refuse(odd(name()));
                continue;
            };
            match &*key {
                "method" => self.method = Some(value),
                "url" => self.url = Some(value),
                "ifMatch" => self.if_match = Some(value),
                "ifNoneExist" => self.if_none_exist = Some(value),
                "ifNoneMatch" | "ifModifiedSince" => self.refuse(unsupported(&name())),
                _ => self.refuse(odd(name())),
            }
        }
        Ok(())
    }

    fn understand(&self, bytes: &Bytes) -> Result<Interaction, No> {
        if let Some(no) = &self.no {
            return Err(no.clone());
        }
        let missing = |name| odd(name).because("none");
        let method = self.method.as_deref();
        let method = method.ok_or_else(|| missing("Bundle.entry.request.method"))?;
        let url = self.url.as_deref();
        let url = url.ok_or_else(|| missing("Bundle.entry.request.url"))?;
        match method {
            "GET" | "POST" | "PUT" | "PATCH" | "DELETE" => {}
            "HEAD" => return Err(unsupported("HEAD in a Bundle")),
            _ => return Err(odd("Bundle.entry.request.method")),
        }
        if url.len() > LONGEST_TARGET {
            return Err(No::new(Reason::TargetTooLong));
        }
        let condition = self.if_none_exist.as_deref().unwrap_or("");
        if condition.len() > LONGEST_TARGET {
            return Err(No::new(Reason::HeadTooLarge));
        }
        // relative to the base, with nothing before it
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        if url.is_empty() || path.starts_with('/') || path.contains(':') {
            return Err(odd("Bundle.entry.request.url"));
        }
        let path = match path {
            "" if method == "POST" => return Err(unsupported("batch in a batch")),
            "" => String::new(),
            path => format!("/{path}"),
        };
        if method == "POST" && path.ends_with("/_search") {
            return Err(unsupported("_search in a Bundle"));
        }
        let resource = self.resource.map(|(at, end)| bytes.slice(at..end));
        let (resource, content_type) = match resource {
            Some(binary) if method == "PATCH" => {
                (Some(patch(&binary)?), "application/json-patch+json")
            }
            resource => (resource, "application/fhir+json"),
        };
        let mut interaction = reading(Request {
            body: resource.as_ref(),
            content_type: resource.as_ref().map(|_| content_type),
            if_match: self.if_match.as_deref(),
            if_none_exist: self.if_none_exist.as_deref(),
            ..Request::new(method, &path, query)
        })?;
        if matches!(interaction, Interaction::Capabilities) {
            return Err(unsupported("metadata in a Bundle"));
        }
        if interaction.handle().is_some() {
            return Err(unsupported("_page"));
        }
        self.names(&interaction)?;
        Ok(interaction)
    }

    /// A `fullUrl` is a placeholder of this Bundle or names what the entry is aimed at: else it
    /// would give another's references a new meaning.
    fn names(&self, interaction: &Interaction) -> Result<(), No> {
        let Some(url) = self.full_url.as_deref() else {
            return Ok(());
        };
        if url.starts_with("urn:uuid:") || url.starts_with("urn:oid:") {
            return Ok(());
        }
        let aimed = match interaction.aim() {
            (Some(resource), Some(id)) => format!("/{}/{id}", r4().name(resource)),
            _ => return Err(unsupported("Bundle.entry.fullUrl")),
        };
        let is_url = url.starts_with("http://") || url.starts_with("https://");
        if is_url && url.ends_with(&aimed) {
            Ok(())
        } else {
            Err(odd("Bundle.entry.fullUrl").because("another than the entry's target"))
        }
    }
}

fn is_plain(url: &str) -> bool {
    (1..=LONGEST).contains(&url.len()) && url.bytes().all(|b| b.is_ascii_graphic())
}

/// The JSON Patch that a Binary holds.
fn patch(binary: &Bytes) -> Result<Bytes, No> {
    let (mut resource, mut content_type, mut data) = (None, None, None);
    let mut others = None;
    for (key, at, _) in shape::members(binary, 0)? {
        let value = shape::string_at(binary, at);
        match &*key {
            "resourceType" => resource = value,
            "contentType" => content_type = value,
            "data" => data = value,
            _ => others = Some(odd(format!("Binary.{}", shape::shown(&key)))),
        }
    }
    match resource.as_deref() {
        Some("Binary") => {}
        Some("Parameters") => return Err(unsupported("FHIRPath Patch")),
        _ => return Err(odd("Bundle.entry.resource")),
    }
    if let Some(no) = others {
        return Err(no);
    }
    if content_type.as_deref() != Some("application/json-patch+json") {
        return Err(unsupported("Binary.contentType"));
    }
    let data = data.and_then(|data| STANDARD.decode(data.as_bytes()).ok());
    data.map(Bytes::from).ok_or_else(|| odd("Binary.data"))
}
