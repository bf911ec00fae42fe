//! The Synthea clinic beside the checkout: where it is, and its rows as they were before any server.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of the shared data; `CHARTWARD_SHARED` names `shared` where it isn't beside the checkout.
pub fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = env::var_os("CHARTWARD_SHARED").map_or_else(beside, PathBuf::from);
    Some(folder.join("data")).filter(|data| data.is_dir())
}

/// The folder of the Synthea data.
pub fn folder() -> Option<PathBuf> {
    shared()
        .map(|data| data.join("synthea"))
        .filter(|synthea| synthea.is_dir())
}

/// All rows of a type in the source files: what Synthea made and what the overlay adds.
/// Their ids and references are the source's, not the server's.
pub fn rows(kind: &str) -> Vec<Value> {
    let folder = folder().expect("the Synthea data");
    ["ndjson", "overlay"]
        .iter()
        .filter_map(|part| {
            fs::read_to_string(folder.join(part).join(format!("{kind}.ndjson"))).ok()
        })
        .flat_map(|text| {
            text.lines()
                .map(|line| serde_json::from_str(line).expect("a row is JSON"))
                .collect::<Vec<_>>()
        })
        .collect()
}
