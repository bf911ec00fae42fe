//! What a decision gives: a permit to forward, questions to ask, or an answer of the gateway's own.
//!
//! Each of them holds its record's text, and what may change something upstream is opened only
//! against the receipt of that record. **Never here:** how it was decided.

use std::sync::Arc;

use bytes::Bytes;

use super::facts::Question;
use super::judge::Judge;
use crate::proof::{Entry, Receipt, Released, Ticket, WrongReceipt};
use crate::record::{self, Call, Disclosed, Time};
use crate::refusal::AnswerHead;

/// A request that waits for answers.
#[derive(Debug)]
pub struct Asked {
    pub(super) call: Box<Call>,
    pub(super) questions: Vec<Question>,
    pub(super) shared: Vec<u8>,
}

impl Asked {
    /// What is to be asked. At most three rounds.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The record that precedes the first question (D26). Waited for where the request may
    /// change something.
    pub fn opening(&self, now: Time) -> Entry {
        Entry::note(record::attempt(&self.shared, now))
    }

    /// The call, as far as it is decided.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The call, to decide again.
    pub fn into_call(self) -> Box<Call> {
        self.call
    }
}

/// A decided request with its plan: the only thing the upstream accepts. Not `Clone`.
#[derive(Debug)]
pub struct Permit {
    pub(super) outbound: Outbound,
    pub(super) judge: Judge,
    pub(super) shared: Arc<[u8]>,
    /// Where the request may change something: its attempt must be durable before it is sent.
    pub(super) ticket: Option<Ticket>,
}

/// A request as it is sent upstream. Made by opening a [`Permit`], by nothing else.
#[derive(Debug)]
pub struct Outbound {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) body: Bytes,
    pub(super) content_type: Option<&'static str>,
    pub(super) strict: bool,
    pub(super) representation: bool,
    pub(super) if_match: Option<String>,
    pub(super) if_none_exist: Option<String>,
    pub(super) if_none_match: bool,
}

impl Outbound {
    pub(super) fn get(target: String, strict: bool) -> Self {
        Self {
            method: "GET",
            target,
            body: Bytes::new(),
            content_type: None,
            strict,
            representation: false,
            if_match: None,
            if_none_exist: None,
            if_none_match: false,
        }
    }

    /// A write of `body`, whose result is asked back.
    pub(super) fn write(method: &'static str, target: String, body: Bytes) -> Self {
        Self {
            method,
            body,
            content_type: Some("application/fhir+json"),
            representation: true,
            ..Self::get(target, false)
        }
    }

    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Path and query below the upstream's base, with its leading `/` or `?`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The body: a form, a resource or a Bundle; empty where there is none.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What the body is.
    pub fn content_type(&self) -> Option<&'static str> {
        self.content_type
    }

    /// Whether the written resource is asked back (`Prefer: return=representation`).
    pub fn representation(&self) -> bool {
        self.representation
    }

    /// The value of `If-Match`.
    pub fn if_match(&self) -> Option<&str> {
        self.if_match.as_deref()
    }

    /// The value of `If-None-Exist`: a query.
    pub fn if_none_exist(&self) -> Option<&str> {
        self.if_none_exist.as_deref()
    }

    /// Whether it must find nothing there (`If-None-Match: *`).
    pub fn if_none_match(&self) -> bool {
        self.if_none_match
    }

    /// Whether unknown parameters must be refused upstream (`Prefer: handling=strict`).
    pub fn strict(&self) -> bool {
        self.strict
    }
}

impl Permit {
    /// The record of the attempt. For reads and searches it is not waited for; where something
    /// may change upstream, [`Permit::open`] wants its receipt.
    pub fn attempt(&self, now: Time) -> Entry {
        let json = record::attempt(&self.shared, now);
        match &self.ticket {
            Some(ticket) => Entry::new(json, ticket.same()),
            None => Entry::note(json),
        }
    }

    /// Whether the attempt must be durable before the request is sent.
    pub fn waits(&self) -> bool {
        self.ticket.is_some()
    }

    /// The call that is permitted.
    pub fn call(&self) -> &Arc<Call> {
        self.judge.call()
    }

    /// The request to send and the judge of its answer, against the receipt of
    /// [`Permit::attempt`] where the request may change something.
    pub fn open(self, attempt: Option<Receipt>) -> Result<(Outbound, Judge), WrongReceipt> {
        if let Some(ticket) = &self.ticket
            && !attempt.is_some_and(|receipt| receipt.covers(ticket))
        {
            return Err(WrongReceipt);
        }
        Ok((self.outbound, self.judge))
    }
}

/// An answer of the gateway's own. It leaves only against the receipt of its record.
#[derive(Debug)]
pub struct Answer {
    pub(super) call: Arc<Call>,
    pub(super) head: AnswerHead,
    pub(super) body: Vec<u8>,
    pub(super) ticket: Ticket,
}

impl Answer {
    pub(super) fn new(call: Box<Call>, head: AnswerHead, body: Vec<u8>) -> Self {
        Self {
            call: Arc::from(*call),
            head,
            body,
            ticket: Ticket::issue(),
        }
    }

    /// The call it answers.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Its record.
    pub fn entry(&self, now: Time) -> Entry {
        let shared = record::shared(&self.call, &[]);
        let disclosed = Disclosed {
            status: self.head.status,
            rows: &[],
            withheld: 0,
            bytes: self.body.len(),
            part: 1,
            written: None,
        };
        let json = record::disclosure(&shared, now, &disclosed);
        Entry::new(json, self.ticket.same())
    }

    /// Status, headers and body, against the receipt of [`Answer::entry`].
    pub fn answer(self, receipt: Receipt) -> Result<(AnswerHead, Released), WrongReceipt> {
        if !receipt.covers(&self.ticket) {
            return Err(WrongReceipt);
        }
        Ok((self.head, Released::new(self.body.into())))
    }
}

/// A status with a JSON body.
pub(super) fn json_head(status: u16) -> AnswerHead {
    AnswerHead {
        status,
        headers: vec![("content-type", "application/fhir+json".to_owned())],
    }
}
