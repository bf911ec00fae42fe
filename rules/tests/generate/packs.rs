//! Random packs over the types that resources are drawn from.

use chartward_rules::fhir::tables::{Element, ElementType, ParamKind, StructId, r4};

use super::Dice;
use super::resources::{CODES, TYPES, URLS};
use crate::oracle::{Grant, Lists, Model, Role};

pub fn model(dice: &mut Dice) -> Model {
    let mut model = Model::default();
    for url in URLS {
        if dice.chance(40) {
            model.extensions.push(url.into());
        }
    }
    let classes: [(&str, &[&str]); 3] = [
        ("behavioral-health", &["PSY", "MH"]),
        ("own", &["http://own|x", "VIO"]),
        ("restricted", &["R"]),
    ];
    for (name, labels) in classes {
        if dice.chance(50) {
            let labels = labels.iter().map(|l| (*l).into()).collect();
            model.classes.push((name.into(), labels));
        }
    }
    for name in ["a", "b", "c"] {
        let grants = (0..1 + dice.below(4))
            .map(|_| grant(dice, &model.classes))
            .collect();
        model.roles.push(Role {
            name: name.into(),
            grants,
        });
    }
    model
}

fn grant(dice: &mut Dice, classes: &[(String, Vec<String>)]) -> Grant {
    let mut on: Vec<String> = Vec::new();
    for _ in 0..1 + dice.below(5) {
        let name = dice.pick(&TYPES).to_owned();
        if !on.contains(&name) {
            on.push(name);
        }
    }
    let lists = match dice.below(10) {
        0..=1 => Lists::All,
        2..=4 => Lists::Show(
            on.iter()
                .flat_map(|t| {
                    (0..1 + dice.below(6))
                        .map(|_| path(dice, t, true))
                        .collect::<Vec<_>>()
                })
                .collect(),
        ),
        _ => {
            let some: Vec<String> = (0..1 + dice.below(6))
                .map(|_| {
                    let t = dice.pick(&on);
                    path(dice, &t, false)
                })
                .collect();
            Lists::Hide(some)
        }
    };
    let mut conditions = Vec::new();
    if dice.chance(25)
        && let [only] = on.as_slice()
    {
        conditions.extend(condition(dice, only));
    }
    let mut sensitive: Vec<String> = Vec::new();
    match dice.below(4) {
        0 => sensitive.push("*".into()),
        1 => sensitive.extend(classes.iter().map(|(name, _)| name.clone())),
        _ => {}
    }
    let can: &[&'static str] = match dice.below(6) {
        0 => &["read"],
        1 => &["search"],
        _ => &["read", "search"],
    };
    Grant {
        on,
        can: can.to_vec(),
        lists,
        conditions,
        sensitive,
    }
}

/// A path that a pack may write.
pub fn path(dice: &mut Dice, resource: &str, show: bool) -> String {
    loop {
        let t = r4().resource(resource).expect("a type");
        let mut text = resource.to_owned();
        let mut at: Vec<StructId> = vec![r4().root(t)];
        let mut bad = false;
        let mut depth = 0;
        loop {
            let s = dice.pick(&at);
            let elements: Vec<&Element> = r4()
                .structure(s)
                .elements
                .iter()
                .filter(|e| !show || !matches!(e.name, "extension" | "modifierExtension"))
                .collect();
            let element = dice.pick(&elements);
            text += &format!(
                ".{}{}",
                element.name,
                if element.choice { "[x]" } else { "" }
            );
            let narrative = element
                .types
                .iter()
                .any(|t| r4().type_name(*t) == "Narrative");
            bad |= show && narrative;
            at = element
                .types
                .iter()
                .filter_map(|t| match t {
                    ElementType::Complex(s) => Some(*s),
                    _ => None,
                })
                .collect();
            depth += 1;
            if at.is_empty() || depth == 4 || !dice.chance(45) {
                break;
            }
        }
        let always = ["id", "meta", "meta.versionId", "meta.lastUpdated"];
        bad |= !show && always.contains(&&text[resource.len() + 1..]);
        if !bad {
            return text;
        }
        // numbers that are used up give the first element for ever
        if depth == 1 && dice.below(2) == 0 && dice.below(2) == 0 {
            return format!("{resource}.implicitRules");
        }
    }
}

/// A condition that rows can be judged by.
fn condition(dice: &mut Dice, resource: &str) -> Option<String> {
    let t = r4().resource(resource)?;
    let can = |name: &str| {
        matches!(
            name,
            "Coding" | "CodeableConcept" | "Identifier" | "code" | "boolean"
        )
    };
    let params: Vec<_> = r4()
        .params(t)
        .iter()
        .filter(|p| p.kind == ParamKind::Token && !p.code.starts_with('_') && !p.paths.is_empty())
        .filter(|p| {
            p.paths.iter().all(|path| {
                let plain = path.filter.is_none()
                    && path.resolves_to.is_none()
                    && path.function.is_none()
                    && !path.elements.contains(&"extension");
                let ends = r4().walk(r4().root(t), &path.elements);
                let mut types = ends
                    .iter()
                    .flat_map(|e| &e.types)
                    .filter(|t| path.cast.is_none_or(|cast| cast == r4().type_name(**t)));
                plain && !ends.is_empty() && types.all(|t| can(r4().type_name(*t)))
            })
        })
        .collect();
    if params.is_empty() {
        return None;
    }
    let param = dice.pick(&params);
    let plain = param.paths.iter().any(|path| {
        let ends = r4().walk(r4().root(t), &path.elements);
        ends.iter()
            .flat_map(|e| &e.types)
            .any(|t| matches!(r4().type_name(*t), "code" | "boolean"))
    });
    let code = dice.pick(&CODES);
    let value = match dice.below(4) {
        0 if !plain => format!("http://sys|{code}"),
        1 if !plain => "http://sys|".to_owned(),
        2 => format!("{code},final,true"),
        _ => code.to_owned(),
    };
    Some(format!("{}={value}", param.code))
}
