//! `[[service]]` and `[[client]]`: what is behind the gateway, and how far an
//! application reaches.

use std::path::PathBuf;

use chartward_rules::source::{Spanned, Table, Words};

use super::{Secret, Upstream, place::Place};

/// One FHIR server behind the gateway.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in records, metrics and handles: `a-z`, `0-9`, `-`.
    pub name: Spanned<String>,
    /// Under the public URL: begins with a slash and doesn't end with one.
    pub path: Spanned<String>,
    /// The servers behind it.
    pub upstream: Upstream,
    /// Packs, at least one.
    pub packs: Vec<Spanned<PathBuf>>,
    /// URLs of the issuers whose tokens count here; each is configured.
    pub issuers: Vec<Spanned<String>>,
    /// Whether the file says so; else there may be only one to choose.
    pub(super) issuers_said: bool,
    /// The bearer token that the gateway itself presents upstream.
    pub bearer: Option<Secret>,
    /// The ceiling of applications without a `[[client]]` entry (D31).
    pub default_client: Ceiling,
    /// How many rows a page of a search has.
    pub page: Page,
    /// Whether searches that aren't complete always say that rows may be
    /// withheld (D14). Default yes.
    pub withheld_notice: bool,
}

/// The roles that an application may lend its hands to (D31).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// Any: `["*"]`.
    Any,
    /// These only; perhaps none.
    Roles(Vec<Spanned<String>>),
}

impl Ceiling {
    /// Whether the role is below it.
    pub fn admits(&self, role: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Roles(roles) => roles.iter().any(|listed| listed.value == role),
        }
    }

    fn new(t: &Table<'_>, key: &str, roles: Words) -> Self {
        match roles.value.iter().find(|role| role.value == "*") {
            None => Self::Roles(roles.value),
            Some(any) => {
                if roles.value.len() > 1 {
                    t.error(any.span, format!("`*` must be alone in `{key}`"));
                }
                Self::Any
            }
        }
    }
}

/// Rows of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where the caller says nothing. 50.
    pub default: usize,
    /// At most, whatever the caller says. 500.
    pub max: usize,
}

impl Page {
    fn read(mut t: Table<'_>) -> Self {
        let default = t.integer("default", 1..=10_000);
        let max = t.integer("max", 1..=10_000);
        let page = Self {
            default: default.map_or(50, |found| found.value as usize),
            max: max.map_or(500, |found| found.value as usize),
        };
        if page.default > page.max {
            let span = default.or(max).map_or(t.span(), |found| found.span);
            t.error(span, "`default` must not be more than `max`");
        }
        page
    }
}

impl Service {
    pub(super) fn read(mut t: Table<'_>, place: &Place<'_>) -> Option<Self> {
        let name = t.required_str("name").and_then(|name| label(&t, name));
        let path = t.required_str("path").and_then(|path| below(&t, path));
        let upstream = Upstream::read(&mut t, place);
        let packs = t.required_strings("packs");
        let packs: Option<Vec<_>> = packs.and_then(|packs| {
            let found: Vec<_> = packs.iter().map(|path| place.file(&t, path)).collect();
            found.into_iter().collect()
        });
        let issuers = t.strings("issuers");
        let bearer = t.table("authorization").and_then(|t| bearer(t, place));
        let ceiling = t.strings("default_client");
        let default_client = ceiling.map_or(Ceiling::Any, |roles| {
            Ceiling::new(&t, "default_client", roles)
        });
        let page = Page::read(t.table_or_empty("page"));
        let withheld_notice = t.bool("withheld_notice");
        Some(Self {
            name: name?,
            path: path?,
            upstream: upstream?,
            packs: packs?,
            issuers_said: t.has("issuers"),
            issuers: issuers.map(|found| found.value).unwrap_or_default(),
            bearer,
            default_client,
            page,
            withheld_notice: withheld_notice.is_none_or(|found| found.value),
        })
    }
}

/// An application's ceiling (D31).
#[derive(Clone, Debug)]
pub struct Client {
    /// The token's `client_id`.
    pub id: Spanned<String>,
    /// How far it reaches, whoever uses it.
    pub roles: Ceiling,
}

impl Client {
    pub(super) fn read(mut t: Table<'_>) -> Option<Self> {
        let id = t.required_str("id");
        let roles = t.required_strings("roles");
        Some(Self {
            id: id?,
            roles: Ceiling::new(&t, "roles", roles?),
        })
    }
}

/// A name that can be a metric's label: `a-z`, `0-9`, `-`.
fn label(t: &Table<'_>, name: Spanned<String>) -> Option<Spanned<String>> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.chars().all(fits) && name.len() <= 64 {
        return Some(name);
    }
    let message = "`name` must be at most 64 of `a-z`, `0-9` and `-`";
    t.error(name.span, message);
    None
}

/// A path under the public URL that has only one spelling.
fn below(t: &Table<'_>, path: Spanned<String>) -> Option<Spanned<String>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let whole = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(plain)
    };
    let Some(rest) = path.strip_prefix('/') else {
        t.error(path.span, "`path` must begin with `/`");
        return None;
    };
    if rest.split('/').all(whole) {
        return Some(path);
    }
    let message = "`path` must be `/` and plain segments, with no slash at its end";
    t.error_with_help(path.span, message, "such as `/fhir`");
    None
}

fn bearer(mut t: Table<'_>, place: &Place<'_>) -> Option<Secret> {
    let named = t.required_str("bearer_file")?;
    let token = Secret::read(&t, place, &named)?;
    // RFC 6750 section 2.1: b64token
    let b64 = |c: &u8| c.is_ascii_alphanumeric() || b"-._~+/=".contains(c);
    if !token.expose().iter().all(b64) {
        let message = format!("`{}` holds no bearer token", named.value);
        t.error(named.span, message);
        return None;
    }
    Some(token)
}
