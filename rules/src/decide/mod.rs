//! From an understood interaction and a subject to a permit, a local answer or a refusal.
//!
//! What comes in: a [`Program`], an [`Interaction`], the [`Call`] with its subject. What goes
//! out: a [`Verdict`]. Default deny (D2): what no grant of a role in force covers is refused.
//! **Never here:** a row. Rows are judged by the [`Judge`] that a permit opens.

mod bundle;
mod capabilities;
mod facts;
mod judge;
pub(crate) mod row;
pub(crate) mod stance;

use std::sync::Arc;

use bytes::Bytes;

pub use facts::{Facts, Inquiry, Question};
pub use judge::{Closing, Held, Judge, Turn, UpstreamHead};

use crate::fhir::interaction::Interaction;
use crate::fhir::labels::Purpose;
use crate::fhir::search::{self, Search};
use crate::fhir::tables::{SubjectRule, TypeId, r4};
use crate::fhir::target;
use crate::pack::{Can, Program};
use crate::proof::{Entry, Receipt, Released, Ticket, WrongReceipt};
use crate::record::{self, Call, Time};
use crate::refusal::{AnswerHead, No, Reason};
use crate::smart::Reach;
use crate::subject::{Kind, Subject};
use row::{Bench, RowJudge};

/// What of a service's configuration deciding needs.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its public base, without a trailing `/`: `https://fhir.example/fhir`.
    pub base: Arc<str>,
    /// The path of the upstream's base (`/fhir`), for understanding its links; may be empty.
    pub upstream_path: Arc<str>,
    /// The upstream's base as text, for rewriting its links.
    pub page_default: u32,
    /// Most rows of a page.
    pub page_max: u32,
    /// Whether searches that aren't complete say "rows may be withheld".
    pub withheld_notice: bool,
    /// Largest row, bytes.
    pub row_max: usize,
    /// Masked bytes that are held before an answer begins to stream.
    pub window: usize,
}

/// Seals the upstream's position of a next page into a handle only its caller can use.
/// Empty where it can't.
pub type Sealer = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A decided request.
#[derive(Debug)]
pub enum Verdict {
    /// It may be forwarded.
    Permit(Box<Permit>),
    /// It is answered here.
    Answer(Answer),
    /// It can't be decided before these questions are answered.
    Ask(Asked),
    /// It is refused; the pipeline makes a [`crate::refusal::Refusal`] of it with the call.
    Refuse(No, Box<Call>),
}

/// A request that waits for answers.
#[derive(Debug)]
pub struct Asked {
    call: Box<Call>,
    questions: Vec<Question>,
    shared: Vec<u8>,
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

    /// The call, to decide again.
    pub fn into_call(self) -> Box<Call> {
        self.call
    }
}

/// A decided request with its plan: the only thing the upstream accepts. Not `Clone`.
#[derive(Debug)]
pub struct Permit {
    outbound: Outbound,
    judge: Judge,
    shared: Arc<[u8]>,
}

/// A request as it is sent upstream. Made by opening a [`Permit`], by nothing else.
#[derive(Debug)]
pub struct Outbound {
    method: &'static str,
    target: String,
    body: Bytes,
    content_type: Option<&'static str>,
    strict: bool,
    representation: bool,
    if_match: Option<String>,
    if_none_exist: Option<String>,
}

