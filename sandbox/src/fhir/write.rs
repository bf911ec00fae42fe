//! What changes the store: create, update, patch, delete, each also under conditions.
//!
//! In: acts whose method the place allows. Out: the new version, or a refusal, after which nothing has changed.

use std::sync::Arc;

use hyper::{Method, StatusCode};
use json_patch::Patch;
use serde_json::Value;

use super::act::{Act, Back, Fault, Payload, Place, Reply, Terms, done};
use super::condition::{self, guard};
use super::fit;
use super::patch;
use super::read::plain;
use super::row::{How, Row, Version, is_id};
use super::store::{Store, Unfit};

/// Who has the store to himself, and when.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) store: &'a mut Store,
    /// The server's own base.
    pub(crate) base: &'a str,
    /// Milliseconds since 1970.
    pub(crate) now: i64,
}

/// What a conditional update is to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Known(String),
    New(String),
}

impl Desk<'_> {
    /// Does an interaction that writes.
    pub(crate) fn run(&mut self, act: Act) -> Result<Reply, Fault> {
        let conditional = matches!(act.place, Place::Type(_)) && act.method != Method::POST;
        if !conditional {
            plain(&act.query, act.terms.handling)?;
        }
        let terms = &act.terms;
        match (act.place, act.payload) {
            (Place::Type(name), Payload::Resource(resource)) if act.method == Method::POST => {
                self.create(name, resource, terms)
            }
            (Place::Type(name), Payload::Resource(resource)) => {
                fit::body(name, &resource)?;
                let (Target::Known(id) | Target::New(id)) =
                    self.identify(name, &act.query, &resource)?;
                self.update(name, &id, resource, terms)
            }
            (Place::Instance(name, id), Payload::Resource(resource)) => {
                fit::body(name, &resource)?;
                same_id(&id, &resource)?;
                self.update(name, &id, resource, terms)
            }
            (Place::Type(name), Payload::Patch(patch)) => {
                let id = self.one(name, &act.query)?;
                let id = id.ok_or_else(|| {
                    let text = "the condition matches nothing";
                    Fault::new(StatusCode::NOT_FOUND, "not-found", text)
                })?;
                self.patch(name, &id, &patch, terms, |_, _| Ok(()))
            }
            (Place::Instance(name, id), Payload::Patch(patch)) => {
                self.patch(name, &id, &patch, terms, |_, _| Ok(()))
            }
            (Place::Type(name), Payload::None) => match self.one(name, &act.query)? {
                Some(id) => self.delete(name, &id, terms),
                None => guard(terms, None).map(|()| deleted(terms.back)),
            },
            (Place::Instance(name, id), Payload::None) => self.delete(name, &id, terms),
            _ => Err(Fault::bad(
                "invalid",
                "interaction and body don't go together",
            )),
        }
    }

    /// Creates, unless `If-None-Exist` finds that it is there already.
    fn create(
        &mut self,
        name: &'static str,
        resource: Value,
        terms: &Terms,
    ) -> Result<Reply, Fault> {
        fit::body(name, &resource)?;
        if let Some(there) = self.there(name, terms)? {
            return Ok(Reply::written(StatusCode::OK, &there, terms.back));
        }
        let id = self.store.assign(name);
        self.create_at(name, &id, resource, terms.back)
    }

    /// What a conditional create finds.
    pub(crate) fn there(
        &self,
        name: &'static str,
        terms: &Terms,
    ) -> Result<Option<Arc<Version>>, Fault> {
        let Some(criteria) = &terms.if_none_exist else {
            return Ok(None);
        };
        let id = self.one(name, criteria)?;
        Ok(id.and_then(|id| self.store.last(name, &id).cloned()))
    }

    /// Creates under an id that nothing has.
    pub(crate) fn create_at(
        &mut self,
        name: &'static str,
        id: &str,
        resource: Value,
        back: Back,
    ) -> Result<Reply, Fault> {
        let version = self.write(name, id, How::Create, Some(resource))?;
        Ok(Reply::written(StatusCode::CREATED, &version, back))
    }

    /// What a conditional update is to write (FHIR R4 §3.1.0.4.3); a new id where nothing matches and the
    /// body has none.
    pub(crate) fn identify(
        &mut self,
        name: &'static str,
        criteria: &str,
        resource: &Value,
    ) -> Result<Target, Fault> {
        let own = resource.get("id").and_then(Value::as_str);
        match (self.one(name, criteria)?, own) {
            (Some(found), Some(own)) if found != own => {
                let text = "`id` of the body isn't that of the resource that matches";
                Err(Fault::bad("invalid", text))
            }
            (Some(found), _) => Ok(Target::Known(found)),
            // It would overwrite what the condition doesn't name.
            (None, Some(own)) if self.row(name, own).is_some() => {
                let text = "the condition matches nothing, and another resource has this id";
                Err(Fault::new(StatusCode::CONFLICT, "conflict", text))
            }
            (None, Some(own)) => Ok(Target::New(own.to_owned())),
            (None, None) => Ok(Target::New(self.store.assign(name))),
        }
    }

    /// Replaces what has this id, or creates it.
    pub(crate) fn update(
        &mut self,
        name: &'static str,
        id: &str,
        resource: Value,
        terms: &Terms,
    ) -> Result<Reply, Fault> {
        if !is_id(id) {
            return Err(Fault::bad("value", "the address has no valid id"));
        }
        let before = self.row(name, id);
        guard(terms, before)?;
        let (how, status) = match before {
            Some(_) => (How::Update, StatusCode::OK),
            None => (How::UpdateAsCreate, StatusCode::CREATED),
        };
        let version = self.write(name, id, how, Some(resource))?;
        Ok(Reply::written(status, &version, terms.back))
    }

    /// Patches a row; `finish` completes what comes out.
    pub(crate) fn patch(
        &mut self,
        name: &'static str,
        id: &str,
        patch: &Patch,
        terms: &Terms,
        finish: impl FnOnce(&Store, &mut Value) -> Result<(), Fault>,
    ) -> Result<Reply, Fault> {
        let before = self.current(name, id)?;
        guard(terms, Some(before))?;
        let mut resource = patch::apply(before, patch)?;
        finish(self.store, &mut resource)?;
        fit::body(name, &resource)?;
        let version = self.write(name, id, How::Patch, Some(resource))?;
        Ok(Reply::written(StatusCode::OK, &version, terms.back))
    }

    /// Deletes; what is deleted already stays so.
    pub(crate) fn delete(
        &mut self,
        name: &'static str,
        id: &str,
        terms: &Terms,
    ) -> Result<Reply, Fault> {
        let Some(last) = self.store.last(name, id) else {
            return Err(Fault::missing(self.base, name, id));
        };
        guard(terms, last.row.as_deref())?;
        let mut reply = deleted(terms.back);
        if last.row.is_some() {
            let version = self.write(name, id, How::Delete, None)?;
            let stamp = version.stamp.clone();
            (reply.etag, reply.updated) = (Some(stamp.etag), Some(stamp.updated));
        }
        Ok(reply)
    }

    /// The id of the one resource that criteria match.
    pub(crate) fn one(&self, name: &str, criteria: &str) -> Result<Option<String>, Fault> {
        condition::one(self.store, self.base, name, criteria)
    }

    /// The current row at an id.
    fn row(&self, name: &str, id: &str) -> Option<&Row> {
        self.store.last(name, id)?.row.as_deref()
    }

    /// The same, where there has to be one.
    pub(crate) fn current(&self, name: &str, id: &str) -> Result<&Row, Fault> {
        match self.store.last(name, id) {
            None => Err(Fault::missing(self.base, name, id)),
            Some(last) => last.row.as_deref().ok_or_else(|| Fault::gone(name, id)),
        }
    }

    fn write(
        &mut self,
        name: &'static str,
        id: &str,
        how: How,
        resource: Option<Value>,
    ) -> Result<Arc<Version>, Fault> {
        let written = self.store.write(name, id, how, self.now, resource);
        written.map_err(|unfit: Unfit| Fault::bad("value", unfit.to_string()))
    }
}

/// Refuses an update whose body is about another resource than its address.
pub(crate) fn same_id(id: &str, resource: &Value) -> Result<(), Fault> {
    match resource.get("id").and_then(Value::as_str) {
        Some(own) if own == id => Ok(()),
        Some(_) => Err(Fault::bad(
            "invalid",
            "`id` of the body isn't that of the address",
        )),
        None => Err(Fault::bad(
            "required",
            "the body of an update needs an `id`",
        )),
    }
}

fn deleted(back: Back) -> Reply {
    match back {
        Back::Outcome => Reply {
            outcome: Some(done()),
            ..Reply::default()
        },
        _ => Reply {
            status: StatusCode::NO_CONTENT,
            ..Reply::default()
        },
    }
}
