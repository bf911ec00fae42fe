//! The tree as the checks see it: files, the code in them, the modules that code names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A source file, by its path from the project's root.
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    /// Numbered lines without comments and without the file's own tests.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test_file = ["/tests/", "/tests.rs", "/testing.rs"]
            .iter()
            .any(|part| self.path.contains(part));
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

    /// The same, with a `use` over several lines as one line at its first.
    pub fn statements(&self) -> Vec<(usize, String)> {
        let mut out: Vec<(usize, String)> = Vec::new();
        let mut open = false;
        for (line, text) in self.code() {
            match out.last_mut().filter(|_| open) {
                Some((_, last)) => last.push_str(text.trim()),
                None => out.push((line, text.trim().to_owned())),
            }
            let last = out.last().map_or("", |(_, last)| last);
            open = last.trim_start_matches("pub ").starts_with("use ") && !last.ends_with(';');
        }
        out
    }
}

/// The module path of a source file below `gateway/src`.
pub fn module_of(path: &str) -> Vec<String> {
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

/// Modules of the crate that a statement names, by `crate::` and by `super::`.
pub fn named_modules(module: &[String], text: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for (at, word) in text.match_indices("crate::") {
        if !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            out.extend(listed(&text[at + word.len()..]).iter().map(|t| path_of(t)));
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
        for item in listed(rest) {
            out.push(base.iter().cloned().chain(path_of(item)).collect());
        }
    }
    out.retain(|path| !path.is_empty());
    out
}

/// The items of `{a, b::{c, d}}` at its outermost level, or the text itself.
fn listed(text: &str) -> Vec<&str> {
    let Some(list) = text.strip_prefix('{') else {
        return vec![text];
    };
    let (mut depth, mut from, mut out) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                out.push(list[from..at].trim());
                from = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
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
        (
            "use crate::{base::{clock, config}, control};",
            "base control",
        ),
        (
            "pub use super::{fetch::{A, b}, keys};",
            "data::identity::fetch data::identity::keys",
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

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

pub fn rust_files(below: &str) -> Vec<File> {
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
pub fn files(below: &str, ending: &str) -> Vec<String> {
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
pub fn cargo_tree(package: &str) -> BTreeSet<String> {
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

pub fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
