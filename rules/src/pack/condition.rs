//! `where`: conditions on rows in FHIR's search syntax, over token parameters. They go upstream
//! as a narrowing and are evaluated on every row that comes back.

use super::Wrong;
use crate::fhir::tables::{
    Element, ElementType, Param, ParamKind, ParamPath, StructId, Tables, TypeId,
};
use crate::mask::probe::{Finding, Probe, by_object, of_object};
use crate::mask::row::slot;

/// One `param=value[,value]`.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// As written, for the upstream: parameter and value.
    pub(crate) param: &'static str,
    pub(crate) value: Box<str>,
    places: Vec<Place>,
    wanted: Vec<Token>,
}

/// Where a token stands in a row, as JSON keys.
#[derive(Debug, Clone)]
struct Place {
    value: Vec<String>,
    system: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    /// `None`: any system; `Some("")`: no system.
    system: Option<Box<str>>,
    /// Empty: any code of the system.
    code: Box<str>,
}

impl Condition {
    /// Compiles `param=value` for one type, or says why it can't be evaluated on rows.
    pub(crate) fn compile(
        tables: &'static Tables,
        resource: TypeId,
        name: &str,
        value: &str,
    ) -> Result<Self, Wrong> {
        let type_name = tables.name(resource);
        if name.contains([':', '.']) {
            return Err(Wrong::new(format!(
                "`{name}`: modifiers and chains are not allowed in `where`"
            )));
        }
        let Some(param) = tables.param(resource, name) else {
            let known = tables.params(resource).iter().map(|p| p.code);
            return Err(Wrong::with_nearest(
                format!("`{type_name}` has no search parameter `{name}`"),
                name,
                known,
            ));
        };
        if param.kind != ParamKind::Token {
            return Err(Wrong::new(format!(
                "`{name}` of `{type_name}` is not a token parameter; `where` takes no others in this version"
            )));
        }
        let wanted = tokens(value).map_err(|why| Wrong::new(format!("`{name}` {why}")))?;
        let places = places(tables, resource, param).ok_or_else(|| {
            Wrong::new(format!(
                "`{name}` of `{type_name}` can't be evaluated on rows by this version"
            ))
        })?;
        if wanted.iter().any(|t| t.system.is_some()) && places.iter().any(|p| p.system.is_none()) {
            return Err(Wrong::with_help(
                format!("`{name}` of `{type_name}` has no system"),
                "write the code alone, without `|`",
            ));
        }
        Ok(Self {
            param: param.code,
            value: value.into(),
            places,
            wanted,
        })
    }

    /// Has what the condition reads collected under `question`.
    pub(crate) fn collect(&self, probe: &mut Probe, question: u16) {
        for place in &self.places {
            let keys: Vec<&str> = place.value.iter().map(String::as_str).collect();
            probe.collect(&keys, slot(question, 0));
            if let Some(system) = &place.system {
                let keys: Vec<&str> = system.iter().map(String::as_str).collect();
                probe.collect(&keys, slot(question, 1));
            }
        }
    }

