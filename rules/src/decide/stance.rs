//! A set of rights, worked out once: which grants count for each type and interaction, how far
//! scopes reach, and the views that unions of grants give.
//!
//! A stance depends on the pack, the roles in force and the scopes, on nothing of the request or
//! of any row. Programs remember the stances they have seen.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use crate::fhir::labels;
use crate::fhir::tables::{ElementType, StructId, SubjectRule, Tables, TypeId, r4};
use crate::mask::compile::{Shared, compile};
use crate::mask::probe::Probe;
use crate::mask::row::slot;
use crate::mask::rule::{self, Pos};
use crate::mask::view::{Copies, View};
use crate::pack::{Can, Classes, Condition, Granted, Program};
use crate::smart::{Reach, Rights};
use crate::subject::Authority;

/// What a stance is known by: roles in force (sorted), and the scope factor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StanceKey {
    pub(crate) roles: Vec<usize>,
    pub(crate) scopes: Option<Arc<str>>,
}

/// More stances than this are worked out anew each time.
const MOST_STANCES: usize = 1024;
/// More views of one stance than this are compiled anew each time.
const MOST_VIEWS: usize = 4096;

#[derive(Debug)]
pub(crate) struct Stance {
    /// By interaction and type. `history` is that of one resource.
    columns: [Column; Can::ALL.len()],
    /// Histories of a type and of everything, which need another scope.
    wide_history: Column,
    /// Read or, where there are none, search grants, scopes aside, where scopes give none of them.
    beyond_scopes: Column,
    shared: Shared,
    views: RwLock<HashMap<(TypeId, Can, u128), Arc<Sighted>>>,
}

/// By type.
type Column = Vec<Option<Arc<Candidates>>>;

/// The grants that count for one type and interaction, data aside.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) resource: TypeId,
    pub(crate) can: Can,
    /// Grant and its part for the type, as indexes into the program.
    pub(crate) grants: Vec<(usize, usize)>,
    pub(crate) reach: Reach,
    pub(crate) probe: Probe,
    /// All that could match, where no row says otherwise: what a row is speculated to be under.
    pub(crate) likely: u128,
}

/// A union of grants: its view, and the names of its grants for the record.
#[derive(Debug)]
pub(crate) struct Sighted {
    pub(crate) view: Arc<View>,
    pub(crate) name: Arc<str>,
}

/// Questions of every probe; those of conditions follow.
pub(crate) const ID: u16 = 0;
pub(crate) const VERSION: u16 = 1;
pub(crate) const LABEL: u16 = 2;
pub(crate) const SUBJECT: u16 = 3;
pub(crate) const FIRST_CONDITION: u16 = 4;

impl Program {
    /// The stance for the roles in force and the scopes.
    pub(crate) fn stance(&self, roles: Vec<usize>, authority: &Authority) -> Arc<Stance> {
        let scopes = match authority {
            Authority::Unscoped => None,
            Authority::Scoped(scopes) => Some(scopes.text_shared()),
        };
        let key = StanceKey { roles, scopes };
        if let Ok(known) = self.stances.read()
            && let Some(stance) = known.get(&key)
        {
            return stance.clone();
        }
        let stance = Arc::new(self.work_out(&key.roles, authority));
        if let Ok(mut known) = self.stances.write() {
            if known.len() >= MOST_STANCES {
                known.clear();
            }
            known.insert(key, stance.clone());
        }
        stance
    }

    fn work_out(&self, roles: &[usize], authority: &Authority) -> Stance {
        let tables = r4();
        let column = |can: Can, right: Rights, authority: &Authority| -> Column {
            tables
                .resources()
                .map(|t| {
                    self.candidates(tables, t, can, right, roles, authority)
                        .map(Arc::new)
                })
                .collect()
        };
        let columns = Can::ALL.map(|can| column(can, right(can), authority));
        let wide_history = column(Can::History, Rights::SEARCH, authority);
        let [read, search, ..] = &columns;
        let out_of_reach =
            |c: &Option<Arc<Candidates>>| c.as_ref().is_some_and(|c| c.reach == Reach::None);
        let beyond_scopes = match read.iter().chain(search).any(out_of_reach) {
            true => {
                let reads = column(Can::Read, Rights::READ, &Authority::Unscoped);
                let searches = column(Can::Search, Rights::SEARCH, &Authority::Unscoped);
                let both = reads.into_iter().zip(searches);
                both.map(|(read, search)| read.or(search)).collect()
            }
            false => Vec::new(),
        };
        let copies = tables
            .resources()
            .map(|t| {
                self.copies(
                    tables,
                    t,
                    [read, search].map(|c| c.get(t.index()).and_then(Option::as_deref)),
                )
            })
            .collect();
        Stance {
            columns,
            wide_history,
            beyond_scopes,
            shared: Shared {
                extensions: self.extensions.clone(),
                copies: Arc::new(Copies(copies)),
            },
            views: RwLock::default(),
        }
    }

