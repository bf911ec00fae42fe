//! The gateway's own questions to the upstream, and what is learned from the answers.
//!
//! An inquiry goes upstream as a `GET` of its own; its answer becomes facts, never a body.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use chartward_rules::decide::{Asked, Facts, Question};
use chartward_rules::proof::Raw;
use chartward_rules::refusal::{No, Reason};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::task::JoinSet;

use super::super::upstream::{Ask, Pool};
use super::Exchange;
use super::rest::{Guard, of_fault};
use crate::base::clock::now;

/// Questions of one request that are asked at once.
const AT_ONCE: usize = 8;

impl Exchange {
    /// Asks, after the opening record where this is the first round (D26). A caller who leaves
    /// meanwhile is recorded as one.
    pub(super) async fn ask(
        &self,
        place: usize,
        first: bool,
        asked: &Asked,
        passing: &[(HeaderName, HeaderValue)],
        facts: &mut Facts,
    ) -> Result<(), No> {
        let mut guard = Guard::new(self, &Arc::new(asked.call().clone()));
        let learned = self.learn_all(place, first, asked, passing, facts).await;
        guard.disarm();
        self.counted.store(false, Ordering::Relaxed);
        learned
    }

    async fn learn_all(
        &self,
        place: usize,
        first: bool,
        asked: &Asked,
        passing: &[(HeaderName, HeaderValue)],
        facts: &mut Facts,
    ) -> Result<(), No> {
        let recorder = &self.core.recorder;
        if first {
            let opening = asked.opening(now());
            let is_unsafe = self.interaction.as_ref().is_some_and(|i| i.is_unsafe());
            if is_unsafe {
                let unwritten = |_| No::new(Reason::JournalUnavailable);
                recorder.commit(opening).await.map_err(unwritten)?;
            } else {
                recorder.note(opening);
            }
        }
        let Some(pool) = self.view.pool(place) else {
            return Err(No::new(Reason::UpstreamUnavailable));
        };
        // what all answers together may hold in memory
        let mut left = self.view.version.limits.row_bytes;
        let questions = asked.questions();
        if let [only] = questions {
            let learned = answer(pool, only, passing, left).await?;
            learn(facts, only.clone(), learned, &mut left)?;
            return Ok(());
        }
        for some in questions.chunks(AT_ONCE) {
            let mut answers = JoinSet::new();
            for question in some {
                let (pool, question, passing) = (pool.clone(), question.clone(), passing.to_vec());
                answers.spawn(async move {
                    let learned = answer(&pool, &question, &passing, left).await;
                    (question, learned)
                });
            }
            while let Some(joined) = answers.join_next().await {
                let lost = |_| No::new(Reason::FactsUnavailable).because("a question was lost");
                let (question, learned) = joined.map_err(lost)?;
                learn(facts, question, learned?, &mut left)?;
            }
        }
        Ok(())
    }
}

/// The upstream's answer; `None` where it says that there is none.
async fn answer(
    pool: &Pool,
    question: &Question,
    passing: &[(HeaderName, HeaderValue)],
    most: usize,
) -> Result<Option<Bytes>, No> {
    let inquiry = question.inquiry();
    let ask = Ask {
        path_and_query: inquiry.target().to_owned(),
        headers: passing.to_vec(),
        search: inquiry.is_search(),
        ..Ask::default()
    };
    let mut answer = pool.send(&ask).await.map_err(|fault| of_fault(&fault))?;
    let status = answer.status;
    if status != StatusCode::OK || !answer.is_json() {
        // what isn't wanted is read all the same: that a row is missing costs no connection
        answer.discard();
        return unwanted(status, inquiry.is_search());
    }
    let mut whole = BytesMut::new();
    while let Some(piece) = answer.body.next().await.map_err(|fault| of_fault(&fault))? {
        if whole.len() + piece.len() > most {
            return Err(No::new(Reason::UpstreamInvalid).because("row too large"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole.freeze()))
}

/// What an answer without a row says.
fn unwanted(status: StatusCode, of_search: bool) -> Result<Option<Bytes>, No> {
    Err(match status {
        StatusCode::NOT_FOUND | StatusCode::GONE if !of_search => return Ok(None),
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
            No::new(Reason::UpstreamRejected)
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            No::new(Reason::UpstreamUnavailable).because("error status")
        }
        _ => No::new(Reason::UpstreamInvalid).because("unexpected status"),
    })
}

fn learn(
    facts: &mut Facts,
    question: Question,
    learned: Option<Bytes>,
    left: &mut usize,
) -> Result<(), No> {
    let Some(bytes) = learned else {
        facts.learn_missing(question);
        return Ok(());
    };
    let Some(rest) = left.checked_sub(bytes.len()) else {
        return Err(No::new(Reason::TooCostly).because("too much to learn"));
    };
    *left = rest;
    facts.learn(question, Raw::new(bytes));
    Ok(())
}
