//! Any sequence of writes and transactions, beside a model of a few lines: same statuses, same rows, same
//! versions.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;

#[derive(Debug, Clone)]
struct Write {
    what: What,
    id: &'static str,
    /// The version that it holds the row to be at.
    guess: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Put,
    /// With a body that fits no address.
    BadPut,
    Patch,
    Delete,
}

#[derive(Debug, Clone)]
enum Step {
    One(Write),
    All(Vec<Write>),
}

/// The versions of each id: what was written, `None` for a deletion.
type Model = BTreeMap<&'static str, Vec<Option<String>>>;

fn write() -> impl Strategy<Value = Write> {
    let what = prop_oneof![
        4 => Just(What::Put),
        1 => Just(What::BadPut),
        2 => Just(What::Patch),
        2 => Just(What::Delete),
    ];
    let id = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")];
    let guess = prop_oneof![3 => Just(None), 2 => (1usize..5).prop_map(Some)];
    (what, id, guess).prop_map(|(what, id, guess)| Write { what, id, guess })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => write().prop_map(Step::One),
        1 => vec(write(), 1..4).prop_map(Step::All),
    ]
}

/// What a write is answered with; the model follows.
fn predicted(model: &mut Model, write: &Write, mark: &str) -> u16 {
    let versions = model.entry(write.id).or_default();
    let there = versions.last().is_some_and(Option::is_some);
    let stale = write
        .guess
        .is_some_and(|guess| !there || guess != versions.len());
    let (status, next) = match write.what {
        What::BadPut => (400, None),
        What::Patch | What::Delete if versions.is_empty() => (404, None),
        What::Patch if !there => (410, None),
        _ if stale => (412, None),
        What::Put if there => (200, Some(Some(mark.to_owned()))),
        What::Put => (201, Some(Some(mark.to_owned()))),
        What::Patch => (200, Some(Some(mark.to_owned()))),
        What::Delete => (204, there.then_some(None)),
    };
    versions.extend(next);
    status
}

/// Method, address, body and its type.
fn request(write: &Write, mark: &str) -> (&'static str, String, Value, &'static str) {
    let target = format!("Patient/{}", write.id);
    let name = json!([{"family": mark}]);
    let put = |id| json!({"resourceType": "Patient", "id": id, "name": name});
    let json = "application/fhir+json";
    match write.what {
        What::Put => ("PUT", target, put(write.id), json),
        What::BadPut => ("PUT", target, put("other"), json),
        What::Patch => {
            let patch = json!([{"op": "add", "path": "/name", "value": name}]);
            ("PATCH", target, patch, PATCH.1)
        }
        What::Delete => ("DELETE", target, Value::Null, json),
    }
}

fn entry(write: &Write, mark: &str) -> Value {
    let (method, url, body, kind) = request(write, mark);
    let mut entry = json!({"request": {"method": method, "url": url}});
    if let Some(guess) = write.guess {
        entry["request"]["ifMatch"] = format!("W/\"{guess}\"").into();
    }
    match write.what {
        What::Delete => {}
        What::Patch => {
            let data = STANDARD.encode(body.to_string());
            entry["resource"] =
                json!({"resourceType": "Binary", "contentType": kind, "data": data});
        }
        _ => entry["resource"] = body,
    }
    entry
}

async fn follow(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let server = start(Store::new()).await;
    let mut model = Model::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::One(write) => {
                let mark = format!("{at}");
                let (method, target, body, kind) = request(write, &mark);
                let tag = write.guess.map(|guess| format!("W/\"{guess}\""));
                let mut headers = vec![("content-type", kind)];
                headers.extend(tag.as_deref().map(|tag| ("if-match", tag)));
                let got = ask(&server, method, &format!("/fhir/{target}"), &headers, &body).await;
                prop_assert_eq!(got.status, predicted(&mut model, write, &mark));
            }
            Step::All(writes) => {
                let mark = |place: usize| format!("{at}.{place}");
                let entries: Value = writes
                    .iter()
                    .enumerate()
                    .map(|(place, write)| entry(write, &mark(place)))
                    .collect();
                let body =
                    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
                let before = whole(&server);
                let got = ask(&server, "POST", "/fhir", &[], &body).await;

                let mut after = model.clone();
                let ids: BTreeSet<_> = writes.iter().map(|write| write.id).collect();
                let statuses: Vec<u16> = writes
                    .iter()
                    .enumerate()
                    .map(|(place, write)| predicted(&mut after, write, &mark(place)))
                    .collect();
                let whole_fits = statuses.iter().all(|status| *status < 400);
                if whole_fits && ids.len() == writes.len() {
                    prop_assert_eq!(got.status, 200);
                    for (place, status) in statuses.iter().enumerate() {
                        let told = &got.body["entry"][place]["response"]["status"];
                        let told = told.as_str().unwrap_or_default();
                        prop_assert!(told.starts_with(&status.to_string()), "{}", told);
                    }
                    model = after;
                } else {
                    prop_assert!(got.status >= 400);
                    prop_assert_eq!(whole(&server), before);
                }
            }
        }
    }
    let expected: usize = model.values().map(Vec::len).sum();
    let made = server.store().dump_versions();
    prop_assert_eq!(made.as_array().map_or(0, Vec::len), expected);
    for (id, versions) in &model {
        let last = versions.last().cloned().flatten();
        let read = get(&server, &format!("/fhir/Patient/{id}")).await;
        let family = read.body["name"][0]["family"].as_str().map(str::to_owned);
        prop_assert_eq!(family, last);
        let history = get(&server, &format!("/fhir/Patient/{id}/_history")).await;
        let mut told = Vec::new();
        for entry in history.body["entry"].as_array().into_iter().flatten() {
            let family = entry["resource"]["name"][0]["family"].as_str();
            told.push(family.map(str::to_owned));
        }
        told.reverse();
        prop_assert_eq!(&told, versions);
        for (at, mark) in versions.iter().enumerate() {
            let target = format!("/fhir/Patient/{id}/_history/{}", at + 1);
            let read = get(&server, &target).await;
            prop_assert_eq!(read.status, if mark.is_some() { 200 } else { 410 });
        }
    }
    let current = model
        .values()
        .filter_map(|versions| versions.last()?.as_ref());
    prop_assert_eq!(server.store().len(), current.count());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_writes_leaves_what_the_model_says(steps in vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(follow(steps))?;
    }
}
