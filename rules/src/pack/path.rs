//! Element paths as packs write them: `Patient.contact.name`, `value[x]`, `telecom`.

use super::Wrong;
use crate::fhir::tables::{Element, ElementType, StructId, Tables, TypeId};
use crate::source::nearest;

/// Resolves `text` for one of `types`: which type it is of, and its stems.
pub(crate) fn resolve(
    tables: &'static Tables,
    types: &[TypeId],
    text: &str,
) -> Result<(TypeId, Vec<&'static str>), Wrong> {
    if text.contains(" where ") || (text.contains(['(', '[']) && !text.contains("[x]")) {
        return Err(Wrong::with_help(
            format!("slices such as `{text}` are not enforced by this version"),
            "name the whole element",
        ));
    }
    if text.contains('*') {
        return Err(Wrong::with_help(
            format!("wildcards such as `{text}` are not enforced by this version"),
            "name each element",
        ));
    }
    let (first, rest) = text.split_once('.').unwrap_or((text, ""));
    let (resource, path) = if first.starts_with(|c: char| c.is_ascii_uppercase()) {
        match tables.resource(first) {
            Some(resource) if types.contains(&resource) => (resource, rest),
            Some(_) => return Err(Wrong::new(format!("`{first}` is not in `on`"))),
            None => {
                let message = format!("unknown type `{first}`");
                let help = tables.nearest_resource(first);
                return Err(Wrong {
                    message,
                    help: help.map(|n| format!("did you mean `{n}`?")),
                });
            }
        }
    } else {
        match types {
            [only] => (*only, text),
            _ => {
                return Err(Wrong::with_help(
                    format!("`{text}` doesn't say of which type"),
                    format!("`on` names several types: write `Type.{text}`"),
                ));
            }
        }
    };
    if path.is_empty() {
        return Err(Wrong::with_help(
            format!("`{text}` names no element"),
            format!("write `{}.name`, say", tables.name(resource)),
        ));
    }
    stems(tables, resource, path).map(|stems| (resource, stems))
}

fn stems(
    tables: &'static Tables,
    resource: TypeId,
    path: &str,
) -> Result<Vec<&'static str>, Wrong> {
    let mut at: Vec<StructId> = vec![tables.root(resource)];
    let mut out = Vec::new();
    let mut owner = tables.name(resource).to_owned();
    let mut holds_resources = false;
    for word in path.split('.') {
        if word.is_empty() {
            return Err(Wrong::new(format!(
                "a name is missing after `{owner}.` in `{path}`"
            )));
        }
        if holds_resources {
            return Err(Wrong::with_help(
                format!("what is inside `{owner}` can't be listed here"),
                "each resource in it leaves under the grants of its own type",
            ));
        }
        if at.is_empty() {
            return Err(Wrong::with_help(
                format!("`{owner}` has nothing inside"),
                format!("write `{owner}`"),
            ));
        }
        let stem = word.strip_suffix("[x]").unwrap_or(word);
        let found: Vec<&'static Element> = at
            .iter()
            .filter_map(|s| tables.structure(*s).element(stem))
            .collect();
        let Some(element) = found.iter().find(|e| e.choice || stem == word) else {
            return Err(Wrong {
                message: format!("`{owner}` has no element `{word}`"),
                help: suggestion(tables, &at, word),
            });
        };
        out.push(element.name);
        owner.push('.');
        owner.push_str(word);
        let types = || found.iter().flat_map(|e| &e.types);
        holds_resources = types().any(|t| matches!(t, ElementType::Resource));
        at = types()
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
            .map_err(|wrong| wrong.message)
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
}
