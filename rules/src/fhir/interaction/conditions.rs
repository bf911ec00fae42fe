//! What a request is made to hang on, and what may follow its `?`: headers and queries of
//! everything that isn't a search of its own.

use super::{Aim, History, Level, Page, Request};
use crate::fhir::search::{self, Search};
use crate::fhir::tables::TypeId;
use crate::fhir::target;
use crate::refusal::{No, Reason};

fn shorten(name: &str) -> String {
    name.chars().take(64).collect()
}

fn not_understood(name: &str) -> No {
    No::named(Reason::NotUnderstood, shorten(name))
}

/// A query that asks for nothing but JSON.
pub(super) fn plain(query: &str) -> Result<(), No> {
    for (name, value) in target::pairs(query)? {
        match name.as_str() {
            "_format" => search::format(&value)?,
            "_pretty" => {}
            "_summary" | "_elements" => return Err(No::named(Reason::NotSupported, name)),
            _ => return Err(not_understood(&name)),
        }
    }
    Ok(())
}

/// A whole number without sign; 0 is `not-supported`.
pub(super) fn count(value: &str) -> Result<u32, No> {
    match value.parse::<u32>() {
        Ok(0) => Err(No::named(Reason::NotSupported, "_count=0")),
        Ok(count) if value.bytes().all(|b| b.is_ascii_digit()) => Ok(count),
        _ => Err(not_understood("_count")),
    }
}

/// The version of `If-Match: W/"…"`, the one form that FHIR has (http.html#concurrency).
pub(super) fn if_match(request: &Request<'_>) -> Result<Option<Box<str>>, No> {
    let Some(value) = request.if_match else {
        return Ok(None);
    };
    let version = value.strip_prefix("W/\"").and_then(|v| v.strip_suffix('"'));
    match version.filter(|version| target::is_id(version)) {
        Some(version) => Ok(Some(version.into())),
        None => Err(not_understood("If-Match")),
    }
}

/// Refuses conditions where they mean nothing.
pub(super) fn unconditional(request: &Request<'_>) -> Result<(), No> {
    if request.if_match.is_some() {
        return Err(not_understood("If-Match"));
    }
    no_search(request)
}

/// Refuses `If-None-Exist` where it means nothing.
pub(super) fn no_search(request: &Request<'_>) -> Result<(), No> {
    match request.if_none_exist {
        Some(_) => Err(not_understood("If-None-Exist")),
        None => Ok(()),
    }
}

/// `If-None-Exist`: a search of the type with a filter.
pub(super) fn if_none_exist(request: &Request<'_>, resource: TypeId) -> Result<Option<Search>, No> {
    let Some(query) = request.if_none_exist else {
        return Ok(None);
    };
    let pairs = target::pairs(query)?;
    if let Some((name, _)) = pairs.iter().find(|(name, _)| is_of_answers(name)) {
        return Err(not_understood(name));
    }
    filters(resource, pairs, "If-None-Exist").map(Some)
}

/// What a write without an id is aimed at.
pub(super) fn found(query: &str, resource: TypeId) -> Result<Aim, No> {
    let pairs = target::pairs(query)?;
    if pairs.iter().any(|(name, _)| name == "_page") {
        return Err(not_understood("_page"));
    }
    filters(resource, pairs, "a search for what is written").map(Aim::Found)
}

/// A search that says what is meant: it has a filter, and no word on pages.
fn filters(resource: TypeId, pairs: Vec<(String, String)>, name: &str) -> Result<Search, No> {
    let search = Search::understand(resource, pairs, false)?;
    if search.count.is_some() {
        return Err(not_understood("_count"));
    }
    if search.page.is_some() {
        return Err(not_understood("_page"));
    }
    if search.filters.is_empty() {
        return Err(not_understood(name).because("no filter"));
    }
    Ok(search)
}

fn is_of_answers(name: &str) -> bool {
    matches!(name, "_format" | "_pretty")
}

/// A history of this much.
pub(super) fn history(level: Level, query: &str) -> Result<History, No> {
    let mut history = History {
        level,
        count: None,
        since: None,
        page: Page::default(),
    };
    for (name, mut value) in target::pairs(query)? {
        if name == "_since" {
            // a plus that was not encoded arrives as a space
            value = value.replace(' ', "+");
        }
        let twice = match name.as_str() {
            "_count" => history.count.replace(count(&value)?).is_some(),
            "_since" if is_instant(&value) => history.since.replace(value.into()).is_some(),
            "_page" => history.page.handle.replace(value).is_some(),
            "_format" => {
                search::format(&value)?;
                false
            }
            "_pretty" => false,
            "_at" | "_list" | "_sort" | "_summary" | "_elements" | "_total" | "_type" => {
                return Err(No::named(Reason::NotSupported, name));
            }
            _ => true,
        };
        if twice {
            return Err(not_understood(&name));
        }
    }
    if history.page.handle.is_some() && history.since.is_some() {
        return Err(not_understood("_page"));
    }
    Ok(history)
}

/// Whether `text` is a FHIR instant: to the second at least, with a time zone
/// (http://hl7.org/fhir/R4/datatypes.html#instant).
fn is_instant(text: &str) -> bool {
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = text.get(from..to)?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| plain)
    };
    let is = |at: usize, wanted: u8| text.as_bytes().get(at) == Some(&wanted);
    let marks = is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':');
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (number(11, 13), number(14, 16), number(17, 19))
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    let mut rest = text.get(19..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if !(1..=9).contains(&(fraction.len() - rest.len())) {
            return false;
        }
    }
    let zone = match rest.strip_prefix(['+', '-']) {
        Some(offset) => {
            let part = |from, to| {
                let digits: Option<&str> = offset.get(from..to);
                digits
                    .filter(|d| d.bytes().all(|b| b.is_ascii_digit()))
                    .and_then(|d| d.parse::<u32>().ok())
            };
            offset.len() == 5
                && offset.as_bytes().get(2) == Some(&b':')
                && matches!(
                    (part(0, 2), part(3, 5)),
                    (Some(0..=13), Some(0..=59)) | (Some(14), Some(0))
                )
        }
        None => rest == "Z",
    };
    marks
        && year > 0
        && (1..=days).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && zone
}
