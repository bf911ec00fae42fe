//! What a decision needs to know from outside, asked and answered.
//!
//! `decide` says which questions are open; the gateway sends an [`Inquiry`] for each and brings
//! what it learned; `decide` is asked again with it. So the rules stay pure, and a decision can
//! be made again from its inputs. **Never here:** an answer that becomes a body.

use bytes::Bytes;

use crate::fhir::tables::{TypeId, r4};
use crate::proof::Raw;

/// A question to the upstream that only the rules make.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question(pub(crate) Asks);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Asks {
    /// The current version of one resource.
    Stored { resource: TypeId, id: Box<str> },
    /// What a search of the caller's finds: path and query below the upstream's base.
    Matches { target: Box<str> },
}

/// A question as it is sent: a `GET`. Made from a [`Question`] by nothing but this crate.
#[derive(Debug)]
pub struct Inquiry {
    target: String,
    search: bool,
}

impl Inquiry {
    /// Path and query below the upstream's base.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether it is a search, whose parameters must not be overlooked.
    pub fn is_search(&self) -> bool {
        self.search
    }
}

impl Question {
    /// The request that answers it.
    pub fn inquiry(&self) -> Inquiry {
        match &self.0 {
            Asks::Stored { resource, id } => Inquiry {
                target: format!("/{}/{id}", r4().name(*resource)),
                search: false,
            },
            Asks::Matches { target } => Inquiry {
                target: target.to_string(),
                search: true,
            },
        }
    }
}

/// What was learned of a question.
#[derive(Debug, Clone)]
pub(crate) enum Learned {
    /// The upstream's whole answer, 200 and JSON.
    Answer(Bytes),
    /// 404 or 410; of a search that the upstream rejects it.
    Missing,
}

/// What was learned so far for one request.
#[derive(Debug, Clone, Default)]
pub struct Facts(Vec<(Question, Learned)>);

impl Facts {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// The upstream answered with 200 and JSON: the whole body.
    pub fn learn(&mut self, question: Question, answer: Raw) {
        self.0
            .push((question, Learned::Answer(answer.into_inner())));
    }

    /// The upstream said 404 or 410, or rejected a search.
    pub fn learn_missing(&mut self, question: Question) {
        self.0.push((question, Learned::Missing));
    }

    pub(crate) fn of(&self, question: &Question) -> Option<&Learned> {
        let known = self.0.iter().find(|(asked, _)| asked == question);
        known.map(|(_, learned)| learned)
    }
}
