//! Element paths as packs write them: `Patient.contact.name`, `value[x]`, `telecom`.

use crate::fhir::tables::{Element, ElementType, StructId, Tables, TypeId, nearest};

/// Why a path can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPath {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// Resolves `text` for one of `types`: which type it is of, and its stems.
pub(crate) fn resolve(
    tables: &Tables,
    types: &[TypeId],
    text: &str,
) -> Result<(TypeId, Vec<&'static str>), BadPath> {
    let bad = |message: String, help: Option<String>| Err(BadPath { message, help });
    if text.contains(" where ") || text.contains('(') || text.contains("[*]") {
        return bad(
            format!("slices such as `{text}` are not enforced by this version"),
            None,
        );
    }
    if text.starts_with('*') || text.ends_with('*') {
        return bad(
            format!("wildcards such as `{text}` are not enforced by this version"),
            None,
        );
    }
    let (first, rest) = text.split_once('.').unwrap_or((text, ""));
    let (resource, path) = if first.starts_with(|c: char| c.is_ascii_uppercase()) {
        match tables.resource(first) {
            Some(resource) if types.contains(&resource) => (resource, rest),
            Some(_) => return bad(format!("`{first}` is not in `on`"), None),
            None => {
                let help = tables
                    .nearest_resource(first)
                    .map(|n| format!("did you mean `{n}`?"));
                return bad(format!("unknown type `{first}`"), help);
            }
        }
    } else {
        match types {
            [only] => (*only, text),
            _ => {
                let help = format!("write it as `Type.{text}`: `on` names several types");
                return bad(format!("`{text}` doesn't say of which type"), Some(help));
            }
        }
    };
    if path.is_empty() {
        return bad(format!("`{text}` names no element"), None);
    }
    stems(tables, resource, path).map(|stems| (resource, stems))
}

fn stems(tables: &Tables, resource: TypeId, path: &str) -> Result<Vec<&'static str>, BadPath> {
    let mut at: Vec<StructId> = vec![tables.root(resource)];
    let mut out = Vec::new();
    let mut owner = tables.name(resource).to_owned();
    for word in path.split('.') {
        let stem = word.strip_suffix("[x]").unwrap_or(word);
        if at.is_empty() {
            return Err(BadPath {
                message: format!("`{owner}` has nothing inside"),
                help: None,
            });
        }
        let found: Vec<&'static Element> = at
            .iter()
            .filter_map(|s| crate::fhir::tables::r4().structure(*s).element(stem))
            .collect();
        let Some(element) = found.iter().find(|e| e.choice || stem == word) else {
            return Err(BadPath {
                message: format!("`{owner}` has no element `{word}`"),
                help: suggestion(tables, &at, word),
            });
        };
        out.push(element.name);
        owner.push('.');
        owner.push_str(word);
        at = found
            .iter()
            .flat_map(|e| &e.types)
            .filter_map(|t| match t {
                ElementType::Complex(s) => Some(*s),
                _ => None,
            })
            .collect();
    }
    Ok(out)
}

fn suggestion(tables: &Tables, at: &[StructId], word: &str) -> Option<String> {
    if let Some((element, _)) = at.iter().find_map(|s| tables.element_for_key(*s, word))
        && element.choice
    {
        return Some(format!(
            "write the choice by its stem: `{}[x]`",
            element.name
        ));
    }
    let stem = word.strip_suffix("[x]").unwrap_or(word);
    let names = at
        .iter()
        .flat_map(|s| tables.structure(*s).elements.iter().map(|e| e.name));
    nearest(stem, names).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::tables::r4;

    fn resolve_in(types: &[&str], text: &str) -> Result<(String, String), String> {
        let types: Vec<TypeId> = types.iter().map(|t| r4().resource(t).unwrap()).collect();
        resolve(r4(), &types, text)
            .map(|(t, stems)| (r4().name(t).to_owned(), stems.join(".")))
            .map_err(|bad| match bad.help {
                Some(help) => format!("{}; {help}", bad.message),
                None => bad.message,
            })
    }

    #[test]
    fn paths_lead_to_elements() {
        for (types, text, resource, stems) in [
            (&["Patient"][..], "birthDate", "Patient", "birthDate"),
            (
                &["Patient"],
                "Patient.contact.name.family",
                "Patient",
                "contact.name.family",
            ),
            (
                &["Patient", "Observation"],
                "Observation.value[x]",
                "Observation",
                "value",
            ),
            (&["Observation"], "value", "Observation", "value"),
            (
                &["Observation"],
                "component.value[x].code",
                "Observation",
                "component.value.code",
            ),
            (
                &["Questionnaire"],
                "item.item.item.text",
                "Questionnaire",
                "item.item.item.text",
            ),
        ] {
            assert_eq!(
                resolve_in(types, text),
                Ok((resource.into(), stems.into())),
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_name_the_nearest() {
        for (types, text, message) in [
            (
                &["Patient"][..],
                "birthdate",
                "`Patient` has no element `birthdate`; did you mean `birthDate`?",
            ),
            (
                &["Patient"],
                "contact.nam",
                "`Patient.contact` has no element `nam`; did you mean `name`?",
            ),
            (
                &["Observation"],
                "valueQuantity",
                "`Observation` has no element `valueQuantity`; write the choice by its stem: `value[x]`",
            ),
            (
                &["Patient"],
                "birthDate[x]",
                "`Patient` has no element `birthDate[x]`; did you mean `birthDate`?",
            ),
            (
                &["Patient"],
                "birthDate.year",
                "`Patient.birthDate` has nothing inside",
            ),
            (
                &["Patient", "Observation"],
                "code",
                "`code` doesn't say of which type; write it as `Type.code`: `on` names several types",
            ),
            (
                &["Patient"],
                "Observation.code",
                "`Observation` is not in `on`",
            ),
            (
                &["Patient"],
                "Patien.name",
                "unknown type `Patien`; did you mean `Patient`?",
            ),
            (&["Patient"], "Patient", "`Patient` names no element"),
            (
                &["Patient"],
                "*.note",
                "wildcards such as `*.note` are not enforced by this version",
            ),
            (
                &["Patient"],
                "identifier where system = 'x'",
                "slices such as `identifier where system = 'x'` are not enforced by this version",
            ),
        ] {
            assert_eq!(resolve_in(types, text), Err(message.into()));
        }
    }
}
