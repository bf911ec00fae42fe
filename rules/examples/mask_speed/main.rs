//! How fast rows are judged and masked: `cargo run --release -p chartward-rules --example
//! mask_speed`. Search sets of 200 Observations, in chunks of 16 KiB: under a view that hides
//! elements; under one that hides nothing; and rows of which no two have the same form. Prints
//! MB/s of input, the best and the median run.
//!
//! With `count NAME TIMES` it asks so many times for one of them and prints nothing: that is for
//! `benches/counts`, which counts instructions.

mod ask;

use std::time::Instant;

use ask::Asker;
use bytes::Bytes;

const PACK: &str = r#"
pack = "speed"
fhir = "R4"
[[role]]
name = "some"
purposes = ["TREAT"]
  [[role.grant]]
  on = "Observation"
  can = ["read", "search"]
  hide = ["Observation.note", "Observation.performer", "Observation.component.code.text"]
  [[role.grant]]
  on = "Patient"
  can = "read"
[[role]]
name = "all"
purposes = ["TREAT"]
  [[role.grant]]
  on = ["Observation", "Patient"]
  can = ["read", "search"]
"#;

/// Members of an Observation; `$` is its number.
const MEMBERS: [&str; 13] = [
    r#""id":"o$""#,
    r#""meta":{"versionId":"1","lastUpdated":"2024-05-01T10:00:00.000Z","profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]}"#,
    r#""text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Blood pressure $ of Ann Lee</div>"}"#,
    r#""status":"final""#,
    r#""category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}]}]"#,
    r#""code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel with all children optional"}],"text":"Blood pressure"}"#,
    r#""subject":{"reference":"Patient/p$","display":"Ann Lee"}"#,
    r#""encounter":{"reference":"Encounter/e$"}"#,
    r#""effectiveDateTime":"2024-05-01T09:58:00+02:00""#,
    r#""issued":"2024-05-01T09:58:00.123+02:00""#,
    r#""performer":[{"reference":"Practitioner/d$","display":"Dr Secret"}]"#,
    r#""component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}],"text":"hidden"},"valueQuantity":{"value":120.50,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4","display":"Diastolic blood pressure"}],"text":"hidden"},"valueQuantity":{"value":80,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]"#,
    r#""note":[{"text":"a note that says more than it should"}]"#,
];

/// An Observation, its members in the order numbered so.
fn row(number: usize, mut order: usize) -> String {
    let mut rest = MEMBERS.to_vec();
    let mut row = String::from(r#"{"resourceType":"Observation""#);
    while !rest.is_empty() {
        let member = rest.remove(order % rest.len());
        order /= rest.len() + 1;
        row.push(',');
        row += &member.replace('$', &number.to_string());
    }
    row + "}"
}

fn bundle(unlike: bool) -> Bytes {
    let rows: Vec<String> = (0..200)
        .map(|i| {
            let row = row(i, if unlike { i } else { 0 });
            format!(
                r#"{{"fullUrl":"http://up/fhir/Observation/o{i}","resource":{row},"search":{{"mode":"match"}}}}"#
            )
        })
        .collect();
    let rows = rows.join(",");
    format!(r#"{{"resourceType":"Bundle","type":"searchset","total":200,"entry":[{rows}]}}"#).into()
}

/// Role, path and answer of what has this name.
fn named(name: &str) -> (&'static str, &'static str, Bytes) {
    match name {
        "some" => ("some", "/Observation", bundle(false)),
        "all" => ("all", "/Observation", bundle(false)),
        "unlike" => ("some", "/Observation", bundle(true)),
        "one" => ("some", "/Observation/o0", row(0, 0).into()),
        other => panic!("no such: {other}"),
    }
}

fn main() {
    let asker = Asker::new(PACK);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [count, name, times] = &arguments[..]
        && count == "count"
    {
        let (role, path, answer) = named(name);
        for _ in 0..times.parse().expect("a number") {
            asker.ask(role, path, &answer);
        }
        return;
    }
    for name in ["some", "all", "unlike"] {
        let (role, path, answer) = named(name);
        let mut rates: Vec<f64> = Vec::new();
        let mut left = 0;
        for _ in 0..400 {
            let before = Instant::now();
            let windows = asker.ask(role, path, &answer);
            rates.push(answer.len() as f64 / 1e6 / before.elapsed().as_secs_f64());
            left = windows.iter().map(Bytes::len).sum();
        }
        rates.sort_by(f64::total_cmp);
        let (best, median) = (rates[rates.len() - 1], rates[rates.len() / 2]);
        println!(
            "{name}: {best:.0} MB/s at best, {median:.0} MB/s median, {left} of {} bytes leave",
            answer.len()
        );
    }
}