    fn candidates(
        &self,
        tables: &'static Tables,
        resource: TypeId,
        can: Can,
        right: Rights,
        roles: &[usize],
        authority: &Authority,
    ) -> Option<Candidates> {
        let mut grants = Vec::new();
        for index in self.by_type.get(resource.index())? {
            let grant = self.grants.get(*index)?;
            if !roles.contains(&grant.role) || !grant.can.contains(&can) {
                continue;
            }
            grants.extend(
                grant
                    .types
                    .iter()
                    .position(|g| g.resource == resource)
                    .map(|part| (*index, part)),
            );
        }
        if grants.is_empty() {
            return None;
        }
        let reach = match authority {
            Authority::Unscoped => Reach::Whole,
            Authority::Scoped(scopes) => scopes.reach(tables.name(resource), right),
        };
        let mut probe = Probe::new();
        probe.collect(&["id"], slot(ID, 0));
        probe.collect(&["meta", "versionId"], slot(VERSION, 0));
        probe.collect(&["meta", "security", "code"], slot(LABEL, 0));
        probe.collect(&["meta", "security", "system"], slot(LABEL, 1));
        if let SubjectRule::Paths(paths) = tables.subject(resource) {
            for path in paths {
                for keys in reference_keys(tables, tables.root(resource), path) {
                    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                    probe.collect(&keys, slot(SUBJECT, 0));
                }
            }
        }
        let mut question = FIRST_CONDITION;
        let mut likely = 0;
        for (bit, at) in grants.iter().enumerate() {
            let conditions = &self.granted(*at)?.conditions;
            for condition in conditions {
                condition.collect(&mut probe, question);
                question += 1;
            }
            likely |= 1 << bit;
        }
        Some(Candidates {
            resource,
            can,
            grants,
            reach,
            probe,
            likely,
        })
    }

    pub(crate) fn granted(&self, (grant, part): (usize, usize)) -> Option<&Granted> {
        self.grants.get(grant)?.types.get(part)
    }

    pub(crate) fn classes_of(&self, (grant, _): (usize, usize)) -> Classes {
        self.grants
            .get(grant)
            .map_or(Classes::default(), |g| g.classes)
    }

    /// Conditions of each candidate with the question that collects for it.
    pub(crate) fn conditions<'a>(
        &'a self,
        candidates: &'a Candidates,
    ) -> impl Iterator<Item = (usize, u16, &'a Condition)> {
        candidates
            .grants
            .iter()
            .enumerate()
            .filter_map(|(bit, at)| Some((bit, self.granted(*at)?)))
            .flat_map(|(bit, granted)| granted.conditions.iter().map(move |c| (bit, c)))
            .zip(FIRST_CONDITION..)
            .map(|((bit, condition), question)| (bit, question, condition))
    }

    /// The positions of the grants in `mask`, for a walk over elements.
    fn positions<'a>(&'a self, candidates: &Candidates, mask: u128) -> Vec<Pos<'a>> {
        let chosen = candidates
            .grants
            .iter()
            .enumerate()
            .filter(|(bit, _)| mask >> bit & 1 == 1);
        chosen
            .filter_map(|(_, at)| Some(self.granted(*at)?.rule.start()))
            .collect()
    }

    /// Whether the union of `mask` shows all that a parameter reads (D10).
    pub(crate) fn shows(&self, candidates: &Candidates, mask: u128, path: &[&str]) -> bool {
        let tables = r4();
        rule::shows(
            tables,
            tables.root(candidates.resource),
            &self.positions(candidates, mask),
            path,
        )
    }

    fn holds_every_class(&self, candidates: &Candidates, mask: u128) -> bool {
        let mut every = Classes::default();
        (0..self.classes.len()).for_each(|class| every.add(class));
        let chosen = candidates.grants.iter().enumerate();
        chosen
            .filter(|(bit, _)| mask >> bit & 1 == 1)
            .any(|(_, at)| self.classes_of(*at).holds(every))
    }

    /// What of a reference to this type may stay: the names and identifiers that `display` and
    /// `identifier` copy, where a grant without conditions shows them (D8).
    fn copies(&self, tables: &Tables, resource: TypeId, columns: [Option<&Candidates>; 2]) -> u8 {
        let root = tables.root(resource);
        let mut bits = 0;
        for candidates in columns
            .into_iter()
            .flatten()
            .filter(|c| c.reach == Reach::Whole)
        {
            let mask = candidates
                .grants
                .iter()
                .enumerate()
                .fold(0u128, |mask, (bit, at)| {
                    let free = self.granted(*at).is_some_and(|g| g.conditions.is_empty());
                    mask | u128::from(free) << bit
                });
            let positions = self.positions(candidates, mask);
            if positions.is_empty() {
                continue;
            }
            let names = naming(tables.name(resource));
            let whole = !rule::hides_any(tables, root, &positions, true);
            // what is no mere name may be of a row that is labelled: all classes or nothing
            let whole = whole && (!names.is_empty() || self.holds_every_class(candidates, mask));
            let shows = |path: &[&str]| rule::shows(tables, root, &positions, path);
            if whole || (!names.is_empty() && names.iter().all(|n| shows(&[n]))) {
                bits |= 1;
            }
            let has_identifier = tables.structure(root).element("identifier").is_some();
            if whole || (!names.is_empty() && has_identifier && shows(&["identifier"])) {
                bits |= 2;
            }
        }
        bits
    }
}

