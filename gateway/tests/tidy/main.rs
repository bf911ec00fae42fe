//! Promises of the tree that no compiler checks: arrows between rooms, sizes, what documents say.
//!
//! A finding is a line `file:line: what`; every test shows all of them.

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chartward_rules::refusal::Reason;
use tree::{
    assert_none, cargo_tree, files, module_of, named_modules, numbered, read, root, rust_files,
};

/// Longer than this, and a file has more than one job.
const MOST_LINES: usize = 600;

/// Files that are longer, and how long they may be: one walk, one way from top to bottom.
const LONGER: [(&str, usize); 2] = [
    ("gateway/src/data/listen/tests.rs", 660),
    ("rules/tests/attacks.rs", 660),
];

/// Shared by the stages of the data path; no stage itself.
const SHARED_BY_STAGES: [&str; 1] = ["pem"];

/// All that the rules may stand on.
const UNDER_RULES: [&str; 10] = [
    "annotate-snippets",
    "base64",
    "json-patch",
    "bytes",
    "memchr",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "toml",
];

#[test]
fn rooms_of_the_gateway_import_only_what_they_may() {
    let mut found = Vec::new();
    for file in rust_files("gateway/src") {
        let module = module_of(&file.path);
        let Some(room) = module.first().map(String::as_str) else {
            continue;
        };
        let allowed: &[&str] = match room {
            "base" => &["base"],
            "data" => &["data", "base"],
            "control" => &["control", "base"],
            _ => continue,
        };
        for (line, text) in file.statements() {
            for named in named_modules(&module, &text) {
                if !allowed.contains(&named[0].as_str()) {
                    found.push(format!(
                        "{}:{line}: `{room}` names `{}`",
                        file.path,
                        named.join("::")
                    ));
                }
            }
            for outside in ["chartward_certs", "chartward_sandbox"] {
                if text.contains(outside) {
                    found.push(format!("{}:{line}: `{room}` names `{outside}`", file.path));
                }
            }
        }
    }
    assert_none(found);
}

#[test]
fn only_the_pipeline_knows_the_stages() {
    let mut found = Vec::new();
    for file in rust_files("gateway/src/data") {
        let module = module_of(&file.path);
        let Some(stage) = module.get(1) else { continue };
        if stage == "pipeline" {
            continue;
        }
        for (line, text) in file.statements() {
            for named in named_modules(&module, &text) {
                let other = named.get(1).filter(|_| named[0] == "data");
                if other.is_some_and(|other| {
                    other != stage && !SHARED_BY_STAGES.contains(&other.as_str())
                }) {
                    found.push(format!(
                        "{}:{line}: names `{}`",
                        file.path,
                        named.join("::")
                    ));
                }
            }
        }
    }
    assert_none(found);
}

#[test]
fn the_rules_have_no_clock_file_socket_or_log() {
    let forbidden = [
        "tokio",
        "std::fs",
        "std::io",
        "std::process",
        "std::thread",
        "std::env",
        "SystemTime",
        "Instant",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "println!",
        "eprintln!",
        "dbg!",
        "tracing",
        "thread_rng",
        "getrandom",
        "unsafe ",
    ];
    let mut found = Vec::new();
    for file in rust_files("rules/src") {
        for (line, text) in file.code() {
            for word in forbidden.iter().filter(|word| text.contains(**word)) {
                found.push(format!("{}:{line}: `{word}`", file.path));
            }
        }
    }
    assert_none(found);
}

#[test]
fn the_rules_stand_on_little() {
    let manifest: toml::Table = read("rules/Cargo.toml").parse().expect("a manifest");
    let names: BTreeSet<&str> = manifest["dependencies"]
        .as_table()
        .expect("a table")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, BTreeSet::from(UNDER_RULES));
    let tree = cargo_tree("chartward-rules");
    for runtime in ["tokio", "mio", "hyper", "rustls", "tracing"] {
        assert!(!tree.contains(runtime), "the rules stand on `{runtime}`");
    }
}

/// One crypto provider, aws-lc; two would be two to audit.
#[test]
fn the_gateway_has_one_crypto_provider() {
    let tree = cargo_tree("chartward");
    assert!(
        tree.contains("aws-lc-rs"),
        "this test looks at the wrong tree"
    );
    for other in ["ring", "openssl", "openssl-sys", "native-tls"] {
        assert!(!tree.contains(other), "the gateway stands on `{other}`");
    }
}

#[test]
fn every_dependency_is_declared_once_with_what_it_is_for() {
    let mut found = Vec::new();
    let (mut inside, mut explained) = (false, false);
    for (line, text) in numbered(&read("Cargo.toml")) {
        match text.trim() {
            "" => explained = false,
            header if header.starts_with('[') => {
                (inside, explained) = (header == "[workspace.dependencies]", false);
            }
            comment if comment.starts_with('#') => explained = true,
            _ if inside && !explained => {
                found.push(format!("Cargo.toml:{line}: no comment above: {text}"))
            }
            _ => {}
        }
    }
    for path in files("", "Cargo.toml")
        .into_iter()
        .filter(|p| p != "Cargo.toml")
    {
        let manifest: toml::Table = read(&path).parse().expect("a manifest");
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in manifest
                .get(table)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flatten()
            {
                if value.get("workspace").is_none() {
                    found.push(format!("{path}: `{name}` isn't the workspace's"));
                }
            }
        }
    }
    assert_none(found);
}