impl Outbound {
    fn get(target: String, strict: bool) -> Self {
        Self {
            method: "GET",
            target,
            body: Bytes::new(),
            content_type: None,
            strict,
            representation: false,
            if_match: None,
            if_none_exist: None,
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

    /// Whether unknown parameters must be refused upstream (`Prefer: handling=strict`).
    pub fn strict(&self) -> bool {
        self.strict
    }
}

impl Permit {
    /// The record of the attempt. For reads and searches it is not waited for.
    pub fn attempt(&self, now: Time) -> Entry {
        Entry::note(record::attempt(&self.shared, now))
    }

    /// The call that is permitted.
    pub fn call(&self) -> &Arc<Call> {
        self.judge.call()
    }

    /// The request to send and the judge of its answer.
    pub fn open(self, _attempt: Option<Receipt>) -> Result<(Outbound, Judge), WrongReceipt> {
        Ok((self.outbound, self.judge))
    }
}

/// An answer of the gateway's own. It leaves only against the receipt of its record.
#[derive(Debug)]
pub struct Answer {
    call: Arc<Call>,
    body: Vec<u8>,
    ticket: Ticket,
}

impl Answer {
    /// The call it answers.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Its record.
    pub fn entry(&self, now: Time) -> Entry {
        let shared = record::shared(&self.call, &[]);
        let json = record::disclosure(&shared, now, 200, &[], 0, self.body.len(), 1);
        Entry::new(json, self.ticket.same())
    }

    /// Status, headers and body, against the receipt of [`Answer::entry`].
    pub fn answer(self, receipt: Receipt) -> Result<(AnswerHead, Released), WrongReceipt> {
        if !receipt.covers(&self.ticket) {
            return Err(WrongReceipt);
        }
        Ok((answer_head(), Released::new(self.body.into())))
    }
}

pub(crate) fn answer_head() -> AnswerHead {
    AnswerHead {
        status: 200,
        headers: vec![("content-type", "application/fhir+json".to_owned())],
    }
}

/// Decides. `asked_purpose` is the value of `X-Purpose-Of-Use`; `sealer` seals page handles for
/// this subject, client and purpose (given once the purpose is settled).
pub fn decide(
    program: &Arc<Program>,
    service: &Service,
    interaction: &Interaction,
    mut call: Box<Call>,
    asked_purpose: Option<&str>,
    _facts: &Facts,
    sealer: impl FnOnce(&Call) -> Sealer,
) -> Verdict {
    call.action = Some(interaction.action());
    call.pack = Some(program.id.clone());
    let Some(subject) = call.subject.clone() else {
        return Verdict::Refuse(No::new(Reason::Unauthenticated), call);
    };
    if matches!(interaction, Interaction::Capabilities) {
        let rights = match settle_purpose(program, &subject, asked_purpose) {
            Ok(purpose) => {
                call.purpose = Some(purpose.code().into());
                Some(program.stance(roles_in_force(program, &subject, purpose), &subject.scopes))
            }
            Err(_) => None,
        };
        let body = capabilities::write(service, program, rights.as_deref(), &subject);
        return Verdict::Answer(Answer {
            call: Arc::from(*call),
            body,
            ticket: Ticket::issue(),
        });
    }
    if subject.kind == Kind::Anonymous {
        return Verdict::Refuse(No::new(Reason::Unauthenticated), call);
    }
    let purpose = match settle_purpose(program, &subject, asked_purpose) {
        Ok(purpose) => purpose,
        Err(no) => return Verdict::Refuse(no, call),
    };
    call.purpose = Some(purpose.code().into());
    if let Interaction::Search(search) = interaction
        && search
            .purpose
            .as_deref()
            .is_some_and(|bound| bound != purpose.code())
    {
        let no = No::named(Reason::NotUnderstood, "_page").because("a handle of another purpose");
        return Verdict::Refuse(no, call);
    }
    let stance = program.stance(roles_in_force(program, &subject, purpose), &subject.scopes);
    let (resource, can) = match interaction {
        Interaction::Read { resource, .. } => (*resource, Can::Read),
        Interaction::Search(search) => (search.resource, Can::Search),
        _ => return Verdict::Refuse(No::new(Reason::NotSupported), call),
    };
    let Some(candidates) = stance.candidates(resource, can).cloned() else {
        return Verdict::Refuse(No::named(Reason::NotGranted, r4().name(resource)), call);
    };
    let patient = match candidates.reach {
        Reach::None => return Verdict::Refuse(No::new(Reason::InsufficientScope), call),
        Reach::Whole => None,
        Reach::Patient => match (&subject.patient, r4().subject(resource)) {
            (None, _) => {
                let no = No::new(Reason::InsufficientScope)
                    .because("a `patient/` scope without a patient");
                return Verdict::Refuse(no, call);
            }
            (_, SubjectRule::NoPatient | SubjectRule::Undetermined) => {
                let no = No::new(Reason::InsufficientScope)
                    .because("the type is in no patient's compartment");
                return Verdict::Refuse(no, call);
            }
            (Some(patient), _) => Some(patient.clone()),
        },
    };
    let bench = Bench {
        program: program.clone(),
        stance,
        can,
        patient,
        nest: 0,
    };
    let shared: Arc<[u8]> = {
        let names: Vec<Arc<str>> = candidates
            .grants
            .iter()
            .filter_map(|(g, _)| Some(program.grants.get(*g)?.name.clone()))
            .collect();
        record::shared(&call, &names).into()
    };
    match interaction {
        Interaction::Read { resource, id } => {
            let target = format!("/{}/{id}", r4().name(*resource));
            let rows = RowJudge::new(bench, candidates, Vec::new());
            let outbound = Outbound::get(target, false);
            let judge = Judge::read(Arc::from(*call), shared.clone(), rows, id.clone(), service);
            Verdict::Permit(Box::new(Permit {
                outbound,
                judge,
                shared,
            }))
        }
        Interaction::Search(search) => {
            let reads = match search_reads(program, &bench, search) {
                Ok(reads) => reads,
                Err(no) => return Verdict::Refuse(no, call),
            };
            let count = search
                .count
                .unwrap_or(service.page_default)
                .clamp(1, service.page_max);
            let outbound = outbound(&bench, &candidates, search, count);
            let complete = complete(program, &bench, &candidates);
            let seal = sealer(&call);
            let rows = RowJudge::new(bench, candidates, reads);
            let judge = Judge::search(
                Arc::from(*call),
                shared.clone(),
                rows,
                search,
                complete,
                seal,
                service,
            );
            Verdict::Permit(Box::new(Permit {
                outbound,
                judge,
                shared,
            }))
        }
        _ => Verdict::Refuse(No::new(Reason::NotSupported), call),
    }
}

/// Whether anything in force could let the caller do this with the type, data aside: asked before
/// a body is read.
pub fn admissible(
    program: &Arc<Program>,
    subject: &Subject,
    asked_purpose: Option<&str>,
    resource: TypeId,
    can: Can,
) -> Result<(), No> {
    if subject.kind == Kind::Anonymous {
        return Err(No::new(Reason::Unauthenticated));
    }
    let purpose = settle_purpose(program, subject, asked_purpose)?;
    let roles = roles_in_force(program, subject, purpose);
    let stance = program.stance(roles, &subject.scopes);
    match stance.candidates(resource, can) {
        None => Err(No::named(Reason::NotGranted, r4().name(resource))),
        Some(candidates) if candidates.reach == Reach::None => {
            Err(No::new(Reason::InsufficientScope))
        }
        Some(_) => Ok(()),
    }
}

/// D2: one purpose for a request.
fn settle_purpose(
    program: &Program,
    subject: &Subject,
    asked: Option<&str>,
) -> Result<Purpose, No> {
    let unknown = || No::named(Reason::NotUnderstood, "X-Purpose-Of-Use");
    let asked = match asked {
        Some(code) => Some(Purpose::from_code(code.trim()).ok_or_else(unknown)?),
        None => None,
    };
    let required = || No::new(Reason::PurposeRequired);
    if !subject.purposes.is_empty() {
        let asserted: Vec<Purpose> = subject
            .purposes
            .iter()
            .filter_map(|p| Purpose::from_code(p))
            .collect();
        return match (asserted.as_slice(), asked) {
            ([only], _) if subject.purposes.len() == 1 => Ok(*only),
            (several, Some(asked)) if several.contains(&asked) => Ok(asked),
            _ => Err(required().because("the token's purposes leave it open")),
        };
    }
    if let Some(asked) = asked {
        return Ok(asked);
    }
    let mut firsts = held_roles(program, subject).filter_map(|(_, role)| role.purposes.first());
    match firsts.next() {
        Some(first) if firsts.all(|other| other == first) => Ok(*first),
        Some(_) => Err(required().because("the roles' first purposes differ")),
        None => Err(required().because("no role names a purpose")),
    }
}

fn held_roles<'a>(
    program: &'a Program,
    subject: &'a Subject,
) -> impl Iterator<Item = (usize, &'a crate::pack::Role)> {
    program
        .roles
        .iter()
        .enumerate()
        .filter(|(_, role)| subject.roles.contains(&role.name))
}

/// Only roles that hold the purpose count; one without `purposes` holds every one but BTG.
fn roles_in_force(program: &Program, subject: &Subject, purpose: Purpose) -> Vec<usize> {
    held_roles(program, subject)
        .filter(|(_, role)| {
            if role.purposes.is_empty() {
                purpose.code() != "BTG"
            } else {
                role.purposes.iter().any(|held| held.covers(purpose))
            }
        })
        .map(|(index, _)| index)
        .collect()
}

/// D10, data aside: what the search reads, or the parameter that reads what no grant shows.
fn search_reads(
    program: &Program,
    bench: &Bench,
    search: &Search,
) -> Result<Vec<Vec<&'static str>>, No> {
    let Some(candidates) = bench.stance.candidates(search.resource, Can::Search) else {
        return Err(No::new(Reason::NotGranted));
    };
    let mut all: Vec<Vec<&'static str>> = Vec::new();
    for filter in &search.filters {
        let Some(reads) = filter.param.reads() else {
            return Err(No::named(Reason::NotSupported, filter.param.code));
        };
        for path in reads {
            if !program.shows(candidates, candidates.likely, &path) {
                return Err(No::named(Reason::SearchReadsHidden, filter.param.code));
            }
            if !all.contains(&path) {
                all.push(path);
            }
        }
    }
    Ok(all)
}

