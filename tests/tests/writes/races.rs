//! Several writers at once: no update is lost unseen.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::stage::{Chart, behind, fresh, patient, resource, word};

const WRITERS: usize = 8;
const WRITES: usize = 12;

#[test]
fn each_accepted_update_saw_the_one_before_it() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("race");
        chart.put(&patient(&id));
        let target = format!("/fhir/Patient/{id}");
        let (accepted, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (chart, target, accepted, lost) = (&chart, &target, &accepted, &lost);
                scope.spawn(move || {
                    let client = chart.gateway.client();
                    let token = chart.token("editor");
                    let mut left = WRITES;
                    while left > 0 {
                        let mut row: Value = client.get(target, &token).json();
                        let version = word(&row["meta"]["versionId"]).to_owned();
                        let name = format!("w{writer}-{left}");
                        row["name"][0]["given"]
                            .as_array_mut()
                            .expect("given names")
                            .push(json!(name));
                        let ask = resource("PUT", target, &row)
                            .header("if-match", &format!("W/\"{version}\""))
                            .bearer(&token);
                        let answer = client.send(ask);
                        match answer.status {
                            200 => {
                                accepted.fetch_add(1, Ordering::Relaxed);
                                left -= 1;
                            }
                            412 => {
                                lost.fetch_add(1, Ordering::Relaxed);
                            }
                            other => panic!("{other} {}", answer.text()),
                        }
                    }
                });
            }
        });
        let (_, stored) = chart.stored(&format!("Patient/{id}"));
        let given = stored["name"][0]["given"].as_array().expect("given names");
        let accepted = accepted.load(Ordering::Relaxed);
        assert_eq!(accepted as usize, WRITERS * WRITES);
        // one was there before
        assert_eq!(
            given.len(),
            WRITERS * WRITES + 1,
            "{behind:?}: an update was lost"
        );
        assert_eq!(stored["meta"]["versionId"], (accepted + 1).to_string());
        println!(
            "{behind:?}: {accepted} accepted, {} refused as stale",
            lost.load(Ordering::Relaxed)
        );
    }
}