#[test]
fn files_are_not_long() {
    let mut found = Vec::new();
    for file in rust_files("") {
        let longer = LONGER.iter().find(|(path, _)| *path == file.path);
        let most = longer.map_or(MOST_LINES, |(_, most)| *most);
        let lines = file.text.lines().count();
        if lines > most {
            found.push(format!("{}: {lines} lines, at most {most}", file.path));
        }
        if longer.is_some() && lines <= MOST_LINES {
            found.push(format!("{}: no longer an exception", file.path));
        }
    }
    assert_none(found);
}

/// What a request can reach doesn't panic.
#[test]
fn the_request_path_never_unwraps() {
    let forbidden = [
        ".unwrap()",
        ".expect(",
        ".unwrap_err(",
        ".expect_err(",
        "panic!(",
        "unreachable!(",
        "assert!(",
    ];
    let mut found = Vec::new();
    for room in ["rules/src", "gateway/src/data"] {
        for file in rust_files(room) {
            for (line, text) in file.code() {
                let debug_only = text.contains("debug_assert!(");
                for word in forbidden
                    .iter()
                    .filter(|word| text.contains(**word) && !debug_only)
                {
                    found.push(format!("{}:{line}: `{word}`", file.path));
                }
            }
        }
    }
    assert_none(found);
}

#[test]
fn nothing_is_left_for_later_in_the_text() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let mut found = Vec::new();
    for ending in [".rs", ".toml", ".md"] {
        for path in files("", ending) {
            for (line, text) in numbered(&read(&path)) {
                for mark in marks.iter().filter(|mark| text.contains(**mark)) {
                    found.push(format!("{path}:{line}: `{mark}`"));
                }
            }
        }
    }
    assert_none(found);
}

#[test]
fn every_reason_is_documented_with_its_status() {
    let text = read("docs/decisions.md");
    let mut found = Vec::new();
    for reason in Reason::ALL {
        let (code, status) = (format!("`{}`", reason.code()), reason.status().to_string());
        let mut rows = text.lines().filter(|l| l.starts_with('|'));
        if !rows.any(|row| row.contains(&code) && row.contains(&status)) {
            found.push(format!(
                "docs/decisions.md: no row with {code} and {status}"
            ));
        }
    }
    for number in 1..=33 {
        if !text.contains(&format!("**D{number}**")) {
            found.push(format!("docs/decisions.md: no rule D{number}"));
        }
    }
    assert_none(found);
}

/// Links, and paths in backticks, lead to something.
#[test]
fn documents_name_files_that_exist() {
    let mut found = Vec::new();
    for path in files("", ".md") {
        let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
        for (line, text) in numbered(&read(&path)) {
            for link in text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let file = link.split('#').next().unwrap_or("");
                if !link.contains("://")
                    && !file.is_empty()
                    && !root().join(folder).join(file).exists()
                {
                    found.push(format!("{path}:{line}: no file for the link `{link}`"));
                }
            }
            for quoted in text.split('`').skip(1).step_by(2) {
                let quoted = quoted.split("::").next().unwrap_or("");
                let top = quoted.split('/').next().unwrap_or("");
                let is_path = quoted.contains('/')
                    && !quoted.contains([' ', '*', '{', '<', '='])
                    && [
                        "rules", "gateway", "certs", "sandbox", "benches", "tests", "tools", "docs",
                    ]
                    .contains(&top);
                if is_path && !root().join(quoted).exists() {
                    found.push(format!("{path}:{line}: no file `{quoted}`"));
                }
            }
        }
    }
    assert_none(found);
}

/// A defence counts only with the test that shows it.
#[test]
fn every_known_attack_names_its_tests() {
    let mut tests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files("") {
        for name in file
            .text
            .split("fn ")
            .skip(1)
            .filter_map(|rest| rest.split('(').next())
        {
            tests
                .entry(file.path.clone())
                .or_default()
                .insert(name.to_owned());
        }
    }
    let (mut found, mut rows) = (Vec::new(), 0);
    for (line, text) in numbered(&read("docs/known-attacks.md")) {
        let cells: Vec<&str> = text.trim().trim_matches('|').split(" | ").collect();
        let is_row = text.starts_with('|')
            && cells.len() == 3
            && !text.starts_with("|---")
            && !text.contains("| Test");
        if !is_row {
            continue;
        }
        rows += 1;
        let mut names = 0;
        for quoted in cells[2].split('`').skip(1).step_by(2) {
            let (path, test) = quoted.split_once("::").unwrap_or((quoted, ""));
            names += 1;
            if !tests.get(path).is_some_and(|known| known.contains(test)) {
                found.push(format!("docs/known-attacks.md:{line}: no test `{quoted}`"));
            }
        }
        if names == 0 {
            found.push(format!("docs/known-attacks.md:{line}: names no test"));
        }
    }
    assert!(rows > 20, "only {rows} rows were understood");
    assert_none(found);
}
