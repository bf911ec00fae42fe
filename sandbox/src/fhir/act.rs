//! What is asked and what is answered, the same for a request of its own and for an entry of a Bundle.

use bytes::Bytes;
use http::HeaderValue;
use hyper::{Method, StatusCode};
use json_patch::Patch;
use serde_json::{Value, json};

use super::row::Version;

/// One interaction, understood but not yet judged.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) method: Method,
    pub(crate) place: Place,
    /// Its parameters, of a POST search those of the form too.
    pub(crate) query: String,
    pub(crate) terms: Terms,
    pub(crate) payload: Payload,
}

/// What an address under the base names (FHIR R4 §3.1.0.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Base,
    Metadata,
    History,
    Search,
    Type(&'static str),
    TypeHistory(&'static str),
    TypeSearch(&'static str),
    Instance(&'static str, String),
    InstanceHistory(&'static str, String),
    Version(&'static str, String, String),
    /// Of a patient; without a type, all that are in the compartment.
    Compartment(String, Option<&'static str>),
    CompartmentSearch(String, Option<&'static str>),
}

/// What a body holds.
#[derive(Debug)]
pub(crate) enum Payload {
    None,
    Resource(Value),
    Patch(Patch),
}

/// Conditions and preferences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) if_match: Option<Tags>,
    pub(crate) if_none_match: Option<Tags>,
    /// In milliseconds since 1970.
    pub(crate) if_modified_since: Option<i64>,
    /// Parameters of a search.
    pub(crate) if_none_exist: Option<String>,
    pub(crate) back: Back,
    pub(crate) handling: Handling,
}

/// Versions that a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    Any,
    Of(Vec<String>),
}

/// `Prefer: return=…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Back {
    #[default]
    Unsaid,
    Minimal,
    Representation,
    Outcome,
}

/// `Prefer: handling=…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Handling {
    #[default]
    Unsaid,
    Strict,
    Lenient,
}

/// An interaction that was done.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// A resource.
    pub(crate) body: Option<Bytes>,
    /// An OperationOutcome.
    pub(crate) outcome: Option<Bytes>,
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) modified: Option<HeaderValue>,
    /// `meta.lastUpdated` of the version.
    pub(crate) updated: Option<Box<str>>,
    /// `Type/id/_history/version`, where something was written.
    pub(crate) location: Option<String>,
}

/// An interaction that was refused.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    /// Of FHIR's issue types.
    pub(crate) code: &'static str,
    pub(crate) text: String,
    /// Where the status is 405.
    pub(crate) allow: Option<&'static str>,
}

impl Tags {
    /// Reads the entity tags of a condition, `W/"1"`; `None` where it isn't well formed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let tags = text.split(',').map(|tag| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
            (!tag.contains('"')).then(|| tag.to_owned())
        });
        Some(Self::Of(tags.collect::<Option<_>>()?))
    }

    /// Whether they name what is there; `None` for nothing.
    pub(crate) fn name(&self, version: Option<&str>) -> bool {
        version.is_some_and(|version| match self {
            Self::Any => true,
            Self::Of(tags) => tags.iter().any(|tag| tag == version),
        })
    }
}

impl Act {
    /// Whether it changes nothing.
    pub(crate) fn reads(&self) -> bool {
        let search = matches!(
            self.place,
            Place::Search | Place::TypeSearch(_) | Place::CompartmentSearch(..)
        );
        search || self.method == Method::GET || self.method == Method::HEAD
    }
}

impl Reply {
    /// What a read of a version gives, its body apart.
    pub(crate) fn of(status: StatusCode, version: &Version) -> Self {
        let stamp = version.stamp.clone();
        Self {
            status,
            etag: Some(stamp.etag),
            modified: Some(stamp.modified),
            updated: Some(stamp.updated),
            ..Self::default()
        }
    }

    /// What a write gives: `back` decides about the body.
    pub(crate) fn written(status: StatusCode, version: &Version, back: Back) -> Self {
        let mut reply = Self::of(status, version);
        reply.location = Some(format!(
            "{}/{}/_history/{}",
            version.name, version.id, version.stamp.version
        ));
        match back {
            Back::Minimal => {}
            Back::Unsaid | Back::Representation => {
                reply.body = version.row.as_ref().map(|row| row.body.clone());
            }
            Back::Outcome => reply.outcome = Some(done()),
        }
        reply
    }

    /// As an entry of a Bundle, where nobody takes away the body of an answer to HEAD.
    pub(crate) fn to(mut self, method: &Method) -> Self {
        if method == Method::HEAD {
            self.body = None;
        }
        self
    }

    /// A Bundle, or another resource that isn't stored.
    pub(crate) fn made(body: Bytes) -> Self {
        Self {
            body: Some(body),
            ..Self::default()
        }
    }
}

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            code,
            text: text.into(),
            allow: None,
        }
    }

    /// 400: it can't be read, or says two things.
    pub(crate) fn bad(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, text)
    }

    /// 412 of a condition on the version.
    pub(crate) fn stale(text: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "conflict", text)
    }

    /// 412 of a condition that several resources meet.
    pub(crate) fn several(count: usize) -> Self {
        let text = format!("the condition matches {count} resources");
        Self::new(StatusCode::PRECONDITION_FAILED, "multiple-matches", text)
    }

    /// 404. Real servers echo the address; whoever stands in front has to take it out.
    pub(crate) fn missing(base: &str, name: &str, id: &str) -> Self {
        let text = format!("resource not found: {base}/{name}/{id}");
        Self::new(StatusCode::NOT_FOUND, "not-found", text)
    }

    /// 410.
    pub(crate) fn gone(name: &str, id: &str) -> Self {
        let text = format!("resource deleted: {name}/{id}");
        Self::new(StatusCode::GONE, "deleted", text)
    }

    /// 405.
    pub(crate) fn method(method: &Method, allow: &'static str) -> Self {
        let text = format!("{method} is not supported here");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "not-supported", text)
        }
    }

    /// An OperationOutcome of one error; `at` is where in the body it is.
    pub(crate) fn outcome(&self, at: Option<&str>) -> Bytes {
        let mut issue = json!({"severity": "error", "code": self.code, "diagnostics": self.text});
        if let Some(at) = at {
            issue["expression"] = json!([at]);
        }
        let outcome = json!({"resourceType": "OperationOutcome", "issue": [issue]});
        outcome.to_string().into()
    }
}

/// The OperationOutcome of what went well.
pub(crate) fn done() -> Bytes {
    let issue =
        json!([{"severity": "information", "code": "informational", "diagnostics": "done"}]);
    let outcome = json!({"resourceType": "OperationOutcome", "issue": issue});
    outcome.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_versions() {
        for (text, version, expected) in [
            ("W/\"1\"", Some("1"), true),
            ("\"1\"", Some("1"), true),
            ("W/\"1\"", Some("2"), false),
            ("W/\"1\", W/\"2\"", Some("2"), true),
            ("*", Some("2"), true),
            ("*", None, false),
            ("W/\"1\"", None, false),
        ] {
            assert_eq!(Tags::parse(text).unwrap().name(version), expected, "{text}");
        }
        for text in ["", "1", "W/1", "\"1", "W/\"1\"x", "W/\"1\",", "\"\"\""] {
            assert_eq!(Tags::parse(text), None, "{text}");
        }
    }
}
