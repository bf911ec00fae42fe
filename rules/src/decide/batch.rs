//! Batches and transactions: each entry decided as a request of its own.
//!
//! In: the entries as understood and the facts so far. Out: one Bundle, written anew from what the
//! entries' own plans would send. A batch's refused entries are taken out and put back by the
//! judge; a transaction with one is refused whole, and so it is where something that it reads
//! isn't visible: else what it wrote would tell a hidden row from a missing one.

use std::collections::HashSet;

use super::desk::{Decided, Decision, Desk, Plan};
use super::judge::{Shape, Slot, refused};
use super::permit::Outbound;
use super::reads;
use super::stored::odd;
use super::{decide_one, facts::Question};
use crate::fhir::interaction::{Bundle, Entry, Interaction};
use crate::record;
use crate::refusal::{No, Reason};

/// `POST [base]` with a batch or a transaction.
pub(super) fn bundle(desk: &Desk<'_>, bundle: &Bundle) -> Decision {
    let mut slots = Vec::with_capacity(bundle.entries.len());
    let mut questions: Vec<Question> = Vec::new();
    let mut sent = Sent::new(bundle.transaction);
    let mut written = HashSet::new();
    for (place, entry) in bundle.entries.iter().enumerate() {
        match one(desk, entry, bundle.transaction) {
            Ok(Decided::Go(plan)) => {
                if bundle.transaction {
                    once(&mut written, &plan.outbound)?;
                }
                sent.add(entry, &plan.outbound);
                slots.push(Slot::Sent(Box::new(plan.shape)));
            }
            Ok(Decided::Ask(more)) => {
                for question in more {
                    if !questions.contains(&question) {
                        questions.push(question);
                    }
                }
            }
            Ok(Decided::Here(_)) => return Err(No::new(Reason::NotSupported)),
            Err(no) if bundle.transaction => return Err(no),
            Err(no) => {
                desk.refuse(place, &no);
                slots.push(Slot::Refused(no));
            }
        }
    }
    if !questions.is_empty() {
        return Ok(Decided::Ask(questions));
    }
    if sent.is_empty() && !bundle.transaction {
        let body = refused(slots, desk.request_id).map_err(|fault| odd(fault.what))?;
        return Ok(Decided::Here(body));
    }
    let shape = Shape::batch(
        slots,
        bundle.transaction,
        desk.request_id,
        desk.service.row_max,
    );
    let outbound = sent.end();
    Ok(Decided::Go(Box::new(Plan { outbound, shape })))
}

/// No row is written twice in a transaction, by whatever name: what remains would depend on an
/// order that FHIR leaves open. What a condition found is known only here.
fn once(written: &mut HashSet<String>, outbound: &Outbound) -> Result<(), No> {
    let aimed = matches!(outbound.method, "PUT" | "DELETE");
    if aimed && !written.insert(outbound.target.clone()) {
        let no = No::named(Reason::NotUnderstood, "Bundle.entry.request.url");
        return Err(no.because("written twice"));
    }
    Ok(())
}

fn one(desk: &Desk<'_>, entry: &Entry, transaction: bool) -> Decision {
    match entry.asks.as_ref().map_err(Clone::clone)? {
        Interaction::Read { resource, id } if transaction => reads::read_first(desk, *resource, id),
        Interaction::VRead { .. } if transaction => {
            Err(No::named(Reason::NotSupported, "vread in a transaction"))
        }
        Interaction::Bundle(_) => Err(No::new(Reason::NotSupported)),
        interaction => decide_one(desk, interaction),
    }
}

/// The Bundle as it is sent.
struct Sent {
    body: Vec<u8>,
    any: bool,
    strict: bool,
}

impl Sent {
    fn new(transaction: bool) -> Self {
        let kind = if transaction { "transaction" } else { "batch" };
        let mut body = br#"{"resourceType":"Bundle","type":""#.to_vec();
        body.extend_from_slice(kind.as_bytes());
        body.push(b'"');
        Self {
            body,
            any: false,
            strict: false,
        }
    }

    fn is_empty(&self) -> bool {
        !self.any
    }

    fn add(&mut self, entry: &Entry, outbound: &Outbound) {
        let out = &mut self.body;
        let first = !std::mem::replace(&mut self.any, true);
        out.extend_from_slice(if first { b",\"entry\":[{" } else { b",{" });
        if let Some(url) = &entry.full_url {
            out.extend_from_slice(b"\"fullUrl\":");
            record::string(out, url);
            out.push(b',');
        }
        if !outbound.body.is_empty() {
            out.extend_from_slice(b"\"resource\":");
            out.extend_from_slice(outbound.body.trim_ascii());
            out.push(b',');
        }
        out.extend_from_slice(b"\"request\":{\"method\":\"");
        out.extend_from_slice(outbound.method.as_bytes());
        out.extend_from_slice(b"\",\"url\":");
        let target = &outbound.target;
        record::string(out, target.strip_prefix('/').unwrap_or(target));
        let any = outbound.if_none_match.then_some("*");
        for (key, value) in [
            (",\"ifMatch\":", outbound.if_match.as_deref()),
            (",\"ifNoneExist\":", outbound.if_none_exist.as_deref()),
            (",\"ifNoneMatch\":", any),
        ] {
            if let Some(value) = value {
                out.extend_from_slice(key.as_bytes());
                record::string(out, value);
            }
        }
        out.extend_from_slice(b"}}");
        self.strict |= outbound.strict;
    }

    fn end(mut self) -> Outbound {
        self.body
            .extend_from_slice(if self.any { b"]}" } else { b"}" });
        Outbound {
            strict: self.strict,
            ..Outbound::write("POST", "/".to_owned(), self.body.into())
        }
    }
}
