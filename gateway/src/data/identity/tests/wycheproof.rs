//! Wycheproof's JWS vectors against the keys and signatures of `identity`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::jws::Jws;
use super::super::keys::KeySet;

fn vectors() -> Option<Value> {
    let shared = std::env::var_os("CHARTWARD_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let path = shared.join("data/jose/json_web_signature_test.json");
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(_) => {
            crate::noted::skip("the Wycheproof vectors (CHARTWARD_SHARED)");
            None
        }
    }
}

#[test]
fn valid_vectors_of_accepted_algorithms_verify_and_no_other() {
    let Some(vectors) = vectors() else { return };
    // algorithm of the key → (verified, refused as they should, valid but not accepted here)
    let mut counts: BTreeMap<String, (u32, u32, u32)> = BTreeMap::new();
    for group in vectors["testGroups"].as_array().unwrap() {
        let jwk = group.get("public").unwrap_or(&group["private"]);
        let set = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
        let of_key = jwk["alg"].as_str().unwrap_or("none given").to_owned();
        let accepted = ["ES256", "RS256", "PS256", "EdDSA"].contains(&of_key.as_str());
        assert_eq!(set.len(), usize::from(accepted), "{jwk}");
        for test in group["tests"].as_array().unwrap() {
            let text = match &test["jws"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let verified = Jws::parse(&text)
                .is_ok_and(|jws| set.select(&jws).is_ok_and(|key| key.verifies(&jws)));
            let count = counts.entry(of_key.clone()).or_default();
            let name = format!("{} {}: {text}", test["tcId"], test["comment"]);
            match (test["result"] == "valid", verified) {
                (true, true) => count.0 += 1,
                (false, false) => count.1 += 1,
                (false, true) => panic!("forged, yet verified: {name}"),
                (true, false) => {
                    // only where key or token has an algorithm that isn't accepted
                    assert!(
                        !accepted || Jws::parse(&text).is_err(),
                        "not verified: {name}"
                    );
                    count.2 += 1;
                }
            }
        }
    }
    let found: Vec<_> = counts.iter().map(|(alg, c)| (alg.as_str(), *c)).collect();
    assert_eq!(found, EXPECTED);
    let all: u32 = counts.values().map(|(a, b, c)| a + b + c).sum();
    assert_eq!(u64::from(all), vectors["numberOfTests"].as_u64().unwrap());
}

const EXPECTED: &[(&str, (u32, u32, u32))] = &[
    ("ES256", (2, 37, 0)),
    ("ES521", (0, 0, 2)),
    ("HS256", (0, 30, 10)),
    ("PS256", (6, 42, 2)),
    ("PS384", (0, 1, 4)),
    ("PS512", (0, 16, 4)),
    ("RS256", (8, 225, 0)),
    ("RS384", (0, 0, 4)),
    ("RS512", (0, 0, 4)),
    ("none given", (0, 4, 0)),
];
