//! How fast a search set is judged and masked: `cargo run --release -p chartward-rules --example
//! mask_speed`. A Bundle of 200 Observations, each with hidden elements, in chunks of 16 KiB; and
//! the same under a view that hides nothing. Prints MB/s of input, the best and the median run.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chartward_rules::decide::{Facts, Sealer, Service, Turn, Verdict, decide};
use chartward_rules::fhir::interaction::{Interaction, Request, understand};
use chartward_rules::pack::Program;
use chartward_rules::proof::{Mint, Raw};
use chartward_rules::record::{Call, Time};
use chartward_rules::source::Source;
use chartward_rules::subject::{Authority, Kind, Subject};

const PACK: &str = r#"
pack = "speed"
fhir = "R4"
[[role]]
name = "some"
purposes = ["TREAT"]
  [[role.grant]]
  on = "Observation"
  can = "search"
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

fn bundle() -> Bytes {
    let mut out =
        String::from(r#"{"resourceType":"Bundle","type":"searchset","total":200,"entry":["#);
    for i in 0..200 {
        if i > 0 {
            out.push(',');
        }
        out += &format!(
            r#"{{"fullUrl":"http://up/fhir/Observation/o{i}","resource":{{"resourceType":"Observation","id":"o{i}","meta":{{"versionId":"1","lastUpdated":"2024-05-01T10:00:00.000Z","profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]}},"text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Blood pressure {i} of Ann Lee</div>"}},"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel with all children optional"}}],"text":"Blood pressure"}},"subject":{{"reference":"Patient/p{i}","display":"Ann Lee"}},"encounter":{{"reference":"Encounter/e{i}"}},"effectiveDateTime":"2024-05-01T09:58:00+02:00","issued":"2024-05-01T09:58:00.123+02:00","performer":[{{"reference":"Practitioner/d{i}","display":"Dr Secret"}}],"component":[{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}}],"text":"hidden"}},"valueQuantity":{{"value":120.50,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}},{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8462-4","display":"Diastolic blood pressure"}}],"text":"hidden"}},"valueQuantity":{{"value":80,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}],"note":[{{"text":"a note that says more than it should"}}]}},"search":{{"mode":"match"}}}}"#
        );
    }
    out += "]}";
    out.into()
}

fn main() {
    let program = match Program::compile(&[Source::new("speed.toml", PACK)]) {
        Ok(program) => Arc::new(program),
        Err(errors) => panic!("{}", errors.render()),
    };
    let mint = Mint::take().expect("the only one");
    let bundle = bundle();
    println!("{} bytes of 200 rows", bundle.len());
    for role in ["some", "all"] {
        let mut rates: Vec<f64> = Vec::new();
        let mut left = 0;
        for _ in 0..400 {
            let before = Instant::now();
            left = ask(&program, &mint, role, &bundle);
            rates.push(bundle.len() as f64 / 1e6 / before.elapsed().as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        let (best, median) = (rates[rates.len() - 1], rates[rates.len() / 2]);
        println!("{role}: {best:.0} MB/s at best, {median:.0} MB/s median, {left} bytes leave");
    }
}

/// One search, from the decision to the last released byte; how many left.
fn ask(program: &Arc<Program>, mint: &Mint, role: &str, answer: &Bytes) -> usize {
    let subject = Subject {
        kind: Kind::Person,
        roles: vec![role.into()],
        scopes: Authority::Unscoped,
        ..Subject::anonymous()
    };
    let call = Call {
        request_id: "r".into(),
        node: "n".into(),
        arrived: Time(0),
        ip: [127, 0, 0, 1].into(),
        user_agent: None,
        subject: Some(Arc::new(subject)),
        action: None,
        purpose: None,
        pack: None,
    };
    let service = Service {
        base: "https://gw/fhir".into(),
        upstream_path: "/fhir".into(),
        page_default: 50,
        page_max: 500,
        withheld_notice: true,
        row_max: 32 << 20,
        body_max: 4 << 20,
        window: 256 << 10,
    };
    let request = Request::new("GET", "/Observation", "status=final");
    let Ok(interaction) = understand(request) else {
        panic!("a search")
    };
    let seal =
        |_: &Call, _: &Interaction| -> Sealer { Arc::new(|position: &str| position.to_owned()) };
    let Verdict::Permit(permit) = decide(
        program,
        &service,
        &interaction,
        Box::new(call),
        None,
        &Facts::none(),
        seal,
    ) else {
        panic!("a permit")
    };
    let (_, mut judge) = permit.open(None).expect("no receipt is wanted");
    let mut left = 0;
    let mut turn = |judge: &mut chartward_rules::decide::Judge| {
        while let Turn::Held(mut held) = judge.turn(Time(1)) {
            let (_, claim) = held.entry().split();
            let released = held.release(mint.receipt(claim)).expect("its receipt");
            left += released.1.len();
        }
    };
    for at in (0..answer.len()).step_by(16 << 10) {
        let chunk = answer.slice(at..answer.len().min(at + (16 << 10)));
        judge.push(Raw::new(chunk)).expect("well-formed");
        turn(&mut judge);
    }
    judge.end().expect("well-formed");
    turn(&mut judge);
    left
}
