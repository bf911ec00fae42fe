//! The specification's examples and the Synthea records through several packs: what leaves is what
//! the oracle says, and a view that hides nothing leaves every byte.
//!
//! They are read from `CHARTWARD_SHARED` (`../shared` beside the workspace); without them the tests
//! say so and pass, unless `CHARTWARD_REQUIRE=all`.

mod generate;
#[path = "../../tests/src/noted.rs"]
mod noted;
mod oracle;
mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chartward_rules::fhir::tables::r4;
use chartward_rules::pack::Program;
use generate::Dice;
use oracle::{Grant, Lists, Model, Oracle, Role};
use serde_json::Value;
use support::{Asked, ask, pack};

/// The folder of the data, or `None` said aloud.
fn data(of: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("CHARTWARD_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder = shared.join("data").join(of);
    if folder.is_dir() {
        return Some(folder);
    }
    noted::skip("the shared data (CHARTWARD_SHARED)");
    None
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    out.sort();
    out
}

struct Pack {
    name: &'static str,
    oracle: Oracle<'static>,
    program: Arc<Program>,
}

/// A role `r` for every type of the tables.
fn every_type(name: &'static str, lists: impl Fn(&str) -> Lists) -> Pack {
    let names = r4().resources().map(|t| r4().name(t));
    let grants = names.map(|t| Grant {
        on: vec![t.into()],
        can: vec!["read"],
        lists: lists(t),
        conditions: Vec::new(),
        sensitive: vec!["*".into()],
    });
    let model = Model {
        extensions: vec![
            "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race".into(),
            "ombCategory".into(),
            "http://hl7.org/fhir/StructureDefinition/patient-birthPlace".into(),
        ],
        classes: Vec::new(),
        roles: vec![Role {
            name: "r".into(),
            grants: grants.collect(),
        }],
    };
    let program = pack(&model.toml());
    // a handful for the whole process: they may live as long as it
    let (model, roles) = (
        Box::leak(Box::new(model)),
        Box::leak(Box::new(["r".into()])),
    );
    Pack {
        name,
        oracle: Oracle::new(model, roles, "read"),
        program,
    }
}

fn drawn(t: &str, seed: u64, show: bool) -> Vec<String> {
    let mut dice = Dice::seeded(seed, 1000);
    (0..4)
        .map(|_| generate::path(&mut dice, t, show))
        .filter(|p| show || !is_modifier(p))
        .collect()
}

fn is_modifier(path: &str) -> bool {
    let (name, path) = path.split_once('.').expect("a path");
    let stems: Vec<&str> = path.split('.').map(|s| s.trim_end_matches("[x]")).collect();
    let t = r4().resource(name).expect("a type");
    r4().walk(r4().root(t), &stems).iter().any(|e| e.modifier)
}

/// Every `step`th element of each type, modifiers apart.
fn some(name: &str, step: usize) -> Vec<String> {
    let s = r4().structure(r4().root(r4().resource(name).expect("a type")));
    let plain = s.elements.iter().filter(|e| {
        let known = ["id", "meta", "text", "extension", "contained"].contains(&e.name);
        !e.modifier && !known && (e.name != "url" || e.min == 0)
    });
    let choice = |choice: bool| if choice { "[x]" } else { "" };
    plain
        .step_by(step)
        .map(|e| format!("{name}.{}{}", e.name, choice(e.choice)))
        .collect()
}

fn packs() -> Vec<Pack> {
    vec![
        every_type("whole", |_| Lists::All),
        every_type("hides a third", |t| Lists::Hide(some(t, 3))),
        every_type("shows a half", |t| Lists::Show(some(t, 2))),
        every_type("hides anything", |t| match drawn(t, 1, false) {
            none if none.is_empty() => Lists::All,
            some => Lists::Hide(some),
        }),
        every_type("shows anything", |t| Lists::Show(drawn(t, 2, true))),
    ]
}

/// Whether the row left.
fn check(pack: &Pack, text: &str, origin: &str) -> bool {
    let row: Value = serde_json::from_str(text).expect("JSON");
    let (t, id) = (&row["resourceType"], &row["id"]);
    let (Some(t), Some(id)) = (t.as_str(), id.as_str()) else {
        panic!("{origin}: no type or id");
    };
    let expected = pack.oracle.row(&row).map(|row| row.to_string());
    match ask(&pack.program, "r", &format!("/{t}/{id}"), text) {
        Asked::Leaves(body) => {
            let left: Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(Some(left.to_string()), expected, "{origin}: {}", pack.name);
            if pack.name == "whole" && !["Bundle", "Parameters"].contains(&t) {
                assert_eq!(body, text.trim(), "{origin}");
            }
            true
        }
        Asked::Missing => {
            assert_eq!(expected, None, "{origin}: {}", pack.name);
            false
        }
        other => panic!("{origin}: {}: {other:?}", pack.name),
    }
}

#[test]
fn official_examples_leave_as_the_oracle_says() {
    let Some(folder) = data("fhir-examples/json") else {
        return;
    };
    let packs = packs();
    let mut left = vec![0; packs.len()];
    let files = files(&folder, "json");
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a file");
        for (pack, left) in packs.iter().zip(&mut left) {
            *left += usize::from(check(pack, &text, &path.display().to_string()));
        }
    }
    println!("{} examples, left: {left:?}", files.len());
    assert_eq!(left[0], files.len(), "a whole view withholds nothing");
    assert!(left.iter().all(|n| n * 2 > files.len()), "{left:?}");
}

#[test]
fn synthea_records_leave_as_the_oracle_says() {
    let packs = packs();
    for of in ["synthea/ndjson", "synthea/overlay"] {
        let Some(folder) = data(of) else {
            return;
        };
        let (mut rows, mut left) = (0, 0);
        for path in files(&folder, "ndjson") {
            let text = std::fs::read_to_string(&path).expect("a file");
            for line in text.lines().filter(|l| !l.is_empty()) {
                let origin = path.display().to_string();
                // each row under the whole view and, in turn, under one of the others
                left += usize::from(check(&packs[0], line, &origin));
                check(&packs[1 + rows % (packs.len() - 1)], line, &origin);
                rows += 1;
            }
        }
        println!("{of}: {rows} rows");
        assert!(rows > 0 && left == rows, "{left} of {rows}");
    }
}
