//! Decided "no"s: reason, status, what the caller is told.

use crate::proof::{Entry, Receipt, Released, Ticket, WrongReceipt};
use crate::record::{self, Call};
use std::sync::Arc;

/// Why a request was refused. The code is what callers, records and metrics see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // each is documented in docs/decisions.md by its code
pub enum Reason {
    Unauthenticated,
    InvalidToken,
    TokenBinding,
    InsufficientScope,
    NotGranted,
    PurposeRequired,
    SearchReadsHidden,
    NotFound,
    NotUnderstood,
    NotSupported,
    NotAcceptable,
    UnsupportedMediaType,
    TooLarge,
    WriteNeedsMerge,
    ElementNotWritable,
    PatchFailed,
    VersionConflict,
    MultipleMatches,
    TargetTooLong,
    HeadTooLarge,
    JournalUnavailable,
    FactsUnavailable,
    Overloaded,
    TooCostly,
    UpstreamUnavailable,
    UpstreamTimeout,
    UpstreamInvalid,
    UpstreamRejected,
    UpstreamRejectedContent,
}

impl Reason {
    /// Every reason, for metrics and documentation.
    pub const ALL: [Self; 29] = [
        Self::Unauthenticated,
        Self::InvalidToken,
        Self::TokenBinding,
        Self::InsufficientScope,
        Self::NotGranted,
        Self::PurposeRequired,
        Self::SearchReadsHidden,
        Self::NotFound,
        Self::NotUnderstood,
        Self::NotSupported,
        Self::NotAcceptable,
        Self::UnsupportedMediaType,
        Self::TooLarge,
        Self::WriteNeedsMerge,
        Self::ElementNotWritable,
        Self::PatchFailed,
        Self::VersionConflict,
        Self::MultipleMatches,
        Self::TargetTooLong,
        Self::HeadTooLarge,
        Self::JournalUnavailable,
        Self::FactsUnavailable,
        Self::Overloaded,
        Self::TooCostly,
        Self::UpstreamUnavailable,
        Self::UpstreamTimeout,
        Self::UpstreamInvalid,
        Self::UpstreamRejected,
        Self::UpstreamRejectedContent,
    ];

    /// The code in `issue.details.coding`, the record and the metrics.
    pub fn code(self) -> &'static str {
        self.facts().0
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.facts().1
    }

    /// FHIR issue type (http://hl7.org/fhir/issue-type).
    pub fn issue_type(self) -> &'static str {
        self.facts().2
    }

    fn text(self) -> &'static str {
        self.facts().3
    }

    fn facts(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Self::Unauthenticated => (
                "unauthenticated",
                401,
                "login",
                "send a bearer token or a client certificate",
            ),
            Self::InvalidToken => (
                "invalid-token",
                401,
                "login",
                "the token was refused; the record of this request says why",
            ),
            Self::TokenBinding => (
                "token-binding",
                401,
                "login",
                "the token is bound to another client certificate, or to a proof that was not given",
            ),
            Self::InsufficientScope => (
                "insufficient-scope",
                403,
                "forbidden",
                "the token's scopes don't cover this request",
            ),
            Self::NotGranted => (
                "not-granted",
                403,
                "forbidden",
                "no role of the caller grants this request",
            ),
            Self::PurposeRequired => (
                "purpose-required",
                403,
                "forbidden",
                "name one purpose of use in `X-Purpose-Of-Use`",
            ),
            Self::SearchReadsHidden => (
                "search-reads-hidden",
                403,
                "forbidden",
                "the search reads elements that the caller may not see",
            ),
            Self::NotFound => (
                "not-found",
                404,
                "not-found",
                "nothing here that the caller may see",
            ),
            Self::NotUnderstood => (
                "not-understood",
                400,
                "invalid",
                "the request was not understood",
            ),
            Self::NotSupported => (
                "not-supported",
                400,
                "not-supported",
                "this is not supported here",
            ),
            Self::NotAcceptable => (
                "not-acceptable",
                406,
                "not-supported",
                "only `application/fhir+json` is answered",
            ),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                415,
                "not-supported",
                "send the body as another media type",
            ),
            Self::TooLarge => (
                "too-large",
                413,
                "too-long",
                "the request is larger than allowed",
            ),
            Self::WriteNeedsMerge => (
                "write-needs-merge",
                422,
                "business-rule",
                "this would take away what the caller may not see",
            ),
            Self::ElementNotWritable => (
                "element-not-writable",
                422,
                "business-rule",
                "the caller may not write this element",
            ),
            Self::PatchFailed => (
                "patch-failed",
                422,
                "processing",
                "the patch can't be applied to what is there",
            ),
            Self::VersionConflict => (
                "version-conflict",
                412,
                "conflict",
                "the resource isn't in the version that the request needs",
            ),
            Self::MultipleMatches => (
                "multiple-matches",
                412,
                "multiple-matches",
                "the condition is met by several resources",
            ),
            Self::TargetTooLong => (
                "too-large",
                414,
                "too-long",
                "the request's target is longer than allowed",
            ),
            Self::HeadTooLarge => (
                "too-large",
                431,
                "too-long",
                "the request's headers are more or larger than allowed",
            ),
            Self::JournalUnavailable => (
                "journal-unavailable",
                503,
                "transient",
                "no record of this access could be made; try again later",
            ),
            Self::FactsUnavailable => (
                "facts-unavailable",
                503,
                "transient",
                "what the decision needs could not be learned; try again later",
            ),
            Self::Overloaded => ("overloaded", 503, "throttled", "too busy; try again later"),
            Self::TooCostly => (
                "too-costly",
                503,
                "too-costly",
                "what the decision needs could not be learned in bounds; narrow the condition",
            ),
            Self::UpstreamUnavailable => (
                "upstream-unavailable",
                502,
                "transient",
                "the clinical server could not be reached, or it failed",
            ),
            Self::UpstreamTimeout => (
                "upstream-unavailable",
                504,
                "timeout",
                "the clinical server did not answer in time",
            ),
            Self::UpstreamInvalid => (
                "upstream-invalid",
                502,
                "exception",
                "the clinical server's answer could not be judged",
            ),
            Self::UpstreamRejected => (
                "upstream-rejected",
                400,
                "processing",
                "the clinical server rejected the request",
            ),
            Self::UpstreamRejectedContent => (
                "upstream-rejected",
                422,
                "processing",
                "the clinical server rejected the request",
            ),
        }
    }
}

