//! The end of a request's way: the windows of its answer, and the closing record.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chartward_rules::decide::{Judge, Turn};
use chartward_rules::fhir::interaction::Interaction;
use chartward_rules::mask::Fault;
use chartward_rules::proof::{Entry, Raw, Released};
use chartward_rules::record::{self, Call};
use chartward_rules::refusal::{AnswerHead, No, Reason, Refusal};

use super::super::gate::{BrokenOff, Windows};
use super::super::listen::UploadError;
use super::super::upstream::{self, ReadBody};
use super::renew::Renewal;
use super::{Core, Exchange};
use crate::base::clock::now;
use crate::base::config::Limit;
use crate::base::metrics::{Outcome, ServiceMetrics};

/// What leaves at once, with the head where it is the first, and whether it is the last.
pub(super) type Window = ((Option<AnswerHead>, Released), bool);

/// The rest of an answer: what is still judged, and what is said when it ends.
pub(super) struct Rest {
    pub(super) core: Arc<Core>,
    pub(super) judge: Judge,
    pub(super) upstream: ReadBody,
    /// Decides anew after a reload.
    pub(super) renewal: Option<Box<Renewal>>,
    /// The call as it was decided anew, where that is a refusal.
    pub(super) refused: Option<Arc<Call>>,
    pub(super) guard: Guard,
}

impl Rest {
    /// The next window, released; `None` where nothing may be seen.
    pub(super) async fn window(&mut self) -> Result<Option<Window>, No> {
        let window = self.judged().await;
        if window.is_err() {
            self.upstream.distrust();
        }
        window
    }

    fn of_rows(&self, fault: Fault) -> No {
        if fault.what == Fault::ROW_TOO_LARGE {
            self.core.shared.metrics.exceeded(Limit::RowBytes);
        }
        No::new(Reason::UpstreamInvalid).because(fault.what)
    }

    async fn judged(&mut self) -> Result<Option<Window>, No> {
        loop {
            self.renew().await?;
            match self.judge.turn(now()) {
                Turn::Feed => {
                    let next = self.upstream.next().await;
                    let chunk = next.map_err(|fault| of_fault(&fault))?;
                    // the wait may have been long
                    self.renew().await?;
                    match chunk {
                        Some(chunk) => self
                            .judge
                            .push(Raw::new(chunk))
                            .map_err(|f| self.of_rows(f))?,
                        None => self.judge.end().map_err(|f| self.of_rows(f))?,
                    }
                }
                Turn::Held(mut held) => {
                    let unwritten = |_| No::new(Reason::JournalUnavailable);
                    let receipt = self
                        .core
                        .recorder
                        .commit(held.entry())
                        .await
                        .map_err(unwritten)?;
                    let last = held.is_last();
                    let released = held
                        .release(receipt)
                        .map_err(|_| No::new(Reason::JournalUnavailable))?;
                    self.guard.bytes += released.1.len() as u64;
                    return Ok(Some((released, last)));
                }
                Turn::Missing | Turn::Done(_) => return Ok(None),
            }
        }
    }

    /// Goes on under what is in force now, or not at all.
    async fn renew(&mut self) -> Result<(), No> {
        let Some(renewal) = &mut self.renewal else {
            return Ok(());
        };
        if !renewal.is_due(&self.core) {
            return Ok(());
        }
        let renewed = Box::pin(renewal.renew(&self.core, &mut self.judge));
        renewed.await.map_err(|(no, call)| {
            self.refused = Some(call);
            no
        })
    }

    /// The caller asked for the head alone, and has it.
    pub(super) fn head_only(&mut self) {
        self.guard.end("complete", Outcome::Answered);
    }

    pub(super) fn complete(&mut self) {
        if let Turn::Done(closing) = self.judge.turn(now()) {
            let metrics = &self.core.shared.metrics;
            metrics.rows_released.inc_by(closing.rows);
            metrics.rows_withheld.inc_by(closing.withheld);
        }
        self.guard.end("complete", Outcome::Answered);
    }
}

