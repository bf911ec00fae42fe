//! What a resource holds for a search parameter, taken out once when it is stored.

use serde_json::Value;

use super::dates::{Span, span};
use super::params::{Kind, Param};

/// The values of one parameter in one resource.
#[derive(Debug)]
pub(crate) enum Values {
    Token(Vec<Token>),
    Reference(Vec<Box<str>>),
    Text(Vec<Text>),
    Date(Vec<Span>),
    Uri(Vec<Box<str>>),
}

/// A code with its system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) system: System,
    pub(crate) code: Box<str>,
}

/// Where a code is from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// The element says none.
    None,
    /// The element's definition fixes one, which the instance doesn't repeat (`status`, `gender`).
    Implied,
    /// As written.
    Is(Box<str>),
}

/// A string as written and as compared.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) exact: Box<str>,
    pub(crate) folded: Box<str>,
}

impl Values {
    /// The values of `param` in `resource`.
    pub(crate) fn of(resource: &Value, param: &Param) -> Self {
        let found = found(resource, param);
        match param.kind {
            Kind::Token => Self::Token(found.iter().flat_map(|value| tokens(value)).collect()),
            Kind::Reference => {
                let target = param.paths.split_once(':').map(|(_, target)| target);
                let kept = found
                    .iter()
                    .filter_map(|value| value.get("reference")?.as_str())
                    .filter(|reference| {
                        target.is_none_or(|target| {
                            literal(reference).is_some_and(|(_, name, _)| name == target)
                        })
                    });
                Self::Reference(kept.map(Box::from).collect())
            }
            Kind::Text => {
                let mut texts = Vec::new();
                found.iter().for_each(|value| strings(value, &mut texts));
                Self::Text(texts.into_iter().map(Text::new).collect())
            }
            Kind::Date => Self::Date(found.iter().filter_map(|value| date(value)).collect()),
            Kind::Uri => Self::Uri(
                found
                    .iter()
                    .filter_map(|value| value.as_str())
                    .map(Box::from)
                    .collect(),
            ),
        }
    }

    /// Whether the resource has nothing there (`:missing`).
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Token(values) => values.is_empty(),
            Self::Reference(values) | Self::Uri(values) => values.is_empty(),
            Self::Text(values) => values.is_empty(),
            Self::Date(values) => values.is_empty(),
        }
    }
}

impl Text {
    fn new(exact: &str) -> Self {
        Self {
            exact: exact.into(),
            folded: fold(exact).into(),
        }
    }
}

/// The elements of `resource` that `param` looks at.
pub(crate) fn found<'a>(resource: &'a Value, param: &Param) -> Vec<&'a Value> {
    let paths = param.paths.split('+');
    paths.flat_map(|path| at(resource, path)).collect()
}

/// A literal reference as base (empty where relative), type and id; without the version it may name.
pub(crate) fn literal(reference: &str) -> Option<(&str, &str, &str)> {
    let whole = reference
        .split_once("/_history/")
        .map_or(reference, |(whole, _)| whole);
    let (rest, id) = whole.rsplit_once('/')?;
    let (base, name) = rest.rsplit_once('/').unwrap_or(("", rest));
    Some((base, name, id))
}

/// Lower case, without the accents of Latin-1.
pub(crate) fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            'à'..='å' => 'a',
            'ç' => 'c',
            'è'..='ë' => 'e',
            'ì'..='ï' => 'i',
            'ñ' => 'n',
            'ò'..='ö' | 'ø' => 'o',
            'ù'..='ü' => 'u',
            'ý' | 'ÿ' => 'y',
            other => other,
        })
        .collect()
}

/// The values at a path of the parameter table's notation.
fn at<'a>(resource: &'a Value, path: &str) -> Vec<&'a Value> {
    let path = path.split_once(':').map_or(path, |(path, _)| path);
    let (path, system) = match path.split_once('?') {
        Some((path, system)) => (path, Some(system)),
        None => (path, None),
    };
    let mut found = vec![resource];
    for step in path.split('.') {
        found = found
            .into_iter()
            .flat_map(|value| children(value, step))
            .collect();
    }
    if let Some(system) = system {
        found.retain(|value| value.get("system").and_then(Value::as_str) == Some(system));
    }
    found
}

fn children<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    let Some(fields) = value.as_object() else {
        return Vec::new();
    };
    let held: Vec<&Value> = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
        None => fields.get(step).into_iter().collect(),
        Some((stem, "x")) => fields
            .iter()
            .filter(|(name, _)| {
                name.strip_prefix(stem)
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
            })
            .map(|(_, value)| value)
            .collect(),
        Some((stem, types)) => types
            .split(',')
            .filter_map(|name| fields.get(&format!("{stem}{name}")))
            .collect(),
    };
    held.into_iter()
        .flat_map(|value| match value {
            Value::Array(items) => items.iter().collect(),
            other => vec![other],
        })
        .collect()
}

