//! From a head and a body to an interaction.

use super::place::Place;
use super::{
    Aim, Create, Delete, Interaction, Patch, Request, Takes, Update, body, conditions, entries,
    system,
};
use crate::fhir::search::Search;
use crate::fhir::tables::TypeId;
use crate::fhir::target;
use crate::refusal::{No, Reason};

/// Understands a request, or says what about it isn't.
pub fn understand(request: Request<'_>) -> Result<Interaction, No> {
    let place = Place::of(request.path)?;
    let method = request.method;
    if !place.has(method) {
        return Err(No::new(Reason::NotUnderstood).because("method and path"));
    }
    let is_odd = match place.takes(method) {
        Takes::Nothing => request.form.is_some() || request.body.is_some_and(|b| !b.is_empty()),
        Takes::Form => request.body.is_some_and(|b| !b.is_empty()),
        Takes::Resource(..) | Takes::Bundle => request.form.is_some(),
    };
    if is_odd {
        return Err(No::new(Reason::NotUnderstood).because("a body where none is due"));
    }
    if method == "OPTIONS" {
        conditions::unconditional(&request)?;
        conditions::plain(request.query)?;
        return Ok(Interaction::Options {
            allow: place.allow(),
        });
    }
    match place {
        Place::Base if method == "POST" => {
            conditions::unconditional(&request)?;
            conditions::plain(request.query)?;
            entries::understand(&request).map(Interaction::Bundle)
        }
        Place::Base | Place::SystemSearch => {
            conditions::unconditional(&request)?;
            let (pairs, form) = asked(&request)?;
            system::understand(pairs, form).map(Interaction::SystemSearch)
        }
        Place::Metadata => {
            conditions::unconditional(&request)?;
            conditions::plain(request.query)?;
            Ok(Interaction::Capabilities)
        }
        Place::History(level) => {
            conditions::unconditional(&request)?;
            conditions::history(level, request.query).map(Interaction::History)
        }
        Place::Version(resource, id, version) => {
            conditions::unconditional(&request)?;
            conditions::plain(request.query)?;
            Ok(Interaction::VRead {
                resource,
                id: id.into(),
                version: version.into(),
            })
        }
        Place::TypeSearch(resource) => search(&request, resource, None),
        Place::Compartment(within, resource) | Place::CompartmentSearch(within, resource) => {
            search(&request, resource, Some(within))
        }
        Place::Type(resource) => match method {
            "GET" | "HEAD" => search(&request, resource, None),
            "POST" => create(&request, resource),
            _ => {
                let aim = conditions::found(request.query, resource)?;
                write(&request, resource, aim)
            }
        },
        Place::Instance(resource, id) => match method {
            "GET" | "HEAD" => {
                conditions::unconditional(&request)?;
                conditions::plain(request.query)?;
                let id = id.into();
                Ok(Interaction::Read { resource, id })
            }
            _ => {
                conditions::plain(request.query)?;
                write(&request, resource, Aim::Id(id.into()))
            }
        },
    }
}

/// The pairs of the query and, after them, of the form.
fn asked(request: &Request<'_>) -> Result<(Vec<(String, String)>, bool), No> {
    let form = request.method == "POST";
    let mut pairs = target::pairs(request.query)?;
    pairs.extend(target::pairs(request.form.unwrap_or(""))?);
    Ok((pairs, form))
}

fn search(
    request: &Request<'_>,
    resource: TypeId,
    within: Option<(TypeId, &str)>,
) -> Result<Interaction, No> {
    conditions::unconditional(request)?;
    let (pairs, form) = asked(request)?;
    let mut search = Search::understand(resource, pairs, form)?;
    search.within = within.map(|(outer, id)| (outer, id.into()));
    Ok(Interaction::Search(search))
}

fn create(request: &Request<'_>, resource: TypeId) -> Result<Interaction, No> {
    if request.if_match.is_some() {
        return Err(No::named(Reason::NotUnderstood, "If-Match"));
    }
    conditions::plain(request.query)?;
    let if_none_exist = conditions::if_none_exist(request, resource)?;
    let (body, _) = body::resource(request, resource)?;
    Ok(Interaction::Create(Create {
        resource,
        body,
        if_none_exist,
    }))
}

/// An update, a patch or a delete.
fn write(request: &Request<'_>, resource: TypeId, aim: Aim) -> Result<Interaction, No> {
    conditions::no_search(request)?;
    let if_match = conditions::if_match(request)?;
    match request.method {
        "PUT" => {
            let (body, id) = body::resource(request, resource)?;
            if let Aim::Id(due) = &aim
                && id.as_ref() != Some(due)
            {
                let no = No::named(Reason::NotUnderstood, "id");
                return Err(no.because("another id than the target's"));
            }
            Ok(Interaction::Update(Update {
                resource,
                aim,
                body,
                if_match,
            }))
        }
        "PATCH" => {
            let body = body::patch(request, resource)?;
            Ok(Interaction::Patch(Patch {
                resource,
                aim,
                body,
                if_match,
            }))
        }
        "DELETE" => Ok(Interaction::Delete(Delete {
            resource,
            aim,
            if_match,
        })),
        _ => Err(No::new(Reason::NotUnderstood).because("method and path")),
    }
}
