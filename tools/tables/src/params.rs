//! Search parameters as paths. What can't be reduced exactly is mapped to more than it reads, never less.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Fault;
use crate::definitions::{Definitions, join, strings};
use crate::write::targets;

/// Parameters whose expression isn't a plain path, and the paths that they read at most.
/// `.` is the whole resource.
const BY_HAND: &[(&str, &str, &[&str])] = &[
    ("Bundle", "composition", &["entry.resource"]),
    ("Bundle", "message", &["entry.resource"]),
    ("Device", "din", &["extension"]),
    ("DiagnosticReport", "assessed-condition", &["extension"]),
    ("Observation", "amino-acid-change", &["extension"]),
    ("Observation", "dna-variant", &["extension"]),
    ("Observation", "gene-amino-acid-change", &["extension"]),
    ("Observation", "gene-dnavariant", &["extension"]),
    ("Observation", "gene-identifier", &["extension"]),
    // no expression: an age is reckoned from these
    ("Patient", "age", &["birthDate", "deceased"]),
    ("Patient", "birthOrderBoolean", &["multipleBirth"]),
    ("Patient", "deceased", &["deceased(fn=exists)"]),
    ("Patient", "mothersMaidenName", &["extension"]),
    // the definition's expression is another type's: nobody knows what a server reads
    ("Patient", "part-agree", &["."]),
    // items by an extension of theirs, and their answers; servers differ in how deep they look
    ("QuestionnaireResponse", "item-subject", &["item"]),
];

/// Parameters that search in ways no path describes.
const PATHLESS: &[&str] = &["_content", "_filter", "_query", "_text"];

/// For each type with parameters of its own, its lines.
pub fn lines(definitions: &Definitions) -> Result<Vec<(String, Vec<String>)>, Fault> {
    let mut unused: BTreeSet<_> = BY_HAND.iter().map(|(t, code, _)| (*t, *code)).collect();
    let mut all = Vec::new();
    for (t, params) in &definitions.params {
        let params = params.as_object().ok_or("parameters aren't an object")?;
        let mut sorted: Vec<_> = params.iter().collect();
        sorted.sort_by_key(|(code, _)| *code);
        let mut lines = Vec::new();
        for (code, param) in sorted {
            unused.remove(&(t.as_str(), code.as_str()));
            let one = Reducer { definitions, t };
            let made = one.param(code, param);
            lines.extend(made.map_err(|fault| format!("`{t}.{code}`: {fault}"))?);
        }
        all.push((t.clone(), lines));
    }
    if let Some((t, code)) = unused.first() {
        return Err(format!("`{t}.{code}` is mapped by hand but not defined"));
    }
    all.sort();
    Ok(all)
}

struct Reducer<'a> {
    definitions: &'a Definitions,
    t: &'a str,
}

