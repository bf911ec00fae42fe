//! The gateway's own questions to the upstream, and what is learned from the answers.
//!
//! An inquiry goes upstream as a `GET` of its own; its answer becomes facts, never a body. All
//! questions of a request together take no longer than one request to the upstream may, and hold
//! no more in memory than one row may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use chartward_rules::decide::{Asked, Facts, Question};
use chartward_rules::proof::Raw;
use chartward_rules::refusal::{No, Reason};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

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
        let learned = self.ask_in_time(place, first, asked, passing, facts).await;
        guard.disarm();
        self.counted.store(false, Ordering::Relaxed);
        learned
    }

    async fn ask_in_time(
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
        let limits = &self.view.version.limits;
        let room = Arc::new(Room::new(limits.row_bytes));
        let ends = Instant::from_std(self.began + limits.upstream_total);
        let learned = learn_all(pool, asked.questions(), passing, &room, facts);
        timeout_at(ends, learned).await.unwrap_or_else(|_| {
            Err(No::new(Reason::UpstreamTimeout).because("questions took too long in all"))
        })
    }
}

async fn learn_all(
    pool: &Pool,
    questions: &[Question],
    passing: &[(HeaderName, HeaderValue)],
    room: &Arc<Room>,
    facts: &mut Facts,
) -> Result<(), No> {
    if let [only] = questions {
        let learned = answer(pool, only, passing, room).await;
        learn(facts, only.clone(), learned?);
        return Ok(());
    }
    for some in questions.chunks(AT_ONCE) {
        // what is still asked ends where this is dropped
        let mut answers = JoinSet::new();
        for question in some {
            let (pool, question, passing) = (pool.clone(), question.clone(), passing.to_vec());
            let room = room.clone();
            answers.spawn(async move {
                let learned = answer(&pool, &question, &passing, &room).await;
                (question, learned)
            });
        }
        while let Some(joined) = answers.join_next().await {
            let lost = |_| No::new(Reason::FactsUnavailable).because("a question was lost");
            let (question, learned) = joined.map_err(lost)?;
            learn(facts, question, learned?);
        }
    }
    Ok(())
}

/// What all answers of a round together may hold in memory, those that are still read too.
struct Room {
    all: usize,
    left: AtomicUsize,
}

impl Room {
    fn new(all: usize) -> Self {
        let left = AtomicUsize::new(all);
        Self { all, left }
    }

    /// Room for a piece of an answer of so many bytes until now.
    fn take(&self, before: usize, bytes: usize) -> Result<(), No> {
        let left = |left: usize| left.checked_sub(bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        match taken {
            Ok(_) => Ok(()),
            Err(_) if before + bytes > self.all => {
                Err(No::new(Reason::UpstreamInvalid).because("row too large"))
            }
            Err(_) => Err(No::new(Reason::TooCostly).because("too much to learn")),
        }
    }
}

/// The upstream's answer; `None` where it says that there is none, or that a search is none.
async fn answer(
    pool: &Pool,
    question: &Question,
    passing: &[(HeaderName, HeaderValue)],
    room: &Room,
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
        room.take(whole.len(), piece.len())?;
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole.freeze()))
}

/// What an answer without a row says.
fn unwanted(status: StatusCode, of_search: bool) -> Result<Option<Bytes>, No> {
    Err(match status {
        StatusCode::NOT_FOUND | StatusCode::GONE if !of_search => return Ok(None),
        // a condition that the upstream rejects: of a batch, its entry is refused alone
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY
            if of_search =>
        {
            return Ok(None);
        }
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            No::new(Reason::UpstreamRejected)
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            No::new(Reason::UpstreamUnavailable).because("error status")
        }
        _ => No::new(Reason::UpstreamInvalid).because("unexpected status"),
    })
}

fn learn(facts: &mut Facts, question: Question, learned: Option<Bytes>) {
    match learned {
        Some(bytes) => facts.learn(question, Raw::new(bytes)),
        None => facts.learn_missing(question),
    }
}