fn tokens(value: &Value) -> Vec<Token> {
    match value {
        Value::String(code) => vec![Token {
            system: System::Implied,
            code: code.as_str().into(),
        }],
        Value::Bool(flag) => vec![Token {
            system: System::Implied,
            code: flag.to_string().into(),
        }],
        Value::Object(fields) => match fields.get("coding").and_then(Value::as_array) {
            Some(codings) => codings.iter().flat_map(tokens).collect(),
            None => {
                // Coding has `code`, Identifier and ContactPoint have `value`.
                let code = fields
                    .get("code")
                    .or_else(|| fields.get("value"))
                    .and_then(Value::as_str);
                let system = match fields.get("system").and_then(Value::as_str) {
                    Some(system) => System::Is(system.into()),
                    None => System::None,
                };
                code.map(|code| Token {
                    system,
                    code: code.into(),
                })
                .into_iter()
                .collect()
            }
        },
        _ => Vec::new(),
    }
}

/// The strings of a string, a HumanName or an Address.
fn strings<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "use" | "type" | "period" | "extension"))
            .for_each(|(_, field)| strings(field, into)),
        _ => {}
    }
}

fn date(value: &Value) -> Option<Span> {
    match value {
        Value::String(text) => span(text),
        Value::Object(period) => {
            let end = |name: &str| period.get(name).and_then(Value::as_str);
            let from = end("start").map_or(Some(i64::MIN), |text| span(text).map(|span| span.0))?;
            let to = end("end").map_or(Some(i64::MAX), |text| span(text).map(|span| span.1))?;
            Some((from, to))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(resource: &Value, kind: Kind, paths: &'static str) -> Values {
        Values::of(
            resource,
            &Param {
                code: "x",
                kind,
                paths,
            },
        )
    }

    #[test]
    fn tokens_come_from_codes_codings_concepts_and_identifiers() {
        let resource = json!({
            "status": "final", "active": true,
            "code": {"coding": [{"system": "s", "code": "a"}, {"code": "b"}], "text": "c"},
            "identifier": [{"system": "i", "value": "1"}],
        });
        let codes = |paths| match of(&resource, Kind::Token, paths) {
            Values::Token(tokens) => tokens
                .iter()
                .map(|token| token.code.to_string())
                .collect::<Vec<_>>(),
            _ => unreachable!(),
        };
        assert_eq!(codes("status"), ["final"]);
        assert_eq!(codes("active"), ["true"]);
        assert_eq!(codes("code"), ["a", "b"]);
        assert_eq!(codes("code+identifier"), ["a", "b", "1"]);
    }

    #[test]
    fn references_keep_to_their_target_and_choices_to_their_types() {
        let resource = json!({
            "participant": [{"actor": {"reference": "Patient/1"}}, {"actor": {"reference": "Location/1"}}],
            "effectivePeriod": {"start": "2020-01-01"},
            "effective": "no", "effectively": "no",
        });
        let Values::Reference(found) = of(&resource, Kind::Reference, "participant.actor:Patient")
        else {
            unreachable!()
        };
        assert_eq!(found, ["Patient/1".into()]);
        let Values::Date(found) = of(&resource, Kind::Date, "effective[x]") else {
            unreachable!()
        };
        assert_eq!(found, [(1_577_836_800_000, i64::MAX)]);
        assert!(of(&resource, Kind::Date, "effective[DateTime]").is_empty());
    }

    #[test]
    fn literal_references_come_apart() {
        for (text, expected) in [
            ("Patient/1", Some(("", "Patient", "1"))),
            ("Patient/1/_history/2", Some(("", "Patient", "1"))),
            ("http://x/y/Patient/1", Some(("http://x/y", "Patient", "1"))),
            ("#c", None),
            ("urn:uuid:1", None),
        ] {
            assert_eq!(literal(text), expected, "{text}");
        }
    }

    #[test]
    fn strings_fold_case_and_accents_and_leave_codes_out() {
        let resource = json!({"name": [{"use": "official", "family": "Núñez", "given": ["Zoë"]}]});
        let Values::Text(found) = of(&resource, Kind::Text, "name") else {
            unreachable!()
        };
        let folded: Vec<_> = found.iter().map(|text| &*text.folded).collect();
        assert_eq!(folded, ["nunez", "zoe"]);
        assert_eq!(&*found[0].exact, "Núñez");
    }
}
