//! The specification's examples and the Synthea records as bodies: what FHIR itself writes is
//! understood, and what a Bundle asks is asked of each entry.
//!
//! They are read from `CHARTWARD_SHARED` (`../shared` beside the workspace); without them the tests
//! say so and pass, unless `CHARTWARD_REQUIRE=all`.

#[path = "../../tests/src/noted.rs"]
mod noted;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use chartward_rules::fhir::interaction::{Interaction, Request, understand};
use chartward_rules::fhir::tables::r4;
use chartward_rules::refusal::{No, Reason};
use serde_json::Value;

/// The files of the data with this ending, or none said aloud.
fn files(of: &str, ending: &str) -> Vec<PathBuf> {
    let shared = std::env::var_os("CHARTWARD_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let Ok(folder) = std::fs::read_dir(shared.join("data").join(of)) else {
        noted::skip("the shared data (CHARTWARD_SHARED)");
        return Vec::new();
    };
    let mut out: Vec<PathBuf> = folder
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    out.sort();
    out
}

fn send(method: &str, path: &str, body: Vec<u8>) -> Result<Interaction, No> {
    let body = Bytes::from(body);
    understand(Request {
        body: Some(&body),
        content_type: Some("application/fhir+json"),
        ..Request::new(method, path, "")
    })
}

#[test]
fn the_specifications_examples_are_understood() {
    let mut odd = Vec::new();
    let mut understood = 0;
    for file in files("fhir-examples/json", "json") {
        let bytes = std::fs::read(&file).expect("an example");
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else {
            continue;
        };
        let (Some(kind), Some(id)) = (value["resourceType"].as_str(), value["id"].as_str()) else {
            continue;
        };
        if r4().resource(kind).is_none() {
            continue;
        }
        match send("PUT", &format!("/{kind}/{id}"), bytes) {
            Ok(_) => understood += 1,
            Err(no) => odd.push((file, no)),
        }
    }
    for (file, no) in &odd {
        println!("{}: {no:?}", file.display());
    }
    assert!(
        odd.is_empty(),
        "{} of {}",
        odd.len(),
        understood + odd.len()
    );
}

/// JSON Pointers of all objects in a value.
fn objects(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                objects(value, format!("{at}/{key}"), found);
            }
            found.push(at);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn an_unknown_element_is_refused_wherever_it_stands() {
    let mut tried = 0;
    for file in files("fhir-examples/json", "json") {
        let bytes = std::fs::read(&file).expect("an example");
        let whole: Value = serde_json::from_slice(&bytes).expect("an example");
        let (kind, id) = (&whole["resourceType"], &whole["id"]);
        let (Some(kind), Some(id)) = (kind.as_str(), id.as_str()) else {
            continue;
        };
        let mut places = Vec::new();
        objects(&whole, String::new(), &mut places);
        // some of each, over all their depths
        for at in places.iter().step_by(places.len() / 24 + 1) {
            let mut odd = whole.clone();
            let object = odd.pointer_mut(at).and_then(Value::as_object_mut);
            let object = object.expect("an object");
            object.insert("zzz".into(), Value::Bool(true));
            let body = serde_json::to_vec(&odd).expect("json");
            let no = send("PUT", &format!("/{kind}/{id}"), body).expect_err(at);
            let name = no.name.as_deref().unwrap_or("");
            assert_eq!(no.reason, Reason::NotUnderstood, "{at}");
            let keys = at.split('/').filter(|key| key.parse::<usize>().is_err());
            let due: Vec<&str> = std::iter::once(kind)
                .chain(keys.filter(|key| !key.is_empty()))
                .chain(["zzz"])
                .collect();
            assert_eq!(name, due.join("."), "{} {at}", file.display());
            tried += 1;
        }
    }
    println!("{tried} places");
}

#[test]
fn synthetic_records_are_understood() {
    for file in files("synthea/ndjson", "ndjson") {
        let text = std::fs::read_to_string(&file).expect("a file of rows");
        for row in text.lines() {
            let value: Value = serde_json::from_str(row).expect("a row");
            let path = format!(
                "/{}/{}",
                value["resourceType"].as_str().expect("a type"),
                value["id"].as_str().expect("an id")
            );
            let found = send("PUT", &path, row.as_bytes().to_vec());
            match found {
                Ok(_) => {}
                // a reference to what another server will have found
                Err(no) if row.contains("?identifier=") => {
                    assert_eq!(no.name.as_deref(), Some("conditional reference"));
                }
                Err(no) => panic!("{path} of {}: {no:?}", file.display()),
            }
        }
    }
}

#[test]
fn synthetic_bundles_are_understood_entry_by_entry() {
    let folders = [
        "synthea/bundles",
        "synthea/bundles-2019",
        "synthea/carebundle",
    ];
    let files: Vec<PathBuf> = folders.iter().flat_map(|of| files(of, "json")).collect();
    let (mut whole, all) = (0, files.len());
    for file in files {
        let bytes = std::fs::read(&file).expect("a bundle");
        let value: Value = serde_json::from_slice(&bytes).expect("a bundle");
        let sent = value["entry"].as_array().expect("entries");
        let conditional =
            |entry: &Value| serde_json::to_string(entry).is_ok_and(|t| t.contains("?identifier="));
        match send("POST", "", bytes) {
            Ok(Interaction::Bundle(bundle)) => {
                whole += 1;
                assert_eq!(bundle.entries.len(), sent.len());
                for (found, sent) in bundle.entries.iter().zip(sent) {
                    assert_eq!(found.full_url.as_deref(), sent["fullUrl"].as_str());
                    let asks = found.asks.as_ref();
                    let asks = asks.unwrap_or_else(|no| panic!("{}: {no:?}", file.display()));
                    let url = sent["request"]["url"].as_str().expect("a url");
                    assert_eq!(asks.place(), url, "{}", file.display());
                    assert_eq!(asks.word(), "create");
                }
            }
            Err(no) if sent.len() > 1_000 => assert_eq!(no.reason, Reason::TooLarge),
            Err(no) if sent.iter().any(conditional) => {
                assert_eq!(no.name.as_deref(), Some("conditional reference"));
            }
            other => panic!("{}: {:?}", file.display(), other.map(|found| found.word())),
        }
    }
    assert!(
        whole > 0 || all == 0,
        "none of {all} bundles was understood"
    );
}
