//! Judging and masking alone, on one core, beside parsers that read and write the same bytes and
//! decide nothing: `cargo bench -p chartward-benches --bench masking`.
//!
//! Bundles of 200 Observations with hidden elements; and search sets of up to 200 rows of each
//! type that Synthea makes, where its data is at hand. The gateway's figure is from the decision
//! to the last released byte, records written but not kept. Times are the thread's CPU time, so
//! that what else runs counts less.

mod cpu;

#[path = "../../../rules/examples/mask_speed/ask.rs"]
mod ask;

use std::hint::black_box;
use std::time::Duration;

use ask::Asker;
use bytes::Bytes;
use chartward_benches::bodies::{HIDDEN, PACK, Row};
use chartward_tests::{client::holds, skip::need, synthea};
use cpu::CpuTime;
use criterion::{BenchmarkId, Criterion, Throughput};

/// Beside the pack of the side-by-side measurements: all that Synthea makes, some of it hidden.
const SYNTHEA: &str = r#"
[[role]]
name     = "reader"
purposes = ["TREAT"]
  [[role.grant]]
  on   = ["AllergyIntolerance", "CarePlan", "CareTeam", "Claim", "Condition", "DiagnosticReport",
          "DocumentReference", "Encounter", "ExplanationOfBenefit", "ImagingStudy", "Immunization",
          "Location", "Medication", "MedicationAdministration", "MedicationRequest", "Observation",
          "Organization", "Patient", "Practitioner", "PractitionerRole", "Procedure", "Provenance"]
  can  = "search"
  hide = ["AllergyIntolerance.recordedDate", "CarePlan.careTeam", "CareTeam.participant.onBehalfOf",
          "Claim.insurance", "Claim.total", "Condition.encounter", "Condition.recordedDate",
          "DiagnosticReport.presentedForm", "DiagnosticReport.performer", "DocumentReference.author",
          "DocumentReference.custodian", "Encounter.participant", "ExplanationOfBenefit.total",
          "ExplanationOfBenefit.item.adjudication", "ImagingStudy.identifier", "Immunization.location",
          "Location.telecom", "MedicationRequest.dosageInstruction", "Observation.encounter",
          "Observation.issued", "Organization.telecom", "Patient.name", "Patient.telecom",
          "Patient.address", "Practitioner.telecom", "PractitionerRole.telecom", "Procedure.location",
          "Provenance.agent.onBehalfOf"]
"#;

/// A search set and its type.
struct Answer {
    kind: String,
    path: String,
    body: Bytes,
    rows: usize,
}

/// Up to 200 rows of each type.
fn search_sets() -> Vec<Answer> {
    if !need("synthea") {
        return Vec::new();
    }
    let folder = synthea::folder().expect("needed").join("ndjson");
    let mut kinds: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder")
        .filter_map(|file| {
            let name = file.ok()?.file_name().into_string().ok()?;
            Some(name.strip_suffix(".ndjson")?.to_owned())
        })
        .collect();
    kinds.sort();
    let answer = |kind: String| {
        let text = std::fs::read_to_string(folder.join(format!("{kind}.ndjson"))).expect("text");
        let rows: Vec<String> = text.lines().take(200).enumerate().map(|(i, row)| {
            format!(
                r#"{{"fullUrl":"http://up/fhir/{kind}/{i}","resource":{row},"search":{{"mode":"match"}}}}"#
            )
        })
        .collect();
        Answer {
            path: format!("/{kind}"),
            kind,
            rows: rows.len(),
            body: format!(
                r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#,
                rows.join(",")
            )
            .into(),
        }
    };
    kinds.into_iter().map(answer).collect()
}

/// What leaves is what should: else the figure is of something else.
fn check(asker: &Asker, role: &str, answer: &Answer) {
    let left = asker.ask(role, &answer.path, &answer.body).concat();
    let left: serde_json::Value = serde_json::from_slice(&left).expect("JSON");
    let rows = left["entry"].as_array().map_or(0, |entries| {
        let rows = entries.iter().filter(|e| e["search"]["mode"] == "match");
        rows.count()
    });
    assert_eq!(rows, answer.rows, "of {}", answer.kind);
    assert!(!holds(left.to_string().as_bytes(), HIDDEN.as_bytes()));
}

fn mask(asker: &Asker, role: &str, answers: &[Answer]) {
    for answer in answers {
        black_box(asker.ask(role, &answer.path, &answer.body));
    }
}

/// The same bytes parsed and written.
fn round_trips(of: &str, criterion: &mut Criterion<CpuTime>, answers: &[Answer]) {
    let mut group = criterion.benchmark_group(of);
    group.throughput(Throughput::Bytes(total(answers)));
    group.bench_function("serde_json round trip", |b| {
        b.iter(|| {
            for answer in answers {
                let value: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
                black_box(serde_json::to_vec(&value).expect("written"));
            }
        });
    });
    group.bench_function("simd-json round trip", |b| {
        b.iter(|| {
            for answer in answers {
                let mut body = answer.body.to_vec();
                let value = simd_json::to_borrowed_value(&mut body).expect("JSON");
                black_box(simd_json::to_vec(&value).expect("written"));
            }
        });
    });
    group.bench_function("sonic-rs round trip", |b| {
        b.iter(|| {
            for answer in answers {
                let value: sonic_rs::Value = sonic_rs::from_slice(&answer.body).expect("JSON");
                black_box(sonic_rs::to_vec(&value).expect("written"));
            }
        });
    });
    group.finish();
}

fn total(answers: &[Answer]) -> u64 {
    answers.iter().map(|a| a.body.len() as u64).sum()
}

fn main() {
    let asker = Asker::new(&format!("{PACK}{SYNTHEA}"));
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let observations = [Answer {
        kind: "Observation".into(),
        path: "/Observation".into(),
        body: Row::Bundle.body().into(),
        rows: Row::Bundle.resources(),
    }];
    let synthea = search_sets();
    for (of, role, answers) in [
        ("200 Observations", "nurse", &observations[..]),
        ("Synthea", "reader", &synthea),
    ] {
        for answer in answers {
            check(&asker, role, answer);
        }
        let mut group = criterion.benchmark_group(of);
        group.throughput(Throughput::Bytes(total(answers)));
        group.bench_function("judge and mask", |b| b.iter(|| mask(&asker, role, answers)));
        group.finish();
        round_trips(of, &mut criterion, answers);
    }
    let mut group = criterion.benchmark_group("Synthea, judge and mask");
    for answer in synthea.iter().filter(|a| a.body.len() > 50_000) {
        let one = std::slice::from_ref(answer);
        group.throughput(Throughput::Bytes(total(one)));
        group.bench_function(BenchmarkId::from_parameter(&answer.kind), |b| {
            b.iter(|| mask(&asker, "reader", one));
        });
    }
    group.finish();
    criterion.final_summary();
}
