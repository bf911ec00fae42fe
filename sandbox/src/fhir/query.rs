//! A search among the rows of one type: parameters in, a test of rows out.

use super::dates::{Span, span};
use super::head::is_json;
use super::params::{Kind, PARAMS};
use super::row::Row;
use super::values::{System, Text, Token, Values, fold, literal};

/// Rows of a page unless `_count` says otherwise.
pub(crate) const PAGE: usize = 20;
/// Rows of a page at most.
const PAGE_MAX: usize = 500;

/// What a search asks for.
#[derive(Debug)]
pub(crate) struct Query {
    clauses: Vec<Clause>,
    /// Rows of a page.
    pub(crate) count: usize,
    /// Whether `Bundle.total` is wanted.
    pub(crate) total: bool,
    /// Parameters that aren't known and were left out.
    pub(crate) ignored: Vec<String>,
}

/// One parameter; all must hold.
#[derive(Debug)]
struct Clause {
    /// Index into `Row::values`.
    at: usize,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Missing(bool),
    /// Any of these; with `not`, none of them.
    Token {
        any: Vec<Code>,
        not: bool,
    },
    Reference(Vec<Target>),
    Text {
        any: Vec<String>,
        how: How,
    },
    Date(Vec<(Prefix, Span)>),
    Uri(Vec<String>),
}

/// A token as asked for.
#[derive(Debug)]
struct Code {
    system: Asked,
    /// `None` for `system|`, which any code of the system meets.
    code: Option<String>,
}

#[derive(Debug)]
enum Asked {
    Any,
    None,
    Is(String),
}

/// A reference as asked for; without a type, any.
#[derive(Debug)]
struct Target {
    /// The server's own base, which stored references may start with.
    base: String,
    name: Option<String>,
    id: String,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Starts,
    Exact,
    Contains,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

impl Query {
    /// Reads the parameters of a search of `name`. The error is for a 400's diagnostics.
    ///
    /// `base` is this server's own, which absolute references may start with. `lenient` leaves out parameters
    /// that aren't known; what is known and malformed stays an error.
    pub(crate) fn parse(
        name: &str,
        pairs: &[(String, String)],
        base: &str,
        lenient: bool,
    ) -> Result<Self, String> {
        let params = PARAMS.get(name).map_or(&[][..], Vec::as_slice);
        let mut query = Self {
            clauses: Vec::new(),
            count: PAGE,
            total: true,
            ignored: Vec::new(),
        };
        for (key, value) in pairs {
            match key.as_str() {
                "_count" => {
                    query.count = count(value)?;
                    continue;
                }
                "_total" => {
                    query.total = match value.as_str() {
                        "none" => false,
                        "estimate" | "accurate" => true,
                        _ => return Err(format!("invalid `_total`: `{value}`")),
                    };
                    continue;
                }
                "_format" if is_json(value) => continue,
                "_pretty" => continue,
                _ => {}
            }
            let (code, modifier) = match key.split_once(':') {
                Some((code, modifier)) => (code, Some(modifier)),
                None => (key.as_str(), None),
            };
            let Some(at) = params.iter().position(|param| param.code == code) else {
                if lenient {
                    query.ignored.push(key.clone());
                    continue;
                }
                return Err(format!("unknown search parameter `{key}` for {name}"));
            };
            let kind = params[at].kind;
            let test = Test::parse(kind, modifier, value, base)
                .ok_or_else(|| format!("invalid value or modifier for `{key}`: `{value}`"))?;
            query.clauses.push(Clause { at, test });
        }
        Ok(query)
    }

    /// Reads the criteria of a conditional interaction: at least one, nothing about the form of an answer,
    /// nothing left out.
    pub(crate) fn criteria(name: &str, text: &str, base: &str) -> Result<Self, String> {
        let pairs = pairs(text).ok_or("the condition isn't well formed")?;
        if let Some((key, _)) = pairs
            .iter()
            .find(|(key, _)| matches!(key.as_str(), "_count" | "_total" | "_format" | "_pretty"))
        {
            return Err(format!("`{key}` is no criterion"));
        }
        if pairs.is_empty() {
            return Err("a condition needs a search parameter".to_owned());
        }
        Self::parse(name, &pairs, base, false)
    }