impl Stance {
    pub(crate) fn candidates(&self, resource: TypeId, can: Can) -> Option<&Arc<Candidates>> {
        let column = self.columns.get(can as usize)?;
        column.get(resource.index())?.as_ref()
    }

    /// Those for the history of a type, or of everything.
    pub(crate) fn wide_history(&self, resource: TypeId) -> Option<&Arc<Candidates>> {
        self.wide_history.get(resource.index())?.as_ref()
    }

    /// The read grants that a write's author has, or the search grants where he has none, within
    /// his scopes or beyond them: leaving a scope out makes nothing writable.
    pub(crate) fn reads_of_author(&self, resource: TypeId) -> Option<&Arc<Candidates>> {
        let own = self.candidates(resource, Can::Read);
        let own = own.or_else(|| self.candidates(resource, Can::Search))?;
        match own.reach {
            Reach::None => self.beyond_scopes.get(resource.index())?.as_ref(),
            _ => Some(own),
        }
    }

    /// The view of a union of candidates.
    pub(crate) fn sighted(
        &self,
        program: &Program,
        candidates: &Candidates,
        mask: u128,
    ) -> Arc<Sighted> {
        let key = (candidates.resource, candidates.can, mask);
        if let Ok(known) = self.views.read()
            && let Some(sighted) = known.get(&key)
        {
            return sighted.clone();
        }
        let positions = program.positions(candidates, mask);
        let view = compile(r4(), candidates.resource, &positions, &self.shared);
        let chosen = candidates
            .grants
            .iter()
            .enumerate()
            .filter(|(bit, _)| mask >> bit & 1 == 1);
        let names: Vec<&str> = chosen
            .filter_map(|(_, (g, _))| Some(&*program.grants.get(*g)?.name))
            .collect();
        let sighted = Arc::new(Sighted {
            view: Arc::new(view),
            name: names.join("+").into(),
        });
        if let Ok(mut known) = self.views.write() {
            if known.len() >= MOST_VIEWS {
                known.clear();
            }
            known.insert(key, sighted.clone());
        }
        sighted
    }
}

/// The SMART right that an interaction needs; the history of one resource is read.
fn right(can: Can) -> Rights {
    match can {
        Can::Read | Can::History => Rights::READ,
        Can::Search => Rights::SEARCH,
        Can::Create => Rights::CREATE,
        Can::Update | Can::Patch => Rights::UPDATE,
        Can::Delete => Rights::DELETE,
    }
}

/// Elements that a reference's `display` repeats. A type that isn't here must be shown whole.
fn naming(resource: &str) -> &'static [&'static str] {
    match resource {
        "Patient" | "Practitioner" | "RelatedPerson" | "Person" => &["name"],
        "Organization" | "Location" => &["name", "alias"],
        "HealthcareService" | "CareTeam" | "Group" | "Endpoint" | "InsurancePlan" => &["name"],
        "Medication" | "Substance" => &["code"],
        _ => &[],
    }
}

/// JSON keys that lead from a structure to the text of the references at `path`.
fn reference_keys(tables: &Tables, from: StructId, path: &[&str]) -> Vec<Vec<String>> {
    let mut at: Vec<(StructId, Vec<String>)> = vec![(from, Vec::new())];
    for stem in path {
        let mut next = Vec::new();
        for (structure, keys) in at {
            let Some(element) = tables.structure(structure).element(stem) else {
                continue;
            };
            for (key, t) in tables.json_keys(element) {
                if let ElementType::Complex(s) = t {
                    next.push((*s, keys.iter().cloned().chain([key]).collect()));
                }
            }
        }
        at = next;
    }
    at.into_iter()
        .filter(|(s, _)| tables.structure(*s).name == "Reference")
        .map(|(_, mut keys)| {
            keys.push("reference".to_owned());
            keys
        })
        .collect()
}

/// Whether a label's system is one that plain codes of a pack stand for.
pub(crate) fn is_label_system(system: Option<&str>) -> bool {
    matches!(
        system,
        None | Some("" | labels::ACT_CODE | labels::CONFIDENTIALITY)
    )
}
