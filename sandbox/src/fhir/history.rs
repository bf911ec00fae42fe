//! History Bundles, the latest version first, page by page: of a resource, a type, the whole server
//! (FHIR R4 §3.1.0.12).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::json;

use super::act::{Fault, Handling};
use super::dates;
use super::head::is_json;
use super::page;
use super::query::{PAGE, count, pairs, written};
use super::row::Version;
use super::store::Store;

/// Whose versions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    All,
    Type(&'static str),
    Instance(&'static str, &'a str),
}

/// What a history asks for.
#[derive(Debug)]
struct Asked {
    count: usize,
    /// Versions from this instant on, in milliseconds since 1970.
    since: i64,
    /// The parameters as they were understood.
    text: String,
}

/// A version's place in the order of time.
type Moment = (i64, u64);

/// A page of what `text` asks for.
pub(crate) fn history(
    store: &Store,
    base: &str,
    scope: Scope<'_>,
    text: &str,
    handling: Handling,
) -> Result<Bytes, Fault> {
    let bad = |text: String| Fault::bad("invalid", text);
    let asked = pairs(text).ok_or_else(|| bad("the query isn't well formed".to_owned()))?;
    let token = asked.iter().find(|(key, _)| key == "_page");
    let (text, window) = match token {
        None => (text.to_owned(), None),
        Some((_, token)) if asked.len() == 1 => {
            let (text, window) =
                open(token).ok_or_else(|| bad(format!("unknown page `{token}`")))?;
            (text, Some(window))
        }
        Some(_) => return Err(bad("`_page` stands alone".to_owned())),
    };
    let asked = Asked::read(&text, handling).map_err(bad)?;

    let held = match scope {
        Scope::Instance(name, id) => match store.versions(name, id) {
            [] => return Err(Fault::missing(base, name, id)),
            versions => versions,
        },
        Scope::All | Scope::Type(_) => store.log(),
    };
    let mut found: Vec<&Version> = held
        .iter()
        .map(AsRef::as_ref)
        .filter(|version| match scope {
            Scope::Type(name) => version.name == name,
            Scope::All | Scope::Instance(..) => true,
        })
        .filter(|version| version.stamp.at >= asked.since)
        // What was made since the first page would move the others.
        .filter(|version| window.is_none_or(|(top, _)| moment(version) <= top))
        .collect();
    found.sort_by_key(|version| std::cmp::Reverse(moment(version)));
    let start = window.map_or(0, |(_, from)| {
        found.partition_point(|version| moment(version) > from)
    });
    let rest = found.get(start..).unwrap_or_default();
    let shown = rest.get(..asked.count).unwrap_or(rest);

    let path = scope.path(base);
    let own = match token {
        Some((_, token)) => format!("{path}?_page={token}"),
        None if asked.text.is_empty() => path.clone(),
        None => format!("{path}?{}", asked.text),
    };
    let mut links = vec![("self", own)];
    if let (Some(top), Some(_), Some(next)) = (found.first(), shown.last(), rest.get(shown.len())) {
        let token = seal(&asked.text, (moment(top), moment(next)));
        links.push(("next", format!("{path}?_page={token}")));
    }
    let mut out = Vec::new();
    page::start(&mut out, "history", Some(found.len()), &links);
    for (place, version) in shown.iter().enumerate() {
        let start: &[u8] = if place == 0 { br#","entry":["# } else { b"," };
        out.extend_from_slice(start);
        entry(&mut out, base, version);
    }
    if !shown.is_empty() {
        out.push(b']');
    }
    out.push(b'}');
    Ok(out.into())
}

impl Asked {
    fn read(text: &str, handling: Handling) -> Result<Self, String> {
        let mut asked = Self {
            count: PAGE,
            since: i64::MIN,
            text: text.to_owned(),
        };
        let mut known = pairs(text).ok_or("the query isn't well formed")?;
        let before = known.len();
        for (key, value) in &known {
            match key.as_str() {
                "_count" => asked.count = count(value)?,
                "_since" => {
                    let since = dates::span(value).filter(|_| value.contains('T'));
                    asked.since = since.ok_or("`_since` isn't an instant")?.0;
                }
                "_format" if is_json(value) => {}
                "_pretty" => {}
                _ if handling == Handling::Lenient => {}
                _ => return Err(format!("unknown history parameter `{key}`")),
            }
        }
        known
            .retain(|(key, _)| matches!(key.as_str(), "_count" | "_since" | "_format" | "_pretty"));
        if known.len() < before {
            asked.text = written(&known);
        }
        Ok(asked)
    }
}

impl Scope<'_> {
    fn path(self, base: &str) -> String {
        match self {
            Self::All => format!("{base}/_history"),
            Self::Type(name) => format!("{base}/{name}/_history"),
            Self::Instance(name, id) => format!("{base}/{name}/{id}/_history"),
        }
    }
}

fn moment(version: &Version) -> Moment {
    (version.stamp.at, version.seq)
}

fn entry(out: &mut Vec<u8>, base: &str, version: &Version) {
    let place = format!("{}/{}", version.name, version.id);
    out.extend_from_slice(format!(r#"{{"fullUrl":"{base}/{place}""#).as_bytes());
    if let Some(row) = &version.row {
        out.extend_from_slice(br#","resource":"#);
        out.extend_from_slice(&row.body);
    }
    let url = match version.how.method() {
        "POST" => version.name.to_owned(),
        _ => place,
    };
    let request = json!({"method": version.how.method(), "url": url});
    let stamp = &version.stamp;
    let response = json!({
        "status": version.how.status(),
        "etag": format!("W/\"{}\"", stamp.version),
        "lastModified": stamp.updated,
    });
    out.extend_from_slice(format!(r#","request":{request},"response":{response}}}"#).as_bytes());
}

/// A page token: the first version of all, the first of the page, and the query.
fn seal(query: &str, (top, from): (Moment, Moment)) -> String {
    let place = format!("{} {} {} {}", top.0, top.1, from.0, from.1);
    URL_SAFE_NO_PAD.encode(format!("{place}\n{query}"))
}

fn open(token: &str) -> Option<(String, (Moment, Moment))> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (place, query) = text.split_once('\n')?;
    let words: Vec<&str> = place.split(' ').collect();
    let [top, first, from, next] = words.as_slice() else {
        return None;
    };
    let top = (top.parse().ok()?, first.parse().ok()?);
    let from = (from.parse().ok()?, next.parse().ok()?);
    Some((query.to_owned(), (top, from)))
}