    /// Whether a row is asked for.
    pub(crate) fn matches(&self, row: &Row) -> bool {
        self.clauses.iter().all(|clause| {
            row.values
                .get(clause.at)
                .is_some_and(|values| clause.test.holds(values))
        })
    }
}

impl Test {
    fn parse(kind: Kind, modifier: Option<&str>, value: &str, base: &str) -> Option<Self> {
        if modifier == Some("missing") {
            return value.parse().ok().map(Self::Missing);
        }
        let any = split(value);
        if any.iter().all(String::is_empty) {
            return None;
        }
        Some(match (kind, modifier) {
            (Kind::Token, None | Some("not")) => {
                let any = any.iter().map(|value| Code::parse(value)).collect();
                Self::Token {
                    any,
                    not: modifier.is_some(),
                }
            }
            (Kind::Reference, modifier) => {
                // The only modifier is a type: `subject:Patient=1`.
                if modifier.is_some_and(|name| !name.starts_with(|c: char| c.is_ascii_uppercase()))
                {
                    return None;
                }
                Self::Reference(
                    any.iter()
                        .map(|value| Target::parse(value, modifier, base))
                        .collect(),
                )
            }
            (Kind::Text, None) => Self::Text {
                any: any.iter().map(|value| fold(value)).collect(),
                how: How::Starts,
            },
            (Kind::Text, Some("contains")) => Self::Text {
                any: any.iter().map(|value| fold(value)).collect(),
                how: How::Contains,
            },
            (Kind::Text, Some("exact")) => Self::Text {
                any,
                how: How::Exact,
            },
            (Kind::Date, None) => Self::Date(
                any.iter()
                    .map(|value| dated(value))
                    .collect::<Option<_>>()?,
            ),
            (Kind::Uri, None) => Self::Uri(any),
            _ => return None,
        })
    }

    fn holds(&self, values: &Values) -> bool {
        match (self, values) {
            (Self::Missing(missing), values) => values.is_empty() == *missing,
            (Self::Token { any, not }, Values::Token(held)) => {
                any.iter()
                    .any(|code| held.iter().any(|token| code.meets(token)))
                    != *not
            }
            (Self::Reference(any), Values::Reference(held)) => any
                .iter()
                .any(|target| held.iter().any(|reference| target.meets(reference))),
            (Self::Text { any, how }, Values::Text(held)) => any
                .iter()
                .any(|value| held.iter().any(|text| how.meets(value, text))),
            (Self::Date(any), Values::Date(held)) => any
                .iter()
                .any(|(prefix, asked)| held.iter().any(|span| prefix.meets(*asked, *span))),
            (Self::Uri(any), Values::Uri(held)) => any
                .iter()
                .any(|value| held.iter().any(|uri| **uri == **value)),
            _ => false,
        }
    }
}

impl Code {
    fn parse(value: &str) -> Self {
        let (system, code) = match value.split_once('|') {
            None => (Asked::Any, value),
            Some(("", code)) => (Asked::None, code),
            Some((system, code)) => (Asked::Is(system.to_owned()), code),
        };
        Self {
            system,
            code: (!code.is_empty()).then(|| code.to_owned()),
        }
    }

    fn meets(&self, token: &Token) -> bool {
        let system = match (&self.system, &token.system) {
            (Asked::Any, _) | (Asked::None, System::None) | (_, System::Implied) => true,
            (Asked::Is(asked), System::Is(held)) => **asked == **held,
            _ => false,
        };
        system && self.code.as_deref().is_none_or(|code| *code == *token.code)
    }
}

impl Target {
    fn parse(value: &str, name: Option<&str>, base: &str) -> Self {
        let value = value
            .strip_prefix(base)
            .map_or(value, |rest| rest.trim_start_matches('/'));
        let (name, id) = match value.split_once('/') {
            Some((name, id)) => (Some(name), id),
            None => (name, value),
        };
        Self {
            base: base.to_owned(),
            name: name.map(str::to_owned),
            id: id.to_owned(),
        }
    }

