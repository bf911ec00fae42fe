//! From a head to an understood request: which service, who asks, what the body holds.

use std::sync::Arc;

use chartward_rules::decide::{admissible, admissible_bundle};
use chartward_rules::fhir::interaction::{Interaction, Request as Asked, Takes, understand};
use chartward_rules::record::Call;
use chartward_rules::refusal::{No, Reason};
use chartward_rules::subject::Subject;
use http::{header, request::Parts};

use http_body::Body as _;

use super::super::http as head_stage;
use super::super::listen::Upload;
use super::rest::of_upload;
use super::{Entered, Exchange, Refused, Service};
use crate::base::clock::now;
use crate::base::config::Limit;

impl Exchange {
    pub(super) async fn enter(
        &mut self,
        head: Parts,
        body: Upload,
        mut call: Box<Call>,
    ) -> Result<Entered, Refused> {
        macro_rules! or_refuse {
            ($result:expr) => {
                match $result {
                    Ok(value) => value,
                    Err(no) => return Err(Refused::new(no, call)),
                }
            };
        }
        let view = self.view.clone();
        let busy = body.busy();
        // the head: one reading, one service
        or_refuse!(head_stage::unambiguous(&head));
        let (place, service, below) = or_refuse!(
            view.route(head.uri.path())
                .ok_or_else(|| No::new(Reason::NotUnderstood).because("no service has this path"))
        );
        self.place = Some(place);

        // the caller
        let subject = or_refuse!(
            self.caller
                .subject(&view.version, service, &head.headers, below)
                .await
        );
        call.subject = Some(subject.clone());
        or_refuse!(head_stage::acceptable(&head));
        let purpose = or_refuse!(head_stage::once(&head.headers, &head_stage::PURPOSE));

        // the body: not read where the head alone decides
        let method = head.method.as_str();
        let takes = Interaction::takes(method, below);
        if takes != Takes::Form && !matches!(method, "GET" | "HEAD" | "OPTIONS") {
            or_refuse!(head_stage::unconditioned(&head));
        }
        let limits = &view.version.limits;
        let (most, limit) = match takes {
            Takes::Bundle => (limits.bundle_bytes, Limit::BundleBytes),
            _ => (limits.body_bytes, Limit::BodyBytes),
        };
        match takes {
            Takes::Nothing => {}
            Takes::Form => or_refuse!(head_stage::is_form(&head)),
            Takes::Resource(resource, can) => {
                let (program, subject) = (&service.program, &subject);
                or_refuse!(admissible(program, subject, purpose, resource, can));
            }
            Takes::Bundle => or_refuse!(admissible_bundle(&service.program, &subject, purpose)),
        }
        let query = head.uri.query().unwrap_or("");
        let gathered = match takes {
            Takes::Nothing => {
                let none = head_stage::bodiless(&head, &body)
                    && (body.is_end_stream() || body.gather(0, Limit::BodyBytes).await.is_ok());
                if !none {
                    // what the head alone says comes first: an operation isn't for want of a body
                    let head = understand(Asked::new(method, below, query));
                    or_refuse!(head.and_then(|_| Err(head_stage::misplaced())));
                }
                None
            }
            _ => {
                or_refuse!(head_stage::not_encoded(&head));
                Some(or_refuse!(
                    body.gather(most, limit).await.map_err(of_upload)
                ))
            }
        };
        let body = gathered.as_deref();

        // the interaction: the same reading is decided on and sent
        let is_form = takes == Takes::Form;
        let form = match body.filter(|_| is_form) {
            Some(body) => Some(or_refuse!(head_stage::text(body))),
            None => None,
        };
        let asked = Asked {
            form,
            body: body.filter(|_| !is_form),
            content_type: or_refuse!(head_stage::once(&head.headers, &header::CONTENT_TYPE)),
            if_match: or_refuse!(head_stage::once(&head.headers, &header::IF_MATCH)),
            if_none_exist: or_refuse!(head_stage::once(&head.headers, &head_stage::IF_NONE_EXIST)),
            ..Asked::new(method, below, query)
        };
        let mut interaction = or_refuse!(understand(asked));
        call.action = Some(interaction.action());
        or_refuse!(self.resume(service, &subject, &mut interaction));
        let interaction = Arc::new(interaction);
        self.interaction = Some(interaction.clone());
        Ok(Entered {
            place,
            interaction,
            purpose: purpose.map(Into::into),
            authorization: head.headers.get(header::AUTHORIZATION).cloned(),
            passing: head_stage::passed_on(&head.headers, &call.request_id),
            call,
            _body: gathered,
            _busy: busy,
        })
    }

    /// Opens a page handle: what it goes on with is decided anew, as its first page was.
    fn resume(
        &self,
        service: &Service,
        subject: &Subject,
        interaction: &mut Interaction,
    ) -> Result<(), No> {
        let Some(handle) = interaction.handle() else {
            return Ok(());
        };
        let pages = &self.core.shared.pages;
        let position = pages.open(&service.name, subject, &handle, now())?;
        if interaction.place() != position.place {
            return Err(
                No::named(Reason::NotUnderstood, "_page").because("a handle of another place")
            );
        }
        interaction.resumed(&position.query, position.upstream, position.purpose)
    }
}
