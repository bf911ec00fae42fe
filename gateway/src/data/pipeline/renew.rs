//! An answer that outlasts a reload: its request is decided anew, and what follows is judged under
//! the rights that are in force now. What isn't permitted any more ends there.

use std::sync::Arc;

use chartward_rules::decide::{Facts, Judge, Verdict, decide};
use chartward_rules::fhir::interaction::Interaction;
use chartward_rules::record::Call;
use chartward_rules::refusal::{No, Reason};
use http::{HeaderMap, HeaderValue, header};

use super::super::http as head_stage;
use super::state::View;
use super::{Caller, Core, Service, sealer};

/// What deciding a request once more needs.
pub(super) struct Renewal {
    view: Arc<View>,
    caller: Arc<Caller>,
    service: Arc<str>,
    interaction: Arc<Interaction>,
    authorization: Option<HeaderValue>,
    purpose: Option<Box<str>>,
}

impl Renewal {
    /// `None` where a second decision would be no truth about the first: a write is done.
    pub(super) fn of(
        view: &Arc<View>,
        caller: &Arc<Caller>,
        service: &Service,
        interaction: &Arc<Interaction>,
        headers: &HeaderMap,
    ) -> Option<Box<Self>> {
        (!interaction.is_unsafe()).then(|| {
            let purpose = headers.get(&head_stage::PURPOSE);
            Box::new(Self {
                view: view.clone(),
                caller: caller.clone(),
                service: service.name.clone(),
                interaction: interaction.clone(),
                authorization: headers.get(header::AUTHORIZATION).cloned(),
                purpose: purpose.and_then(|p| p.to_str().ok()).map(Box::from),
            })
        })
    }

    /// Whether something else is in force than what the answer is judged by.
    pub(super) fn is_due(&self, core: &Core) -> bool {
        core.shared.live.glance().generation != self.view.version.generation
    }

    /// Decides anew. An error: nothing more may leave; with it, the call as it was decided.
    pub(super) async fn renew(
        &mut self,
        core: &Arc<Core>,
        judge: &mut Judge,
    ) -> Result<(), (No, Arc<Call>)> {
        let view = core.view();
        let mut call = Call::clone(judge.call());
        let state = &view.version.state;
        let service = state.services.iter().find(|s| s.name == self.service);
        let Some(service) = service else {
            let no = No::new(Reason::NotGranted).because("the service is no more");
            return Err((no, call.into()));
        };
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let resolved = Box::pin(self.caller.subject(state, service, &headers, ""));
        match resolved.await {
            Ok(subject) => call.subject = Some(subject),
            Err(no) => return Err((no, call.into())),
        }
        (call.purpose, call.pack) = (None, None);
        let sealer = |call: &Call, of: &Interaction| sealer(core, &service.name, call, of);
        let verdict = decide(
            &service.program,
            &service.rules,
            &self.interaction,
            Box::new(call),
            self.purpose.as_deref(),
            &Facts::none(),
            sealer,
        );
        match verdict {
            Verdict::Permit(permit) => {
                let call = permit.call().clone();
                judge.renew(*permit).map_err(|no| (no, call))?;
            }
            Verdict::Refuse(no, call) => return Err((no, Arc::from(*call))),
            Verdict::Ask(asked) => {
                let no = No::new(Reason::FactsUnavailable);
                return Err((no, Arc::from(*asked.into_call())));
            }
            Verdict::Answer(answer) => {
                let no = No::new(Reason::NotUnderstood);
                return Err((no, answer.call().clone()));
            }
        }
        self.view = view;
        Ok(())
    }
}
