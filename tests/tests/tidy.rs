//! The arrows of ARCHITECTURE.md: who may use whom, by `cargo metadata` and a scan of the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chartward_tests::process::output;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The ordinary dependencies of a crate of the workspace.
fn dependencies(name: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root());
    let metadata: Value =
        serde_json::from_str(&output("cargo metadata", &mut cargo)).expect("JSON");
    let package = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == name))
        .unwrap_or_else(|| panic!("no crate `{name}`"));
    package["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Rust sources below a folder with their paths from it, tests aside.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let relative = path
                    .strip_prefix(folder)
                    .expect("below")
                    .display()
                    .to_string();
                let text = fs::read_to_string(&path).expect("a source");
                found.push((relative, code(&text)));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {}", folder.display());
    found
}

/// A source without comments and without its tests, which come last.
fn code(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Sources that mention one of the words.
fn mention(sources: &[(String, String)], words: &[&str]) -> Vec<String> {
    sources
        .iter()
        .flat_map(|(path, text)| {
            words
                .iter()
                .filter(|word| text.contains(**word))
                .map(move |word| format!("{path} mentions `{word}`"))
        })
        .collect()
}

const NONE: [String; 0] = [];

#[test]
fn the_rules_are_pure() {
    let allowed = [
        "annotate-snippets",
        "base64",
        "bytes",
        "memchr",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "time",
        "toml",
    ];
    let others: Vec<String> = dependencies("chartward-rules")
        .into_iter()
        .filter(|name| !allowed.contains(&name.as_str()))
        .collect();
    assert_eq!(others, NONE, "the rules depend on more than data formats");
    let sources = sources(&root().join("rules/src"));
    let impure = [
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "std::process",
        "std::thread",
        "std::env",
        "SystemTime",
        "Instant",
        "println!",
        "tracing::",
        "now_utc",
    ];
    assert_eq!(mention(&sources, &impure), NONE);
}

#[test]
fn crates_use_each_other_one_way() {
    for (name, own) in [
        ("chartward-rules", &[][..]),
        ("chartward-certs", &[]),
        ("chartward-sandbox", &[]),
        (
            "chartward",
            &["chartward-certs", "chartward-rules", "chartward-sandbox"],
        ),
        (
            "chartward-tests",
            &["chartward-certs", "chartward-rules", "chartward-sandbox"],
        ),
    ] {
        let others: Vec<String> = dependencies(name)
            .into_iter()
            .filter(|dependency| {
                dependency.starts_with("chartward") && !own.contains(&dependency.as_str())
            })
            .collect();
        assert_eq!(others, NONE, "of `{name}`");
    }
    let sources = sources(&root().join("gateway/src"));
    let (_, rest): (Vec<_>, Vec<_>) = sources
        .into_iter()
        .partition(|(path, _)| path.starts_with("cli/"));
    assert_eq!(
        mention(&rest, &["chartward_certs", "chartward_sandbox"]),
        NONE,
        "only the command line may"
    );
}

#[test]
fn rooms_of_the_gateway_use_each_other_one_way() {
    let sources = sources(&root().join("gateway/src"));
    let room = |prefix: &str| -> Vec<(String, String)> {
        sources
            .iter()
            .filter(|(path, _)| path.starts_with(prefix))
            .cloned()
            .collect()
    };
    for (prefix, never) in [
        (
            "base/",
            &["crate::data", "crate::control", "crate::app", "crate::cli"][..],
        ),
        ("data/", &["crate::control", "crate::app", "crate::cli"]),
        ("control/", &["crate::data", "crate::app", "crate::cli"]),
    ] {
        let room = room(prefix);
        assert!(!room.is_empty(), "no room `{prefix}`");
        assert_eq!(mention(&room, never), NONE);
    }
}

#[test]
fn only_the_pipeline_knows_the_stages() {
    let stages = [
        "gate", "http", "identity", "listen", "pages", "tls", "upstream",
    ];
    let data = sources(&root().join("gateway/src/data"));
    for stage in stages {
        assert!(
            data.iter().any(|(path, _)| path == &format!("{stage}.rs")
                || path.starts_with(&format!("{stage}/"))),
            "no stage `{stage}`"
        );
        for (path, text) in &data {
            let own = path.split(['/', '.']).next().unwrap_or_default();
            if own == stage || ["pipeline", "mod"].contains(&own) {
                continue;
            }
            let up = if path.contains('/') {
                "super::super::"
            } else {
                "super::"
            };
            for word in [format!("crate::data::{stage}"), format!("{up}{stage}")] {
                assert!(!text.contains(&word), "{path} uses the stage `{stage}`");
            }
        }
    }
}

#[test]
fn a_file_is_not_a_book() {
    for folder in [
        "rules/src",
        "gateway/src",
        "certs/src",
        "sandbox/src",
        "tests/src",
        "benches/src",
    ] {
        for (path, text) in sources(&root().join(folder)) {
            let lines = text.lines().count();
            assert!(
                lines <= 700 || path.contains("tables"),
                "{folder}/{path} has {lines} lines of code: split it"
            );
        }
    }
}
