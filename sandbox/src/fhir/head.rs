//! From header fields to conditions, preferences and media types.
//!
//! A condition that can't be read is an error, never ignored: what it guards would happen unguarded.

use http::header::{ACCEPT, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};

use super::act::{Back, Fault, Handling, Tags, Terms};
use super::dates;

/// The media type of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Patch,
    Form,
    Other,
}

/// Conditions and preferences of a request.
pub(crate) fn terms(headers: &HeaderMap) -> Result<Terms, Fault> {
    let tags = |name: &str| match joined(headers, name)? {
        None => Ok(None),
        Some(text) => match Tags::parse(&text) {
            Some(tags) => Ok(Some(tags)),
            None => Err(malformed(name)),
        },
    };
    let prefer = joined(headers, "prefer")?.unwrap_or_default();
    let (back, handling) = preferences(&prefer);
    Ok(Terms {
        if_match: tags(IF_MATCH.as_str())?,
        if_none_match: tags(IF_NONE_MATCH.as_str())?,
        // RFC 9110 §13.1.3: one that isn't a date is ignored.
        if_modified_since: joined(headers, IF_MODIFIED_SINCE.as_str())?
            .and_then(|text| dates::from_http_date(&text)),
        if_none_exist: joined(headers, "if-none-exist")?,
        back,
        handling,
    })
}

/// What `Prefer` says; preferences that aren't known are ignored (RFC 7240 §2).
fn preferences(text: &str) -> (Back, Handling) {
    let (mut back, mut handling) = (Back::Unsaid, Handling::Unsaid);
    for preference in text.split([',', ';']) {
        match preference.trim() {
            "return=minimal" => back = Back::Minimal,
            "return=representation" => back = Back::Representation,
            "return=OperationOutcome" => back = Back::Outcome,
            "handling=strict" => handling = Handling::Strict,
            "handling=lenient" => handling = Handling::Lenient,
            _ => {}
        }
    }
    (back, handling)
}

/// What a body is said to be.
pub(crate) fn media(headers: &HeaderMap) -> Media {
    let Some(text) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return Media::Other;
    };
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media = parts.next().unwrap_or_default();
    let fits = parts.all(|part| match part.split_once('=') {
        Some(("charset", charset)) => charset.trim_matches('"') == "utf-8",
        Some(("fhirversion", version)) => version == "4.0",
        _ => true,
    });
    match media.as_str() {
        _ if !fits => Media::Other,
        "application/fhir+json" | "application/json" => Media::Json,
        "application/json-patch+json" => Media::Patch,
        "application/x-www-form-urlencoded" => Media::Form,
        _ => Media::Other,
    }
}

/// Refuses a caller who doesn't take FHIR JSON: by `_format`, else by `Accept`.
pub(crate) fn acceptable(headers: &HeaderMap, query: &str) -> Result<(), Fault> {
    let pairs = super::query::pairs(query).unwrap_or_default();
    let taken = match pairs.iter().find(|(key, _)| key == "_format") {
        Some((_, format)) => is_json(format),
        None => match joined(headers, ACCEPT.as_str())? {
            Some(text) => text.split(',').any(takes),
            None => true,
        },
    };
    if taken {
        return Ok(());
    }
    let text = "answers are application/fhir+json only";
    Err(Fault::new(
        StatusCode::NOT_ACCEPTABLE,
        "not-supported",
        text,
    ))
}

fn takes(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let refused = parts.any(|part| {
        part.strip_prefix("q=")
            .and_then(|q| q.parse::<f32>().ok())
            .is_some_and(|q| q <= 0.0)
    });
    !refused && (matches!(media.as_str(), "*/*" | "application/*") || is_json(&media))
}

/// Whether `_format` or a media type asks for what this server speaks; `+` may have been read as a space.
pub(crate) fn is_json(format: &str) -> bool {
    let media = format.split(';').next().unwrap_or_default().trim();
    matches!(
        media,
        "json" | "application/json" | "application/fhir+json" | "application/fhir json"
    )
}

/// The values of a field as one, with commas.
fn joined(headers: &HeaderMap, name: &str) -> Result<Option<String>, Fault> {
    let mut whole: Option<String> = None;
    for value in headers.get_all(name) {
        let value = value.to_str().map_err(|_| malformed(name))?;
        whole = Some(match whole {
            None => value.to_owned(),
            Some(before) => format!("{before},{value}"),
        });
    }
    Ok(whole)
}

fn malformed(name: &str) -> Fault {
    Fault::bad("invalid", format!("malformed header field `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn media_types_are_read_with_their_parameters() {
        for (text, expected) in [
            ("application/fhir+json", Media::Json),
            ("Application/JSON; charset=UTF-8", Media::Json),
            ("application/fhir+json;fhirVersion=4.0", Media::Json),
            ("application/fhir+json;fhirVersion=3.0", Media::Other),
            ("application/json; charset=latin1", Media::Other),
            ("application/json-patch+json", Media::Patch),
            ("application/fhir+xml", Media::Other),
            ("text/plain", Media::Other),
        ] {
            assert_eq!(media(&headers("content-type", &[text])), expected, "{text}");
        }
        assert_eq!(media(&HeaderMap::new()), Media::Other);
    }

    #[test]
    fn who_takes_no_json_is_refused() {
        for (accept, query, expected) in [
            ("*/*", "", true),
            ("text/html, application/fhir+json;q=0.9", "", true),
            ("application/fhir+xml", "", false),
            ("application/json;q=0", "", false),
            ("application/fhir+xml", "_format=json", true),
            ("*/*", "_format=xml", false),
            ("*/*", "_format=application/fhir+json", true),
        ] {
            let headers = headers("accept", &[accept]);
            let answer = acceptable(&headers, query);
            assert_eq!(answer.is_ok(), expected, "{accept} {query}");
        }
    }

    #[test]
    fn preferences_come_in_any_number_of_fields() {
        let headers = headers("prefer", &["return=minimal", "x, handling=strict;y=1"]);
        let terms = terms(&headers).unwrap();
        assert_eq!(
            (terms.back, terms.handling),
            (Back::Minimal, Handling::Strict)
        );
    }

    #[test]
    fn conditions_that_can_not_be_read_are_errors() {
        for (name, value) in [("if-match", "1"), ("if-none-match", "W/1")] {
            assert!(terms(&headers(name, &[value])).is_err(), "{name}");
        }
        let two = terms(&headers("if-match", &["W/\"1\"", "W/\"2\""])).unwrap();
        assert!(two.if_match.unwrap().name(Some("2")));
    }
}