    fn meets(&self, reference: &str) -> bool {
        literal(reference).is_some_and(|(base, name, id)| {
            (base.is_empty() || base == self.base)
                && id == self.id
                && self.name.as_deref().is_none_or(|asked| asked == name)
        })
    }
}

impl How {
    fn meets(self, asked: &str, held: &Text) -> bool {
        match self {
            Self::Starts => held.folded.starts_with(asked),
            Self::Contains => held.folded.contains(asked),
            Self::Exact => *held.exact == *asked,
        }
    }
}

impl Prefix {
    /// FHIR R4 §3.1.1.4.5: the asked span against the held one.
    fn meets(self, asked: Span, held: Span) -> bool {
        let within = asked.0 <= held.0 && held.1 <= asked.1;
        match self {
            Self::Eq => within,
            Self::Ne => !within,
            Self::Gt => held.1 > asked.1,
            Self::Lt => held.0 < asked.0,
            Self::Ge => within || held.1 > asked.1,
            Self::Le => within || held.0 < asked.0,
            Self::Sa => held.0 >= asked.1,
            Self::Eb => held.1 <= asked.0,
            Self::Ap => held.0 < asked.1 && asked.0 < held.1,
        }
    }
}

fn dated(value: &str) -> Option<(Prefix, Span)> {
    let prefix = match value.get(..2)? {
        "eq" => Prefix::Eq,
        "ne" => Prefix::Ne,
        "gt" => Prefix::Gt,
        "lt" => Prefix::Lt,
        "ge" => Prefix::Ge,
        "le" => Prefix::Le,
        "sa" => Prefix::Sa,
        "eb" => Prefix::Eb,
        "ap" => Prefix::Ap,
        _ => return Some((Prefix::Eq, span(value)?)),
    };
    Some((prefix, span(value.get(2..)?)?))
}

/// Alternatives between commas; `\,` `\|` `\$` `\\` stand for themselves.
fn split(value: &str) -> Vec<String> {
    let mut any = vec![String::new()];
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        let last = any.len() - 1;
        match letter {
            ',' => any.push(String::new()),
            '\\' => any[last].extend(letters.next()),
            other => any[last].push(other),
        }
    }
    any.retain(|value| !value.is_empty());
    any
}

/// Rows of a page, as `_count` has them.
pub(crate) fn count(value: &str) -> Result<usize, String> {
    let count: usize = value
        .parse()
        .map_err(|_| format!("invalid `_count`: `{value}`"))?;
    Ok(count.min(PAGE_MAX))
}

/// The pairs of an `application/x-www-form-urlencoded` text; `None` if it isn't one.
pub(crate) fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(key)?, unescape(value)?))
        })
        .collect()
}

