//! References among the entries of a transaction, and what they become once their targets have ids.

use std::collections::HashMap;

use serde_json::Value;

use super::act::Fault;

/// From an entry's `fullUrl` to the `Type/id` of what it writes.
pub(crate) type Links = HashMap<String, String>;

/// Points every `Reference.reference` of a resource, contained ones too, at what the entries write.
///
/// `own` is the `fullUrl` of its entry, which relative references are resolved against (FHIR R4 §2.36.4.1);
/// `find` answers what a search in a reference matches (§3.1.0.11.3).
pub(crate) fn rewrite(
    resource: &mut Value,
    links: &Links,
    own: Option<&str>,
    find: &impl Fn(&str) -> Result<String, Fault>,
) -> Result<(), Fault> {
    references(resource, "", &mut |reference| {
        if let Some(place) = links.get(reference.as_str()) {
            *reference = place.clone();
        } else if reference.starts_with("urn:uuid:") || reference.starts_with("urn:oid:") {
            return Err(Fault::bad(
                "invalid",
                "a reference names no entry of the Bundle",
            ));
        } else if searches(reference) {
            *reference = find(reference)?;
        } else if let Some(place) = own
            .and_then(root)
            .and_then(|root| links.get(&format!("{root}/{reference}")))
        {
            *reference = place.clone();
        }
        Ok(())
    })
}

/// Whether a resource refers to any of these entries.
pub(crate) fn refers<'a>(resource: &mut Value, entries: impl Iterator<Item = &'a str>) -> bool {
    let entries: Vec<&str> = entries.collect();
    let mut found = false;
    let walked = references(resource, "", &mut |reference| {
        found |= entries.contains(&reference.as_str());
        Ok(())
    });
    walked.is_ok() && found
}

/// Whether a reference is a search, `Patient?identifier=urn:mrn|1`.
fn searches(reference: &str) -> bool {
    let name = reference.split_once('?').map_or("", |(name, _)| name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The base of a RESTful `fullUrl`, `http://…/fhir` of `http://…/fhir/Patient/1`.
fn root(own: &str) -> Option<&str> {
    if !own.starts_with("http") {
        return None;
    }
    Some(own.rsplit_once('/')?.0.rsplit_once('/')?.0)
}

fn references(
    value: &mut Value,
    parent: &str,
    visit: &mut impl FnMut(&mut String) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match value {
        Value::Array(items) => {
            for item in items {
                references(item, parent, visit)?;
            }
        }
        Value::Object(fields) => {
            // DetectedIssue, Immunization.education and Expression have a `reference` that is a uri.
            let uri = fields.contains_key("resourceType")
                || parent == "education"
                || parent.ends_with("xpression");
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "reference" && !uri => visit(text)?,
                    field => references(field, name, visit)?,
                }
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_rewritten_everywhere_and_nothing_else_is() {
        let links = Links::from([
            ("urn:uuid:a".to_owned(), "Patient/1".to_owned()),
            ("http://x/fhir/Patient/p".to_owned(), "Patient/2".to_owned()),
        ]);
        let mut resource = json!({
            "subject": {"reference": "urn:uuid:a", "display": "urn:uuid:a"},
            "performer": [{"reference": "Patient/p"}, {"reference": "#c"}, {"reference": "Patient/q"}],
            "contained": [{"id": "c", "link": [{"other": {"reference": "urn:uuid:a"}}]}],
            "extension": [{"url": "urn:uuid:a", "valueReference": {"reference": "http://x/fhir/Patient/p"}}],
            "encounter": {"reference": "Encounter?identifier=1"},
            "education": [{"reference": "urn:uuid:a"}],
        });
        let find = |text: &str| Ok(text.replace("?identifier=", "/"));
        let own = Some("http://x/fhir/Observation/o");
        rewrite(&mut resource, &links, own, &find).unwrap();
        assert_eq!(
            resource,
            json!({
                "subject": {"reference": "Patient/1", "display": "urn:uuid:a"},
                "performer": [{"reference": "Patient/2"}, {"reference": "#c"}, {"reference": "Patient/q"}],
                "contained": [{"id": "c", "link": [{"other": {"reference": "Patient/1"}}]}],
                "extension": [{"url": "urn:uuid:a", "valueReference": {"reference": "Patient/2"}}],
                "encounter": {"reference": "Encounter/1"},
                "education": [{"reference": "urn:uuid:a"}],
            })
        );
        let mut lost = json!({"subject": {"reference": "urn:uuid:b"}});
        assert!(rewrite(&mut lost, &links, None, &find).is_err());
    }
}