/// What is known when a request is refused; turned into a [`Refusal`] by the pipeline, which
/// knows the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    /// Why.
    pub reason: Reason,
    /// A parameter, element, type or header by its name; never a value.
    pub name: Option<Box<str>>,
    /// What the record and the log say beyond the reason; never to the caller, never patient data.
    pub detail: Option<&'static str>,
}

impl No {
    /// A bare refusal.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            name: None,
            detail: None,
        }
    }

    /// A refusal that names a parameter, element, type or header.
    pub fn named(reason: Reason, name: impl Into<Box<str>>) -> Self {
        Self {
            reason,
            name: Some(name.into()),
            detail: None,
        }
    }

    /// What the caller is told, as an OperationOutcome in JSON.
    pub(crate) fn outcome(&self, request_id: &str) -> Vec<u8> {
        outcome(self.reason, self.name.as_deref(), request_id)
    }

    /// Adds what only the record sees.
    pub fn because(mut self, detail: &'static str) -> Self {
        self.detail = Some(detail);
        self
    }
}

/// What precedes a body: status and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerHead {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case, values without line breaks.
    pub headers: Vec<(&'static str, String)>,
}

/// A decided "no". It leaves only against the receipt of its record.
#[derive(Debug)]
pub struct Refusal {
    no: No,
    call: Arc<Call>,
    ticket: Ticket,
}

impl Refusal {
    /// Binds a "no" to the call that it answers.
    pub fn new(no: No, call: Arc<Call>) -> Self {
        Self {
            no,
            call,
            ticket: Ticket::issue(),
        }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.no.reason
    }

    /// The record of this refusal.
    pub fn entry(&self) -> Entry {
        Entry::new(record::refusal(&self.call, &self.no), self.ticket.same())
    }

    /// Status, headers and OperationOutcome, against the receipt of [`Refusal::entry`].
    pub fn answer(self, receipt: Receipt) -> Result<(AnswerHead, Released), WrongReceipt> {
        if !receipt.covers(&self.ticket) {
            return Err(WrongReceipt);
        }
        Ok(self.compose())
    }

    /// An answer that needs no receipt: that no record can be made. Holds nothing but that.
    pub fn unrecorded(call: Arc<Call>) -> (AnswerHead, Released) {
        Self::new(No::new(Reason::JournalUnavailable), call).compose()
    }

    /// The other one: that there is no room to look at the request. Holds nothing but that; nobody
    /// has looked at the request, and a record for each would be a load of its own.
    pub fn unseen(call: Arc<Call>) -> (AnswerHead, Released) {
        Self::new(No::new(Reason::Overloaded), call).compose()
    }

    fn compose(self) -> (AnswerHead, Released) {
        let reason = self.no.reason;
        let mut headers = vec![("content-type", "application/fhir+json".to_owned())];
        match reason {
            Reason::Unauthenticated => headers.push(("www-authenticate", "Bearer".to_owned())),
            Reason::InvalidToken | Reason::TokenBinding => {
                headers.push((
                    "www-authenticate",
                    "Bearer error=\"invalid_token\"".to_owned(),
                ));
            }
            Reason::InsufficientScope => {
                headers.push((
                    "www-authenticate",
                    "Bearer error=\"insufficient_scope\"".to_owned(),
                ));
            }
            _ => {}
        }
        if reason.status() == 503 {
            headers.push(("retry-after", "1".to_owned()));
        }
        let body = self.no.outcome(&self.call.request_id);
        (
            AnswerHead {
                status: reason.status(),
                headers,
            },
            Released::new(body.into()),
        )
    }
}

fn outcome(reason: Reason, name: Option<&str>, request_id: &str) -> Vec<u8> {
    let mut text = reason.text().to_owned();
    if let Some(name) = name {
        text.push_str(": `");
        text.push_str(name);
        text.push('`');
    }
    let mut out = Vec::with_capacity(384);
    out.extend_from_slice(
        br#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":""#,
    );
    out.extend_from_slice(reason.issue_type().as_bytes());
    out.extend_from_slice(
        br#"","details":{"coding":[{"system":"https://chartward.dev/reason","code":""#,
    );
    out.extend_from_slice(reason.code().as_bytes());
    out.extend_from_slice(br#""}],"text":"#);
    record::string(&mut out, &text);
    out.extend_from_slice(br#"},"diagnostics":"#);
    record::string(&mut out, &format!("request {request_id}"));
    out.extend_from_slice(b"}]}");
    out
}
