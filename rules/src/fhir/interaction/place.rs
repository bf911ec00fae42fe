//! A path below a service, as one of the places that FHIR R4 knows (http.html#summary).
//!
//! In: the path. Out: a [`Place`], with the methods that it has. One reading: what a body is,
//! what `Allow` says and what is asked all start here. **Never here:** a query or a body.

use super::{Level, Takes};
use crate::fhir::tables::{TypeId, r4};
use crate::fhir::target;
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// Where a request is aimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// `[base]`
    Base,
    /// `[base]/metadata`
    Metadata,
    /// `[base]/_search`
    SystemSearch,
    /// `[base]/[type]`
    Type(TypeId),
    /// `[base]/[type]/_search`
    TypeSearch(TypeId),
    /// `[base]/[type]/[id]`
    Instance(TypeId, &'a str),
    /// `…/_history`
    History(Level),
    /// `[base]/[type]/[id]/_history/[vid]`
    Version(TypeId, &'a str, &'a str),
    /// `[base]/[compartment]/[id]/[type]`
    Compartment((TypeId, &'a str), TypeId),
    /// `[base]/[compartment]/[id]/[type]/_search`
    CompartmentSearch((TypeId, &'a str), TypeId),
}

impl<'a> Place<'a> {
    /// Reads a path. Operations are `not-supported`; what R4 doesn't know is `not-understood`.
    pub(super) fn of(path: &'a str) -> Result<Self, No> {
        let (path, everything) = match path.strip_suffix("/*") {
            Some(rest) => (rest, true),
            None => (path, false),
        };
        let segments = target::segments(path)?;
        if everything {
            return Err(match segments.as_slice() {
                [name, id] if is_compartment(name) && target::is_id(id) => {
                    No::named(Reason::NotSupported, "search of a whole compartment")
                }
                _ => no_such(),
            });
        }
        if segments.last().is_some_and(|s| s.starts_with('$')) {
            return Err(No::named(Reason::NotSupported, "operation"));
        }
        match segments.as_slice() {
            [] => Ok(Self::Base),
            ["metadata"] => Ok(Self::Metadata),
            ["_search"] => Ok(Self::SystemSearch),
            ["_history"] => Ok(Self::History(Level::System)),
            [name] => Ok(Self::Type(known(name)?)),
            [name, "_search"] => Ok(Self::TypeSearch(known(name)?)),
            [name, "_history"] => Ok(Self::History(Level::Type(known(name)?))),
            [name, id] => Ok(Self::Instance(known(name)?, well_formed(id)?)),
            [name, id, "_history"] => {
                let level = Level::Instance(known(name)?, well_formed(id)?.into());
                Ok(Self::History(level))
            }
            [name, id, "_history", version] => {
                let (name, id) = (known(name)?, well_formed(id)?);
                Ok(Self::Version(name, id, well_formed(version)?))
            }
            [name, id, inner] => {
                let (within, member) = compartment(name, id, inner)?;
                Ok(Self::Compartment(within, member))
            }
            [name, id, inner, "_search"] => {
                let (within, member) = compartment(name, id, inner)?;
                Ok(Self::CompartmentSearch(within, member))
            }
            _ => Err(no_such()),
        }
    }

    /// The methods that it has, as `Allow` names them.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Base => "GET, HEAD, POST, OPTIONS",
            Self::Metadata | Self::History(_) | Self::Version(..) | Self::Compartment(..) => {
                "GET, HEAD, OPTIONS"
            }
            Self::SystemSearch | Self::TypeSearch(_) | Self::CompartmentSearch(..) => {
                "POST, OPTIONS"
            }
            Self::Type(_) => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            Self::Instance(..) => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
        }
    }

    /// Whether it has this method.
    pub(super) fn has(&self, method: &str) -> bool {
        self.allow().split(", ").any(|known| known == method)
    }

    /// What the body is that a method comes with here.
    pub(super) fn takes(&self, method: &str) -> Takes {
        match (method, self) {
            ("POST", Self::SystemSearch | Self::TypeSearch(_) | Self::CompartmentSearch(..)) => {
                Takes::Form
            }
            ("POST", Self::Base) => Takes::Bundle,
            ("POST", Self::Type(resource)) => Takes::Resource(*resource, Can::Create),
            ("PUT", Self::Type(resource) | Self::Instance(resource, _)) => {
                Takes::Resource(*resource, Can::Update)
            }
            ("PATCH", Self::Type(resource) | Self::Instance(resource, _)) => {
                Takes::Resource(*resource, Can::Patch)
            }
            _ => Takes::Nothing,
        }
    }
}

fn no_such() -> No {
    No::new(Reason::NotUnderstood).because("method and path")
}

fn known(name: &str) -> Result<TypeId, No> {
    r4().resource(name)
        .ok_or_else(|| No::new(Reason::NotUnderstood).because("no such type"))
}

fn well_formed(id: &str) -> Result<&str, No> {
    Some(id)
        .filter(|id| target::is_id(id))
        .ok_or_else(|| No::new(Reason::NotUnderstood).because("not an id"))
}

/// Whether R4 knows compartments of this type (compartmentdefinition.html).
fn is_compartment(name: &str) -> bool {
    known(name).is_ok()
        && r4()
            .resources()
            .any(|member| r4().compartment(name, member).is_some())
}

fn compartment<'a>(
    name: &str,
    id: &'a str,
    inner: &str,
) -> Result<((TypeId, &'a str), TypeId), No> {
    let (outer, id, member) = (known(name)?, well_formed(id)?, known(inner)?);
    if r4().compartment(name, member).is_none() {
        return Err(No::new(Reason::NotUnderstood).because("not in such a compartment"));
    }
    Ok(((outer, id), member))
}
