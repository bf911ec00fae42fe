//! What a condition of a write finds: the caller's own search, judged row by row as if it were
//! answered (D20).
//!
//! In: the search, the facts so far. Out: the one row that the caller sees, that there is none,
//! or the question that is open. Several are a refusal. **Never here:** a row that he doesn't see.

use bytes::Bytes;

use super::desk::Desk;
use super::facts::{Asks, Learned, Question};
use super::row::{Judged, RowJudge};
use super::searches;
use super::stored::odd;
use crate::fhir::search::Search;
use crate::mask::row::{is_key, quoted};
use crate::mask::scan::{self, byte, fault, skip_space, skip_value};
use crate::mask::{Fault, Stop};
use crate::pack::Can;
use crate::refusal::{No, Reason};

/// What the condition finds.
#[derive(Debug)]
pub(super) enum Found {
    /// This row, as the upstream has it.
    One(Bytes),
    /// Nothing that the caller sees.
    Nothing,
    /// To be asked.
    Unknown(Question),
}

/// What `search` finds for its caller.
pub(super) fn found(desk: &Desk<'_>, search: &Search) -> Result<Found, No> {
    let right = desk.right(search.resource, Can::Search)?;
    let reads = searches::reads(desk, &right, search)?;
    let all = Search {
        count: Some(desk.service.page_max),
        ..search.clone()
    };
    let question = Question(Asks::Matches {
        target: searches::target_of(desk, &right, &all).into(),
    });
    let answer = match desk.learned(&question)? {
        None => return Ok(Found::Unknown(question)),
        Some(Learned::Missing) => return Err(No::new(Reason::UpstreamRejected)),
        Some(Learned::Answer(answer)) => answer,
    };
    let mut rows = RowJudge::new(desk.bench(&right), right.candidates.clone(), reads);
    let page = Page::read(answer, &mut rows).map_err(|stop| {
        odd(match stop {
            Stop::Fault(fault) => fault.what,
            Stop::Incomplete => "truncated",
        })
    })?;
    match page.visible.as_slice() {
        [_, _, ..] => Err(No::new(Reason::MultipleMatches)),
        // what is on the next page may be visible, too
        _ if page.goes_on => Err(No::new(Reason::TooCostly)),
        [(_, (from, to))] => Ok(Found::One(answer.slice(*from..*to))),
        [] => Ok(Found::Nothing),
    }
}

/// A search set that was read whole.
#[derive(Debug, Default)]
struct Page {
    /// Ids of the rows that the caller sees, and where they begin and end.
    visible: Vec<(Box<str>, (usize, usize))>,
    /// The upstream has more.
    goes_on: bool,
}

impl Page {
    fn read(bytes: &[u8], rows: &mut RowJudge) -> Result<Self, Stop> {
        let mut page = Self::default();
        let (mut is_bundle, mut is_set) = (false, false);
        let mut entries = None;
        let mut links = None;
        let mut twice = false;
        let at = skip_space(bytes, 0);
        let end = scan::members(bytes, at, 0, |member| {
            let text = || quoted(bytes, member.value, member.end);
            if is_key(&member, b"resourceType") {
                is_bundle = text().is_some_and(|text| text == "Bundle");
            } else if is_key(&member, b"type") {
                is_set = text().is_some_and(|text| text == "searchset");
            } else if is_key(&member, b"entry") {
                twice |= entries.replace(member.value).is_some();
            } else if is_key(&member, b"link") {
                twice |= links.replace(member.value).is_some();
            }
            true
        })?;
        if !is_bundle || !is_set || twice || skip_space(bytes, end) != bytes.len() {
            return Err(fault("not a search set", at));
        }
        if let Some(at) = links {
            for (at, _) in items(bytes, at)? {
                scan::members(bytes, at, 2, |member| {
                    page.goes_on |= is_key(&member, b"relation")
                        && quoted(bytes, member.value, member.end).is_some_and(|r| r == "next");
                    true
                })?;
            }
        }
        if let Some(at) = entries {
            for (at, _) in items(bytes, at)? {
                page.entry(bytes, at, rows)?;
            }
        }
        Ok(page)
    }

    fn entry(&mut self, bytes: &[u8], at: usize, rows: &mut RowJudge) -> Result<(), Stop> {
        let mut resource = None;
        let mut mode = None;
        let mut twice = false;
        scan::members(bytes, at, 2, |member| {
            if is_key(&member, b"resource") {
                twice |= resource.replace((member.value, member.end)).is_some();
            } else if is_key(&member, b"search") {
                twice |= mode.replace(member.value).is_some();
            }
            true
        })?;
        if twice {
            return Err(fault("duplicate key", at));
        }
        let mut matches = true;
        if let Some(at) = mode.filter(|at| bytes.get(*at) == Some(&b'{')) {
            scan::members(bytes, at, 3, |member| {
                if is_key(&member, b"mode") {
                    let mode = quoted(bytes, member.value, member.end);
                    matches &= mode.is_some_and(|mode| mode == "match");
                }
                true
            })?;
        }
        let (Some((from, to)), true) = (resource, matches) else {
            return Ok(());
        };
        let mut out = Vec::new();
        if let (_, Judged::Leaves(row)) = rows.judge(bytes, from, &mut out)?
            && !self.visible.iter().any(|(id, _)| *id == row.id)
        {
            self.visible.push((row.id, (from, to)));
        }
        Ok(())
    }
}

/// Where the items of the array at `at` begin and end; each is an object.
fn items(bytes: &[u8], at: usize) -> Result<Vec<(usize, usize)>, Stop> {
    let mut found = Vec::new();
    if byte(bytes, at)? != b'[' {
        return Err(not_a_list(at));
    }
    let mut at = skip_space(bytes, at + 1);
    if byte(bytes, at)? == b']' {
        return Ok(found);
    }
    loop {
        if byte(bytes, at)? != b'{' {
            return Err(not_a_list(at));
        }
        let end = skip_value(bytes, at, 2)?;
        found.push((at, end));
        at = skip_space(bytes, end);
        match byte(bytes, at)? {
            b',' => at = skip_space(bytes, at + 1),
            _ => return Ok(found),
        }
    }
}

fn not_a_list(at: usize) -> Stop {
    Fault {
        what: "not a list of objects",
        at,
    }
    .into()
}
