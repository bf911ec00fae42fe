//! Writes the tables as text: sorted, one fact a line.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Fault;
use crate::definitions::{Defined, Definitions, strings};
use crate::{params, subjects};

const HEAD: &str = "\
# FHIR R4 4.0.1 (CC0), derived by tools/tables; don't edit.
#
# resource NAME | structure NAME      the elements of an object
#   name[x] min..max flags types -> targets       flags: m modifier, s summary, - neither
# params TYPE                         search parameters; Resource and DomainResource: of every such type
#   code kind paths -> targets                    path notes: as= cast, is= type of the target,
#     code paths (a composite's part)             N:name= filter at the Nth element, fn= function; `.` whole resource
# compartment NAME                    types that can be members, by which parameters
# subjects                            whose record a type is: paths, !itself, !none, !undetermined
";

/// The whole text.
pub fn tables(definitions: &Definitions) -> Result<String, Fault> {
    let mut text = HEAD.to_owned();
    let mut put = |heading: &str, lines: &[String]| {
        text.push('\n');
        text.push_str(heading);
        text.push('\n');
        for line in lines {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
    };
    let resources = definitions.resources();
    let mut all: Vec<_> = resources.clone();
    all.extend(definitions.datatypes());
    all.sort_unstable();
    for name in all {
        let kind = if resources.binary_search(&name).is_ok() {
            "resource"
        } else {
            "structure"
        };
        for (path, lines) in structures(definitions, name)? {
            let kind = if path == name { kind } else { "structure" };
            put(&format!("{kind} {path}"), &lines);
        }
    }
    for (t, lines) in params::lines(definitions)? {
        put(&format!("params {t}"), &lines);
    }
    for (name, lines) in compartments(definitions)? {
        put(&format!("compartment {name}"), &lines);
    }
    put("subjects", &subjects::lines(definitions)?);
    Ok(text)
}

/// The structures of one type, its own and its backbones', each with its element lines.
fn structures(definitions: &Definitions, of: &str) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    let mut all = BTreeMap::from([(of.to_owned(), Vec::new())]);
    let mut elements = definitions.elements(of);
    // by stem: the reader's lookups don't know `[x]`
    elements.sort_by_key(|e| e.name.trim_end_matches("[x]"));
    for element in elements {
        let (owner, name) = match element.name.rsplit_once('.') {
            Some((parent, name)) => (format!("{of}.{parent}"), name),
            None => (of.to_owned(), element.name),
        };
        let line = element_line(of, name, &element)?;
        all.entry(owner).or_default().push(line);
    }
    Ok(all)
}

fn element_line(of: &str, name: &str, element: &Defined<'_>) -> Result<String, Fault> {
    let path = format!("{of}.{}", element.name);
    let types = if let Some(target) = element.content_reference() {
        vec![target.to_owned()]
    } else if element.is_backbone() {
        vec![path.clone()]
    } else {
        element.types().iter().map(|t| (*t).to_owned()).collect()
    };
    if types.is_empty() || (types.len() > 1 && !element.is_choice()) {
        return Err(format!("`{path}` has {} types", types.len()));
    }
    if !matches!(element.max(), "1" | "*") || element.min() > 1 {
        return Err(format!("`{path}` has an unusual cardinality"));
    }
    let mut flags = String::new();
    flags.extend(element.modifier().then_some('m'));
    flags.extend(element.summary().then_some('s'));
    if flags.is_empty() {
        flags.push('-');
    }
    let (min, max) = (element.min(), element.max());
    let mut line = format!("{name} {min}..{max} {flags} {}", types.join(" "));
    line.push_str(&targets(&element.targets()));
    Ok(line)
}

/// ` -> A B`, or nothing.
pub fn targets(targets: &[&str]) -> String {
    let mut sorted = targets.to_vec();
    sorted.sort_unstable();
    if sorted.is_empty() {
        String::new()
    } else {
        format!(" -> {}", sorted.join(" "))
    }
}

/// Members by compartment; each parameter must be one of its type.
fn compartments(definitions: &Definitions) -> Result<Vec<(String, Vec<String>)>, Fault> {
    let mut all = Vec::new();
    for (name, members) in &definitions.compartments {
        let members = members.as_object().into_iter().flatten();
        let sorted: BTreeMap<&String, &Value> = members.collect();
        let mut lines = Vec::new();
        for (t, codes) in sorted {
            let mut line = t.clone();
            for code in strings(codes) {
                // the compartment's own resource, which the definition names so
                let code = if code == "{def}" { "_id" } else { code };
                if code != "_id" && definitions.params[t].get(code).is_none() {
                    return Err(format!(
                        "compartment `{name}`: `{t}` has no parameter `{code}`"
                    ));
                }
                line.push(' ');
                line.push_str(code);
            }
            lines.push(line);
        }
        all.push((name.clone(), lines));
    }
    all.sort();
    Ok(all)
}
