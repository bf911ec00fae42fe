//! Pages, alike for everything that has them: searches and histories.
//!
//! A handle is bound to the place that it was given for and holds the query that was asked
//! there; its page is understood anew from both, as the first one was.

use super::{Aim, Delete, Interaction, Level, Page, Patch, Update, conditions, system};
use crate::fhir::search::{self, Search};
use crate::fhir::tables::r4;
use crate::fhir::target;
use crate::refusal::{No, Reason};

impl Interaction {
    /// Takes the handle of a page, still sealed; `None` for a first page.
    pub fn handle(&mut self) -> Option<String> {
        match self {
            Self::Search(search) => search.page.take(),
            Self::SystemSearch(search) => search.page.handle.take(),
            Self::History(history) => history.page.handle.take(),
            _ => None,
        }
    }

    /// Goes on with what a handle held: the `query` as asked on the first page, the upstream's
    /// `position`, the `purpose` that it is bound to. The place stays. Fails where the query isn't
    /// understood here, or this has no pages.
    pub fn resumed(&mut self, query: &str, position: String, purpose: String) -> Result<(), No> {
        let page = Page {
            handle: None,
            position: Some(position),
            purpose: Some(purpose),
        };
        let of_another =
            || No::named(Reason::NotUnderstood, "_page").because("a handle in a handle");
        match self {
            Self::Search(search) => {
                let pairs = target::pairs(query)?;
                let mut first = Search::understand(search.resource, pairs, false)?;
                if first.page.is_some() {
                    return Err(of_another());
                }
                first.within = search.within.take();
                first.position = page.position;
                first.purpose = page.purpose;
                *search = first;
            }
            Self::SystemSearch(search) => {
                let first = system::understand(target::pairs(query)?, false)?;
                if first.page.handle.is_some() {
                    return Err(of_another());
                }
                *search = first;
                search.page = page;
            }
            Self::History(history) => {
                let first = conditions::history(history.level.clone(), query)?;
                if first.page.handle.is_some() {
                    return Err(of_another());
                }
                *history = first;
                history.page = page;
            }
            _ => return Err(No::named(Reason::NotUnderstood, "_page")),
        }
        Ok(())
    }

    /// The path that it is asked at, below the service, without a leading `/`; a form's without
    /// `_search`. What a handle is bound to.
    pub fn place(&self) -> String {
        let name = |resource| r4().name(resource);
        match self {
            Self::Capabilities => "metadata".to_owned(),
            Self::Options { .. } | Self::SystemSearch(_) | Self::Bundle(_) => String::new(),
            Self::Read { resource, id } => format!("{}/{id}", name(*resource)),
            Self::VRead {
                resource,
                id,
                version,
            } => format!("{}/{id}/_history/{version}", name(*resource)),
            Self::History(history) => match &history.level {
                Level::System => "_history".to_owned(),
                Level::Type(resource) => format!("{}/_history", name(*resource)),
                Level::Instance(resource, id) => format!("{}/{id}/_history", name(*resource)),
            },
            Self::Search(search) => match &search.within {
                Some((outer, id)) => format!("{}/{id}/{}", name(*outer), name(search.resource)),
                None => name(search.resource).to_owned(),
            },
            Self::Create(create) => name(create.resource).to_owned(),
            Self::Update(Update { resource, aim, .. })
            | Self::Patch(Patch { resource, aim, .. })
            | Self::Delete(Delete { resource, aim, .. }) => match aim {
                Aim::Id(id) => format!("{}/{id}", name(*resource)),
                Aim::Found(_) => name(*resource).to_owned(),
            },
        }
    }

    /// The query as asked, written anew: for records, `self` links and handles. That of a
    /// conditional write is the search for what is written (`If-None-Exist` of a create).
    pub fn query(&self) -> String {
        match self {
            Self::Search(search) => search::write(search),
            Self::SystemSearch(system) => {
                let types: Option<Vec<&str>> = system.types.as_ref().map(|types| {
                    let names = types.iter().map(|search| r4().name(search.resource));
                    names.collect()
                });
                let types = types.map(|names| names.join(","));
                let pairs = system.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()));
                let pairs = types
                    .as_deref()
                    .map(|t| ("_type", t))
                    .into_iter()
                    .chain(pairs);
                written(pairs, system.count)
            }
            Self::History(history) => {
                let since = history.since.as_deref().map(|since| ("_since", since));
                written(since.into_iter(), history.count)
            }
            Self::Create(create) => create
                .if_none_exist
                .as_ref()
                .map(search::write)
                .unwrap_or_default(),
            Self::Update(Update { aim, .. })
            | Self::Patch(Patch { aim, .. })
            | Self::Delete(Delete { aim, .. }) => match aim {
                Aim::Found(search) => search::write(search),
                Aim::Id(_) => String::new(),
            },
            Self::Capabilities
            | Self::Options { .. }
            | Self::Read { .. }
            | Self::VRead { .. }
            | Self::Bundle(_) => String::new(),
        }
    }
}

fn written<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, count: Option<u32>) -> String {
    let mut out = String::new();
    target::write_pairs(&mut out, pairs);
    if let Some(count) = count {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(&format!("_count={count}"));
    }
    out
}