    /// Whether a row with these findings meets the condition.
    pub(crate) fn holds(&self, findings: &[Finding<'_>], question: u16) -> bool {
        let part = |part: u8| {
            let of = |f: &&Finding<'_>| f.slot.question == question && f.slot.part == part;
            by_object(findings.iter().filter(of))
        };
        let (values, systems) = (part(0), part(1));
        let by_value = values.iter().any(|(object, text)| {
            let system = of_object(&systems, *object).first().map(|(_, text)| *text);
            self.wanted
                .iter()
                .any(|token| (token.code.is_empty() || *token.code == **text) && token.fits(system))
        });
        // `system|` asks for any code, an absent one too
        by_value
            || systems.iter().any(|(object, text)| {
                of_object(&values, *object).is_empty()
                    && self
                        .wanted
                        .iter()
                        .any(|t| t.code.is_empty() && t.fits(Some(text)))
            })
    }
}

impl Token {
    fn fits(&self, system: Option<&str>) -> bool {
        match self.system.as_deref() {
            None => true,
            Some("") => system.is_none_or(str::is_empty),
            Some(wanted) => system == Some(wanted),
        }
    }
}

/// `system|code,code`: comma is "or", `\` escapes `,`, `|`, `$` and itself.
fn tokens(value: &str) -> Result<Vec<Token>, &'static str> {
    let mut out = Vec::new();
    let (mut system, mut text) = (None::<String>, String::new());
    let mut chars = value.chars();
    let mut push = |system: &mut Option<String>, text: &mut String| {
        let code = std::mem::take(text);
        let system = system.take();
        if code.is_empty() && system.as_deref().is_none_or(str::is_empty) {
            return Err("has an empty value");
        }
        out.push(Token {
            system: system.map(Into::into),
            code: code.into(),
        });
        Ok(())
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().ok_or("ends in a lone `\\`")?),
            ',' => push(&mut system, &mut text)?,
            '|' if system.is_none() => system = Some(std::mem::take(&mut text)),
            '|' => return Err("has more than one `|` in a value"),
            c => text.push(c),
        }
    }
    push(&mut system, &mut text)?;
    Ok(out)
}

fn places(tables: &'static Tables, resource: TypeId, param: &Param) -> Option<Vec<Place>> {
    let mut out = Vec::new();
    for path in &param.paths {
        if path.filter.is_some() || path.resolves_to.is_some() || path.function.is_some() {
            return None;
        }
        let at = vec![(tables.root(resource), Vec::new())];
        descend(tables, path, 0, at, &mut out)?;
    }
    (!out.is_empty()).then_some(out)
}

fn descend(
    tables: &'static Tables,
    path: &ParamPath,
    depth: usize,
    at: Vec<(StructId, Vec<String>)>,
    out: &mut Vec<Place>,
) -> Option<()> {
    let stem = path.elements.get(depth)?;
    let last = depth + 1 == path.elements.len();
    let mut next = Vec::new();
    for (structure, keys) in at {
        let Some(element): Option<&Element> = tables.structure(structure).element(stem) else {
            continue;
        };
        for (key, t) in tables.json_keys(element) {
            if element.choice && path.cast.is_some_and(|cast| cast != tables.type_name(*t)) {
                continue;
            }
            let mut keys = keys.clone();
            keys.push(key);
            match t {
                _ if last => out.push(place(tables, *t, keys)?),
                ElementType::Complex(s) => next.push((*s, keys)),
                _ => return None,
            }
        }
    }
    if last {
        Some(())
    } else {
        descend(tables, path, depth + 1, next, out)
    }
}

fn place(tables: &Tables, t: ElementType, keys: Vec<String>) -> Option<Place> {
    let with = |more: &[&str]| {
        keys.iter()
            .cloned()
            .chain(more.iter().map(|k| (*k).to_owned()))
            .collect()
    };
    Some(match tables.type_name(t) {
        "Coding" => Place {
            value: with(&["code"]),
            system: Some(with(&["system"])),
        },
        "CodeableConcept" => Place {
            value: with(&["coding", "code"]),
            system: Some(with(&["coding", "system"])),
        },
        "Identifier" => Place {
            value: with(&["value"]),
            system: Some(with(&["system"])),
        },
        "code" | "boolean" | "id" | "string" | "uri" | "canonical" => Place {
            value: keys,
            system: None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_with_escapes() {
        let token = |system: Option<&str>, code: &str| Token {
            system: system.map(Into::into),
            code: code.into(),
        };
        assert_eq!(tokens("a,b").unwrap(), [token(None, "a"), token(None, "b")]);
        assert_eq!(
            tokens("http://x|a,|b,http://x|").unwrap(),
            [
                token(Some("http://x"), "a"),
                token(Some(""), "b"),
                token(Some("http://x"), "")
            ]
        );
        assert_eq!(tokens(r"a\,b\|c\\").unwrap(), [token(None, r"a,b|c\")]);
        assert!(tokens("a|b|c").is_err());
        assert!(tokens("|").is_err());
    }
}
