//! The one place where answers and refusals become responses.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chartward_rules::record::Call;
use chartward_rules::refusal::{AnswerHead, No, Reason, Refusal};
use http::{HeaderName, HeaderValue, Response, header};
use tokio::time::sleep;

use super::super::gate::Body;
use super::super::http as head_stage;
use super::Exchange;
use crate::base::metrics::Outcome;

/// A refusal on its way, with the call that it answers.
pub(super) struct Refused {
    pub(super) no: No,
    pub(super) call: Arc<Call>,
    /// It was sent, and may have been done.
    pub(super) sent: bool,
}

impl Refused {
    pub(super) fn new(no: No, call: Box<Call>) -> Self {
        Self {
            no,
            call: Arc::from(*call),
            sent: false,
        }
    }

    /// The same of a request that was sent.
    pub(super) fn sent(self) -> Self {
        Self { sent: true, ..self }
    }
}

/// An answer whose first window is released.
pub(super) struct Answer {
    pub(super) head: AnswerHead,
    pub(super) body: Body,
    /// Of the whole body, where it is known.
    pub(super) length: Option<usize>,
    pub(super) request_id: Box<str>,
}

impl Exchange {
    pub(super) async fn refuse(&self, refused: Refused) -> Response<Body> {
        let Refused { no, call, sent } = refused;
        let shared = &self.core.shared;
        let reason = no.reason;
        // no guard's any more
        self.counted.store(false, Ordering::Relaxed);
        let refusal = Refusal::new(no, call.clone());
        let recorded = match self.core.recorder.commit(refusal.entry()).await {
            Ok(receipt) => refusal.answer(receipt).ok(),
            Err(_) => None,
        };
        shared.metrics.refused(if recorded.is_some() {
            reason
        } else {
            Reason::JournalUnavailable
        });
        self.finished(Outcome::Refused);
        let (mut head, released) = recorded.unwrap_or_else(|| Refusal::unrecorded(call.clone()));
        if sent && self.interaction.as_ref().is_some_and(|i| i.is_unsafe()) {
            // nobody is asked to do again what may be done
            head.headers.retain(|(name, _)| *name != "retry-after");
        }
        if reason == Reason::NotFound {
            self.tick().await;
        }
        let length = Some(released.len());
        self.reply(Answer {
            head,
            body: Body::Once(Some(released)),
            length,
            request_id: call.request_id.clone(),
        })
    }

    /// D15: the time of a "not found" doesn't tell why.
    pub(super) async fn tick(&self) {
        wait_for_tick(self.began, self.view.version.quantum).await;
    }

    pub(super) fn reply(&self, answer: Answer) -> Response<Body> {
        answer.into_response(self.is_head)
    }

    pub(super) fn finished(&self, outcome: Outcome) {
        self.counted.store(true, Ordering::Relaxed);
        let metrics = &self.core.shared.metrics;
        let services = &self.view.version.services;
        if let Some(service) = self.place.and_then(|place| services.get(place)) {
            service.metrics.count(self.interaction.as_deref(), outcome);
        }
        metrics
            .request_seconds
            .observe(self.began.elapsed().as_secs_f64());
    }
}

impl Answer {
    pub(super) fn into_response(self, is_head: bool) -> Response<Body> {
        let status = http::StatusCode::from_u16(self.head.status).unwrap_or_default();
        let bare = is_head || status == http::StatusCode::NO_CONTENT;
        let mut response = Response::new(if bare { Body::Empty } else { self.body });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in &self.head.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(head_stage::REQUEST_ID, id);
        }
        if let (true, Some(length)) = (is_head, self.length) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

/// Until the next tick since the request began.
async fn wait_for_tick(began: Instant, quantum: Duration) {
    let nanos = quantum.as_nanos().max(1);
    let passed = began.elapsed().as_nanos();
    let ticks = passed / nanos + 1;
    let wait = ticks * nanos - passed;
    sleep(Duration::from_nanos(u64::try_from(wait).unwrap_or(0))).await;
}