/// D11: nothing that the search matches can be withheld.
fn complete(program: &Program, bench: &Bench, candidates: &stance::Candidates) -> bool {
    let every = (0..program.classes.len()).fold(crate::pack::Classes::default(), |mut all, i| {
        all.add(i);
        all
    });
    let free = candidates
        .grants
        .iter()
        .enumerate()
        .fold(0u128, |mask, (bit, at)| {
            let free = program
                .granted(*at)
                .is_some_and(|g| g.conditions.is_empty())
                && program.classes_of(*at).holds(every);
            mask | u128::from(free) << bit
        });
    candidates.reach == Reach::Whole
        && free != 0
        && bench.stance.sighted(program, candidates, free).view.whole
}

/// The search as it is sent: its parameters rebuilt, narrowed where one condition holds for all
/// rows that could leave, and the page's size.
fn outbound(
    bench: &Bench,
    candidates: &stance::Candidates,
    search: &Search,
    count: u32,
) -> Outbound {
    if let Some(position) = &search.position {
        return Outbound::get(position.clone(), false);
    }
    let count = count.to_string();
    let mut pairs: Vec<(&str, &str)> = search.pairs().collect();
    if let [only] = candidates.grants.as_slice()
        && let Some(granted) = bench.program.granted(*only)
    {
        pairs.extend(granted.conditions.iter().map(|c| (c.param, &*c.value)));
    }
    let narrowed = bench
        .patient
        .as_deref()
        .and_then(|patient| narrow_to(search, patient));
    if let Some((param, value)) = &narrowed {
        pairs.push((param, value));
    }
    pairs.push(("_count", &count));
    let mut written = String::new();
    target::write_pairs(&mut written, pairs.into_iter());
    let name = r4().name(search.resource);
    if search.form {
        Outbound {
            method: "POST",
            body: written.into(),
            content_type: Some("application/x-www-form-urlencoded"),
            ..Outbound::get(format!("/{name}/_search"), true)
        }
    } else {
        Outbound::get(format!("/{name}?{written}"), true)
    }
}

/// A parameter that confines a search to one patient, where the type has one.
fn narrow_to(search: &Search, patient: &str) -> Option<(&'static str, String)> {
    if *r4().subject(search.resource) == SubjectRule::Itself {
        return Some(("_id", patient.to_owned()));
    }
    let param = ["patient", "subject"]
        .into_iter()
        .find(|code| r4().param(search.resource, code).is_some())?;
    Some((param, format!("Patient/{patient}")))
}

/// The query of a search for its `self` link.
pub(crate) fn self_query(search: &Search) -> String {
    search::write(search)
}