impl Windows for Rest {
    async fn next(&mut self) -> Result<Option<Released>, BrokenOff> {
        match self.window().await {
            Ok(Some(((_, released), last))) => {
                if last {
                    self.complete();
                }
                Ok(Some(released))
            }
            Ok(None) => {
                if !self.guard.ended {
                    self.complete();
                }
                Ok(None)
            }
            Err(no) => {
                self.core.shared.metrics.refused(no.reason);
                if let Some(call) = self.refused.take() {
                    let refusal = Refusal::new(no, call);
                    self.core.recorder.note(refusal.entry());
                }
                self.guard.end("broken", Outcome::Broken);
                Err(BrokenOff)
            }
        }
    }
}

/// Says how a request ended, whatever way it ends: a caller who leaves drops it.
pub(super) struct Guard {
    pub(super) core: Arc<Core>,
    call: Arc<Call>,
    began: Instant,
    service: Option<Arc<ServiceMetrics>>,
    interaction: Option<Arc<Interaction>>,
    /// What the caller was or is to be told.
    pub(super) status: u16,
    pub(super) upstream: Option<u16>,
    pub(super) bytes: u64,
    pub(super) ended: bool,
}

impl Guard {
    pub(super) fn new(exchange: &Exchange, call: &Arc<Call>) -> Self {
        exchange.counted.store(true, Ordering::Relaxed);
        let services = &exchange.view.version.services;
        let service = exchange.place.and_then(|place| services.get(place));
        Self {
            core: exchange.core.clone(),
            call: call.clone(),
            began: exchange.began,
            service: service.map(|s| s.metrics.clone()),
            interaction: exchange.interaction.clone(),
            status: 200,
            upstream: None,
            bytes: 0,
            ended: false,
        }
    }

    /// The request goes on to be refused: its refusal is the record.
    pub(super) fn disarm(&mut self) {
        self.ended = true;
    }

    /// What was sent may have changed something, and its caller is refused for this reason: the
    /// record says what is known of it.
    pub(super) fn refused(&mut self, reason: Reason) {
        let is_unsafe = self.interaction.as_ref().is_some_and(|i| i.is_unsafe());
        if !std::mem::replace(&mut self.ended, true) && is_unsafe {
            self.status = reason.status();
            self.close(match (reason, self.upstream) {
                // a row that was there already (D20)
                (Reason::VersionConflict, _) | (_, Some(400..=499)) => "rejected",
                _ => "unknown",
            });
        }
    }

    fn end(&mut self, word: &str, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.close(word);
        if let Some(service) = &self.service {
            service.count(self.interaction.as_deref(), outcome);
        }
        self.core
            .shared
            .metrics
            .request_seconds
            .observe(self.began.elapsed().as_secs_f64());
    }

    fn close(&self, word: &str) {
        let closing = record::closing(
            &self.call,
            now(),
            word,
            self.status,
            self.upstream,
            self.bytes,
        );
        self.core.recorder.note(Entry::own(closing));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end("abandoned", Outcome::Abandoned);
    }
}

pub(super) fn of_fault(fault: &upstream::Fault) -> No {
    let reason = match fault {
        upstream::Fault::Overloaded => Reason::Overloaded,
        upstream::Fault::Encoded | upstream::Fault::Malformed(_) | upstream::Fault::NotFinal => {
            Reason::UpstreamInvalid
        }
        fault if fault.is_timeout() => Reason::UpstreamTimeout,
        _ => Reason::UpstreamUnavailable,
    };
    No::new(reason).because(fault.detail())
}

pub(super) fn of_upload(error: UploadError) -> No {
    match error {
        UploadError::Long => No::new(Reason::TooLarge),
        UploadError::NoRoom => No::new(Reason::Overloaded),
        UploadError::Slow => No::new(Reason::NotUnderstood).because("the body took too long"),
        UploadError::Trailers => No::new(Reason::NotUnderstood).because("trailers after the body"),
        UploadError::Broken => No::new(Reason::NotUnderstood).because("the body broke off"),
    }
}
