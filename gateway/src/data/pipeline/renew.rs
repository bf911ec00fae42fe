//! An answer that outlasts a reload: its request is decided anew, and what follows is judged under
//! the rights that are in force now. What isn't permitted any more ends there.

use std::sync::Arc;

use chartward_rules::decide::{Facts, Judge, Verdict, decide};
use chartward_rules::fhir::interaction::Interaction;
use chartward_rules::record::Call;
use chartward_rules::refusal::{No, Reason};
use http::{HeaderMap, HeaderValue, header};

use super::state::View;
use super::{Caller, Core, seal};

/// What deciding a request once more needs. There is none of a write: it is done. Of a Bundle's
/// entries those that write are done, too; of the others what follows is judged anew.
pub(super) struct Renewal {
    pub(super) view: Arc<View>,
    pub(super) caller: Arc<Caller>,
    pub(super) service: Arc<str>,
    pub(super) interaction: Arc<Interaction>,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) purpose: Option<Box<str>>,
    /// What was learned for the first decision (D26).
    pub(super) facts: Facts,
}

impl Renewal {
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
        let renewed = self.try_renew(core, judge).await;
        renewed.map_err(|(no, call)| match self.interaction.writes() {
            // what is done isn't said to be refused
            true => {
                let no = No::new(Reason::UpstreamInvalid);
                (no.because("not permitted any more, once it was sent"), call)
            }
            false => (no, call),
        })
    }

    async fn try_renew(
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
        let sealer = |call: &Call, of: &Interaction| seal(core, &service.name, call, of);
        let verdict = decide(
            &service.program,
            &service.rules,
            &self.interaction,
            Box::new(call),
            self.purpose.as_deref(),
            &self.facts,
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
                let no = No::new(Reason::NotGranted).because("nothing is permitted any more");
                return Err((no, answer.call().clone()));
            }
        }
        self.view = view;
        Ok(())
    }
}
