//! Derives `rules/src/fhir/tables/r4.txt` from the FHIR R4 definitions.
//!
//! `cargo run -p chartward-tables -- [DEFINITIONS_DIR] [--check]`; with `--check` nothing is
//! written, and the exit code is 1 where the committed file differs.

mod definitions;
mod params;
mod subjects;
mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use definitions::Definitions;

/// What stopped the generation, for whoever runs it.
type Fault = String;

fn main() -> ExitCode {
    match run() {
        Ok(message) => {
            println!("{message}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("tables: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, Fault> {
    let mut check = false;
    let mut folder = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            a if a.starts_with('-') => return Err(format!("unknown option `{a}`")),
            _ if folder.is_some() => return Err("more than one definitions folder".into()),
            _ => folder = Some(PathBuf::from(argument)),
        }
    }
    let folder = folder.unwrap_or_else(|| "../shared/data/fhir-definitions".into());
    let text = write::tables(&Definitions::read(&folder)?)?;
    let output = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/src/fhir/tables/r4.txt");
    if check {
        let committed = std::fs::read_to_string(&output).map_err(|e| format!("r4.txt: {e}"))?;
        return match first_difference(&committed, &text) {
            None => Ok("r4.txt is up to date".into()),
            Some(line) => Err(format!(
                "r4.txt differs from line {line} on; generate it again"
            )),
        };
    }
    std::fs::write(&output, &text).map_err(|e| format!("r4.txt: {e}"))?;
    Ok(format!("r4.txt: {} lines", text.lines().count()))
}

fn first_difference(a: &str, b: &str) -> Option<usize> {
    if a == b {
        return None;
    }
    let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("a\n", "a"), Some(2));
    }
}
