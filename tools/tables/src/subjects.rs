//! `subjects.txt`, checked against the definitions.

use std::collections::BTreeMap;

use crate::Fault;
use crate::definitions::Definitions;

/// One line for every concrete resource type: `Type rule`.
pub fn lines(definitions: &Definitions) -> Result<Vec<String>, Fault> {
    let mut rules = read(include_str!("../subjects.txt"))?;
    let mut lines = Vec::new();
    for t in definitions.resources() {
        let rule = rules.remove(t);
        let rule = rule.ok_or_else(|| format!("subjects.txt says nothing about `{t}`"))?;
        for path in rule.iter().filter(|word| !word.starts_with('!')) {
            check(definitions, t, path)?;
        }
        lines.push(format!("{t} {}", rule.join(" ")));
    }
    match rules.keys().next() {
        Some(t) => Err(format!(
            "subjects.txt names `{t}`, which isn't a resource type"
        )),
        None => Ok(lines),
    }
}

type Rules<'a> = BTreeMap<&'a str, Vec<&'a str>>;

fn read(text: &str) -> Result<Rules<'_>, Fault> {
    let mut rules = Rules::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(t) = words.next() else { continue };
        let rule: Vec<_> = words.collect();
        let known = match rule[..] {
            [] => false,
            ["!itself" | "!none" | "!undetermined"] => true,
            _ => !rule.iter().any(|word| word.starts_with('!')),
        };
        if !known {
            return Err(format!(
                "subjects.txt: no rule that is understood for `{t}`"
            ));
        }
        if rules.insert(t, rule).is_some() {
            return Err(format!("subjects.txt: `{t}` occurs twice"));
        }
    }
    Ok(rules)
}

fn check(definitions: &Definitions, t: &str, path: &str) -> Result<(), Fault> {
    let stems: Vec<_> = path.split('.').collect();
    let ends = definitions.walk(t, &stems);
    let names_patients = ends.iter().any(|e| {
        let targets = e.targets();
        let any = targets.is_empty() || targets.contains(&"Resource");
        e.types().contains(&"Reference") && (any || targets.contains(&"Patient"))
    });
    if names_patients {
        Ok(())
    } else {
        Err(format!(
            "subjects.txt: `{t}.{path}` isn't a reference to a Patient"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_understood_stops_the_generation() {
        for text in [
            "Patient",
            "Patient !nobody",
            "Patient !none subject",
            "A a\nA b",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let rules = read("# head\nA  x.y z # why\nB !none\n").unwrap();
        assert_eq!(rules["A"], ["x.y", "z"]);
        assert_eq!(rules["B"], ["!none"]);
    }
}