impl Reducer<'_> {
    /// The parameter's line, then one for each component.
    fn param(&self, code: &str, param: &Value) -> Result<Vec<String>, Fault> {
        if PATHLESS.contains(&code) {
            return Ok(vec![format!("{code} special")]);
        }
        let kind = param["type"].as_str().ok_or("no type")?;
        let by_hand = BY_HAND.iter().find(|h| h.0 == self.t && h.1 == code);
        let mut parts = Vec::new();
        let paths = if let Some((_, _, paths)) = by_hand {
            paths.iter().map(|p| (*p).to_owned()).collect()
        } else if kind == "composite" {
            parts = self.components(param)?;
            let mut union: Vec<String> = Vec::new();
            for path in parts.iter().flat_map(|(_, paths)| paths) {
                if !union.contains(path) {
                    union.push(path.clone());
                }
            }
            union
        } else {
            let paths = param["paths"].as_array().ok_or("no paths")?;
            let read = paths.iter().map(|p| self.path(p));
            read.collect::<Result<Vec<_>, _>>()?
        };
        if paths.is_empty() {
            return Err("no path, and not mapped by hand".into());
        }
        for path in &paths {
            self.check(path)?;
        }
        let mut to = strings(&param["target"]);
        let all = self.definitions.resources();
        // no reference leads to Parameters, so the definitions leave it out of "any"
        if all.iter().all(|t| *t == "Parameters" || to.contains(t)) {
            to = vec!["Resource"];
        }
        let to = targets(&to);
        let mut lines = vec![format!("{code} {kind} {}{to}", paths.join(" "))];
        for (code, paths) in parts {
            lines.push(format!("  {code} {}", paths.join(" ")));
        }
        Ok(lines)
    }

    /// One entry of `paths`: a plain path with at most a cast, a filter or a target type.
    fn path(&self, entry: &Value) -> Result<String, Fault> {
        let fields = entry.as_object().ok_or("path isn't an object")?;
        let plain = |k: &String| matches!(k.as_str(), "path" | "cast" | "where" | "resolveIs");
        let path = entry["path"].as_str().filter(|p| !p.is_empty());
        let path = path.filter(|_| fields.keys().all(plain));
        let path = path.ok_or("not a plain path, and not mapped by hand")?;
        let mut text = path.to_owned();
        if let Some(cast) = entry["cast"].as_str() {
            text.push_str(&self.cast(path, cast)?);
        }
        if let Some(filter) = entry["where"].as_str() {
            let (name, value) = filter.split_once('=').ok_or("filter isn't an equation")?;
            let value = value.trim_matches('\'');
            let depth = self.filter_depth(path, name)?;
            text.push_str(&format!("({depth}:{name}={value})"));
        }
        if let Some(t) = entry["resolveIs"].as_str() {
            text.push_str(&format!("(is={t})"));
        }
        Ok(text)
    }

    /// The parts of a composite: parameter code and paths from the root.
    fn components(&self, param: &Value) -> Result<Vec<(String, Vec<String>)>, Fault> {
        let bases = param["paths"].as_array().ok_or("no paths")?;
        let components = param["component"].as_array().ok_or("no components")?;
        let mut parts = Vec::new();
        for component in components {
            let expression = component["expression"].as_str().ok_or("no expression")?;
            let mut paths: Vec<String> = Vec::new();
            for base in bases {
                let base = base["path"].as_str().ok_or("base isn't a plain path")?;
                for term in expression.split(" | ") {
                    let path = self.component_path(base, term)?;
                    if !paths.contains(&path) {
                        paths.push(path);
                    }
                }
            }
            let definition = component["definition"].as_str().ok_or("no definition")?;
            parts.push((self.component_code(definition)?, paths));
        }
        Ok(parts)
    }

    /// A component's expression below its base; the whole resource where it can't be reduced.
    fn component_path(&self, base: &str, term: &str) -> Result<String, Fault> {
        let (base, term) = match term.strip_prefix("%resource.") {
            Some(from_root) => ("", from_root),
            None => (base, term),
        };
        let (path, cast) = match term.split_once(".as(") {
            Some((path, cast)) => (path, cast.strip_suffix(')')),
            None => (term, None),
        };
        let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if !is_plain || (cast.is_none() && path != term) {
            return Ok(".".into());
        }
        let path = join(base, path);
        let note = cast.map(|cast| self.cast(&path, cast)).transpose()?;
        Ok(path + &note.unwrap_or_default())
    }

    /// The definition's id is `Type-code`, `clinical-code` or `conformance-code`.
    fn component_code(&self, definition: &str) -> Result<String, Fault> {
        let code = definition
            .split_once('-')
            .map_or(definition, |(_, code)| code);
        match self.definitions.params[self.t].get(code) {
            Some(_) => Ok(code.to_owned()),
            None => Err(format!("component `{definition}` isn't a parameter")),
        }
    }

    /// `(as=Type)` in the spelling of the one choice element that the path passes.
    fn cast(&self, path: &str, cast: &str) -> Result<String, Fault> {
        let stems: Vec<_> = path.split('.').collect();
        let mut choices = (1..=stems.len())
            .flat_map(|n| self.definitions.walk(self.t, &stems[..n]))
            .filter(|e| e.types().len() > 1);
        let (Some(choice), None) = (choices.next(), choices.next()) else {
            return Err(format!("a cast, but not one choice on `{path}`"));
        };
        let types = choice.types();
        let found = types.iter().find(|t| t.eq_ignore_ascii_case(cast));
        let found = found.ok_or_else(|| format!("`{path}` is never a `{cast}`"))?;
        Ok(format!("(as={found})"))
    }

    /// How many elements lead to the object whose element the filter compares: the deepest that has it.
    fn filter_depth(&self, path: &str, name: &str) -> Result<usize, Fault> {
        let stems: Vec<_> = path.split('.').collect();
        let has = |depth: &usize| {
            let mut to = stems[..*depth].to_vec();
            to.push(name);
            !self.definitions.walk(self.t, &to).is_empty()
        };
        let depth = (1..=stems.len()).rev().find(has);
        depth.ok_or_else(|| format!("nothing on `{path}` has `{name}`"))
    }

    fn check(&self, path: &str) -> Result<(), Fault> {
        let plain = path.split('(').next().unwrap_or_default();
        let stems: Vec<_> = plain.split('.').collect();
        // parameters of Resource are of every resource: any concrete type will do
        let t = match self.t {
            "Resource" | "DomainResource" => "Patient",
            t => t,
        };
        if plain == "." || !self.definitions.walk(t, &stems).is_empty() {
            Ok(())
        } else {
            Err(format!("`{plain}` leads nowhere"))
        }
    }
}
