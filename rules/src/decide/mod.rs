//! From an understood interaction and a subject to a permit, a local answer or a refusal.
//!
//! What comes in: a [`Program`], an [`Interaction`], the [`Call`] with its subject. What goes
//! out: a [`Verdict`]. Default deny (D2): what no grant of a role in force covers is refused.
//! **Never here:** a row. Rows are judged by the [`Judge`] that a permit opens.

mod batch;
mod capabilities;
mod deletes;
mod desk;
mod facts;
mod history;
mod judge;
mod matches;
mod patches;
mod permit;
mod purpose;
mod reads;
pub(crate) mod row;
mod searches;
pub(crate) mod stance;
mod standing;
mod stored;
mod whose;
mod writable;
mod writes;

use std::sync::Arc;

pub use facts::{Facts, Inquiry, Question};
pub use judge::{Closing, Held, Judge, Turn, UpstreamHead};
pub use permit::{Answer, Asked, Outbound, Permit};

use crate::fhir::interaction::Interaction;
use crate::fhir::tables::{TypeId, r4};
use crate::pack::{Can, Program};
use crate::proof::Ticket;
use crate::record::{self, Call};
use crate::refusal::{AnswerHead, No, Reason};
use crate::smart::Reach;
use crate::subject::{Kind, Subject};
use desk::{Decided, Decision, Desk};
use permit::json_head;

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
    /// Largest body of a write, bytes: a patch makes nothing larger.
    pub body_max: usize,
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

/// Decides. `asked_purpose` is the value of `X-Purpose-Of-Use`; `facts` is what was learned of
/// the questions that this decision asked before; `sealer` seals page handles of the interaction
/// given (the call's own, or one of a batch's entries) for the call's subject, client and purpose.
pub fn decide(
    program: &Arc<Program>,
    service: &Service,
    interaction: &Interaction,
    mut call: Box<Call>,
    asked_purpose: Option<&str>,
    facts: &Facts,
    sealer: impl Fn(&Call, &Interaction) -> Sealer,
) -> Verdict {
    call.action = Some(interaction.action());
    call.pack = Some(program.id.clone());
    let Some(subject) = call.subject.clone() else {
        return Verdict::Refuse(No::new(Reason::Unauthenticated), call);
    };
    let settled = purpose::settle(program, &subject, asked_purpose);
    if let Ok(purpose) = &settled {
        call.purpose = Some(purpose.code().into());
    }
    let stance = settled.clone().map(|purpose| {
        let roles = purpose::roles_in_force(program, &subject, purpose);
        program.stance(roles, &subject.scopes)
    });
    if matches!(interaction, Interaction::Capabilities) {
        let rights = stance.ok();
        let body = capabilities::write(service, program, rights.as_deref(), &subject);
        return Verdict::Answer(Answer::new(call, json_head(200), body));
    }
    if subject.kind == Kind::Anonymous {
        return Verdict::Refuse(No::new(Reason::Unauthenticated), call);
    }
    if let Interaction::Options { allow } = interaction {
        let head = AnswerHead {
            status: 204,
            headers: vec![("allow", (*allow).to_owned())],
        };
        return Verdict::Answer(Answer::new(call, head, Vec::new()));
    }
    let (purpose, stance) = match settled.and_then(|purpose| Ok((purpose, stance?))) {
        Ok(settled) => settled,
        Err(no) => return Verdict::Refuse(no, call),
    };
    if bound_to(interaction).is_some_and(|bound| bound != purpose.code()) {
        let no = No::named(Reason::NotUnderstood, "_page").because("a handle of another purpose");
        return Verdict::Refuse(no, call);
    }
    let seal = |of: &Interaction| sealer(&call, of);
    let id = &call.request_id;
    let desk = Desk::new(program, service, id, &subject, stance, facts, &seal);
    let decided = decide_one(&desk, interaction);
    let (names, refused) = desk.into_record();
    call.refuse(&refused);
    let shared = record::shared(&call, &names);
    let plan = match decided {
        Err(no) => return Verdict::Refuse(no, call),
        Ok(Decided::Ask(questions)) => {
            return Verdict::Ask(Asked {
                call,
                questions,
                shared,
            });
        }
        Ok(Decided::Here(body)) => {
            return Verdict::Answer(Answer::new(call, json_head(200), body));
        }
        Ok(Decided::Go(plan)) => plan,
    };
    let shared: Arc<[u8]> = shared.into();
    let later = record::shared_briefly(&call, &names).map_or(shared.clone(), Into::into);
    let judge = Judge::new(
        Arc::from(*call),
        (shared.clone(), later),
        plan.shape,
        service,
    );
    Verdict::Permit(Box::new(Permit {
        outbound: plan.outbound,
        judge,
        shared,
        ticket: interaction.is_unsafe().then(Ticket::issue),
    }))
}

/// The purpose that a page's handle is bound to.
fn bound_to(interaction: &Interaction) -> Option<&str> {
    match interaction {
        Interaction::Search(search) => search.purpose.as_deref(),
        Interaction::SystemSearch(search) => search.page.purpose.as_deref(),
        Interaction::History(history) => history.page.purpose.as_deref(),
        _ => None,
    }
}

/// Decides one interaction, a batch's entry too.
fn decide_one(desk: &Desk<'_>, interaction: &Interaction) -> Decision {
    match interaction {
        Interaction::Read { resource, id } => reads::read(desk, *resource, id),
        Interaction::VRead {
            resource,
            id,
            version,
        } => reads::version(desk, *resource, id, version),
        Interaction::History(asked) => history::history(desk, interaction, asked),
        Interaction::Search(search) => searches::search(desk, interaction, search),
        Interaction::SystemSearch(system) => searches::system(desk, interaction, system),
        Interaction::Create(create) => writes::create(desk, create),
        Interaction::Update(update) => writes::update(desk, update),
        Interaction::Patch(patch) => patches::patch(desk, patch),
        Interaction::Delete(delete) => deletes::delete(desk, delete),
        Interaction::Bundle(bundle) => batch::bundle(desk, bundle),
        Interaction::Capabilities | Interaction::Options { .. } => {
            Err(No::new(Reason::NotSupported))
        }
    }
}

/// Whether anything at all is in force for the caller, data aside: asked before the body of a batch
/// or a transaction is read.
pub fn admissible_bundle(
    program: &Arc<Program>,
    subject: &Subject,
    asked_purpose: Option<&str>,
) -> Result<(), No> {
    if subject.kind == Kind::Anonymous {
        return Err(No::new(Reason::Unauthenticated));
    }
    let purpose = purpose::settle(program, subject, asked_purpose)?;
    let roles = purpose::roles_in_force(program, subject, purpose);
    if roles.is_empty() {
        return Err(No::new(Reason::NotGranted));
    }
    Ok(())
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
    let purpose = purpose::settle(program, subject, asked_purpose)?;
    let roles = purpose::roles_in_force(program, subject, purpose);
    let stance = program.stance(roles, &subject.scopes);
    match stance.candidates(resource, can) {
        None => Err(No::named(Reason::NotGranted, r4().name(resource))),
        Some(candidates) if candidates.reach == Reach::None => {
            Err(No::new(Reason::InsufficientScope))
        }
        Some(_) => Ok(()),
    }
}