/// The text of pairs, as `pairs` reads it.
pub(crate) fn written(pairs: &[(String, String)]) -> String {
    let written: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{}={}", escape(key), escape(value)))
        .collect();
    written.join("&")
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~:,/|".contains(&byte) => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (
                    char::from(bytes.next()?).to_digit(16)?,
                    char::from(bytes.next()?).to_digit(16)?,
                );
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::store::Store;
    use super::*;

    fn store() -> Store {
        let mut store = Store::new();
        for resource in [
            json!({"resourceType": "Observation", "id": "a", "status": "final",
                "meta": {"security": [{"system": "act", "code": "PSY"}], "lastUpdated": "2026-01-05T10:00:00Z"},
                "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
                "subject": {"reference": "Patient/1"}, "effectiveDateTime": "2026-01-05T09:00:00Z"}),
            json!({"resourceType": "Observation", "id": "b", "status": "amended",
                "meta": {"lastUpdated": "2026-02-05T10:00:00Z"},
                "code": {"coding": [{"code": "8867-4"}]},
                "subject": {"reference": "Group/1"}, "effectiveDateTime": "2026-02",
                "performer": [{"reference": "http://here/fhir/Patient/7/_history/2"},
                    {"reference": "http://elsewhere/fhir/Patient/8"}]}),
            json!({"resourceType": "Patient", "id": "p", "birthDate": "1980-05-06", "gender": "female",
                "name": [{"family": "O'Brien, Jr", "given": ["Zoë"]}],
                "telecom": [{"system": "email", "value": "z@x.example"}]}),
        ] {
            store.insert(resource).unwrap();
        }
        store
    }

    #[test]
    fn parameters_find_what_they_should() {
        let store = store();
        let act = "_security=act%7CPSY";
        let cases: &[(&str, &str, &str)] = &[
            ("Observation", "", "ab"),
            ("Observation", "_id=a", "a"),
            ("Observation", "_id=a,b", "ab"),
            ("Observation", "_id=a&_id=b", ""),
            ("Observation", "code=8867-4", "ab"),
            ("Observation", "code=http://loinc.org|8867-4", "a"),
            ("Observation", "code=http://loinc.org|", "a"),
            ("Observation", "code=|8867-4", "b"),
            ("Observation", "code=other|8867-4", ""),
            ("Observation", "status=final", "a"),
            (
                "Observation",
                "status=http://hl7.org/fhir/observation-status|final",
                "a",
            ),
            ("Observation", "status:not=final", "b"),
            ("Observation", act, "a"),
            ("Observation", "_security:not=act|PSY", "b"),
            ("Observation", "_security:missing=true", "b"),
            ("Observation", "_security:missing=false", "a"),
            ("Observation", "subject=1", "ab"),
            ("Observation", "subject=Patient/1", "a"),
            ("Observation", "subject:Group=1", "b"),
            ("Observation", "subject=http://here/fhir/Patient/1", "a"),
            ("Observation", "performer=Patient/7", "b"),
            ("Observation", "performer=http://here/fhir/Patient/7", "b"),
            ("Observation", "performer=Patient/8", ""),
            ("Observation", "patient=1", "a"),
            ("Observation", "patient=2", ""),
            ("Observation", "date=2026-01", "a"),
            ("Observation", "date=2026", "ab"),
            ("Observation", "date=2026-02-05", ""),
            ("Observation", "date=ap2026-02-05", "b"),
            ("Observation", "date=ge2026-02-01", "b"),
            ("Observation", "date=lt2026-02-01", "a"),
            ("Observation", "date=ge2026-01-01&date=le2026-01-31", "a"),
            ("Observation", "date=sa2026-01-05", "b"),
            ("Observation", "date=eb2026-01-06", "a"),
            ("Observation", "date=ne2026-01-05", "b"),
            ("Observation", "_lastUpdated=gt2026-02-01", "b"),
            ("Patient", "family=o%27br", "p"),
            ("Patient", "family=brien", ""),
            ("Patient", "family:contains=BRIEN", "p"),
            ("Patient", "family:exact=O%27Brien%5C,+Jr", "p"),
            ("Patient", "family:exact=o%27brien%5C,+jr", ""),
            ("Patient", "name=zoe", "p"),
            ("Patient", "birthdate=1980-05", "p"),
            ("Patient", "birthdate=lt1980-05-06", ""),
            ("Patient", "email=z@x.example", "p"),
            ("Patient", "phone:missing=true", "p"),
            ("Patient", "gender=male,female", "p"),
        ];
        for (name, text, expected) in cases {
            let query =
                Query::parse(name, &pairs(text).unwrap(), "http://here/fhir", false).unwrap();
            let found: String = store
                .rows(name)
                .iter()
                .filter(|row| query.matches(row))
                .map(|row| &*row.id)
                .collect();
            assert_eq!(found, *expected, "{name}?{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in [
            "nonsense=1",
            "_include=Observation:subject",
            "_sort=date",
            "subject.name=x",
            "_has:Group:member:_id=1",
            "code:text=x",
            "code=",
            "date=soon",
            "_count=many",
            "status:missing=maybe",
            "subject:identifier=1",
            "_format=xml",
            "_summary=true",
        ] {
            assert!(
                Query::parse("Observation", &pairs(text).unwrap(), "", false).is_err(),
                "{text}"
            );
        }
        for text in ["", "_count=1", "status=final&_total=none", "nonsense=1"] {
            assert!(Query::criteria("Observation", text, "").is_err(), "{text}");
        }
        let asked = pairs("nonsense=1&status=final").unwrap();
        let query = Query::parse("Observation", &asked, "", true).unwrap();
        assert_eq!(
            (query.ignored, query.clauses.len()),
            (vec!["nonsense".to_owned()], 1)
        );
        for text in ["a=%zz", "a=%c3%28", "a=%4"] {
            assert_eq!(pairs(text), None, "{text}");
        }
    }
}
