//! Promises of the tree that no compiler checks: arrows between rooms, sizes, what documents say.
//!
//! A finding is a line `file:line: what`; every test shows all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use chartward_rules::refusal::Reason;

/// Longer than this, and a file has more than one job.
const MOST_LINES: usize = 600;

/// Files that are longer, and how long they may be: one walk, one way from top to bottom.
const LONGER: [(&str, usize); 3] = [
    ("gateway/src/data/listen/tests.rs", 660),
    ("gateway/src/data/pipeline.rs", 740),
    ("rules/src/mask/row.rs", 740),
];

/// Shared by the stages of the data path; no stage itself.
const SHARED_BY_STAGES: [&str; 1] = ["pem"];

/// All that the rules may stand on.
const UNDER_RULES: [&str; 8] = [
    "annotate-snippets",
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
        for (line, text) in file.code() {
            for named in named_modules(&module, text) {
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
        for (line, text) in file.code() {
            for named in named_modules(&module, text) {
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

struct File {
    path: String,
    text: String,
}

impl File {
    /// Numbered lines without comments and without the file's own tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test_file = self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines
            .windows(2)
            .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_end().ends_with('{'))
            .unwrap_or(lines.len());
        let end = if is_test_file { 0 } else { tests };
        self.text
            .lines()
            .take(end)
            .enumerate()
            .filter(|(_, text)| !text.trim_start().starts_with("//"))
            .map(|(at, text)| (at + 1, text.split(" // ").next().unwrap_or(text)))
    }
}

/// The module path of a source file below `gateway/src`.
fn module_of(path: &str) -> Vec<String> {
    let below = path
        .trim_start_matches("gateway/src/")
        .trim_end_matches(".rs");
    let mut parts: Vec<String> = below.split('/').map(str::to_owned).collect();
    if parts
        .last()
        .is_some_and(|last| last == "mod" || last == "lib" || last == "main")
    {
        parts.pop();
    }
    parts
}

/// Modules of the crate that a line names, by `crate::` and by `super::`.
fn named_modules(module: &[String], text: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for (at, word) in text.match_indices("crate::") {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + word.len()..];
        match rest.strip_prefix('{') {
            Some(list) => out.extend(list.split(',').map(|item| path_of(item.trim()))),
            None => out.push(path_of(rest)),
        }
    }
    for (at, word) in text.match_indices("super::") {
        if text[..at].ends_with("super::") {
            continue;
        }
        let mut base = module.to_vec();
        base.pop();
        let mut rest = &text[at + word.len()..];
        while let Some(further) = rest.strip_prefix("super::") {
            base.pop();
            rest = further;
        }
        let items: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for item in items {
            let mut path = base.clone();
            path.extend(path_of(item));
            out.push(path);
        }
    }
    out.retain(|path| {
        path.first()
            .is_some_and(|first| first.starts_with(|c: char| c.is_lowercase()))
    });
    out
}

/// The names of `a::b::C`, up to what is no module.
fn path_of(text: &str) -> Vec<String> {
    text.split("::")
        .map(|part| {
            part.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        })
        .take_while(|part| part.starts_with(|c: char| c.is_lowercase()))
        .collect()
}

#[test]
fn module_names_are_read_as_rust_reads_them() {
    let module = module_of("gateway/src/data/identity/check.rs");
    assert_eq!(module, ["data", "identity", "check"]);
    assert_eq!(module_of("gateway/src/data/mod.rs"), ["data"]);
    for (text, expected) in [
        ("use crate::base::config::Config;", "base::config"),
        (
            "use crate::{base::clock, data::tls};",
            "base::clock data::tls",
        ),
        ("use super::fetch::Source;", "data::identity::fetch"),
        ("use super::super::tls;", "data::tls"),
        (
            "fn f(x: &crate::control::health::Health)",
            "control::health",
        ),
        ("use chartward_rules::proof::Raw;", ""),
        ("pub(crate) fn f()", ""),
    ] {
        let named: Vec<String> = named_modules(&module, text)
            .iter()
            .map(|n| n.join("::"))
            .collect();
        assert_eq!(named.join(" "), expected, "{text}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

fn rust_files(below: &str) -> Vec<File> {
    let found: Vec<File> = files(below, ".rs")
        .into_iter()
        .map(|path| File {
            text: read(&path),
            path,
        })
        .collect();
    assert!(!found.is_empty(), "no files below `{below}`");
    found
}

/// Files of the project below a folder, from its root, in order.
fn files(below: &str, ending: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name.starts_with('.') || name == "target" || name == "node_modules" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                let path = path.strip_prefix(root()).expect("below the root");
                out.push(path.to_string_lossy().into_owned());
            }
        }
    }
    out.sort();
    out
}

/// Names of the packages that a package is built with on this machine.
fn cargo_tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--prefix",
            "none",
            "--edges",
            "normal,build",
        ])
        .args(["--package", package])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
