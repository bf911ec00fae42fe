//! An answer that goes on under another decision, wherever it is cut.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use chartward_rules::decide::{
    Facts, Permit, Sealer, Service, Turn, UpstreamHead, Verdict, decide,
};
use chartward_rules::fhir::interaction::{Interaction, Request, understand};
use chartward_rules::pack::Program;
use chartward_rules::proof::{Mint, Raw};
use chartward_rules::record::{Call, Time};
use serde_json::Value;
use support::{pack, subject};

fn program(hide: &str) -> Arc<Program> {
    pack(&format!(
        "pack = \"p\"\nfhir = \"R4\"\n[[role]]\nname = \"nurse\"\npurposes = [\"TREAT\"]\n\
         [[role.grant]]\non = [\"Observation\"]\ncan = [\"read\", \"search\"]\n{hide}\n"
    ))
}

fn permit(program: &Arc<Program>) -> Box<Permit> {
    let call = Call {
        request_id: "r".into(),
        node: "n".into(),
        arrived: Time(0),
        ip: [127, 0, 0, 1].into(),
        user_agent: None,
        subject: Some(Arc::new(subject(&["nurse"]))),
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
    let interaction = understand(Request::new("GET", "/Observation", "")).expect("a search");
    let seal = |_: &Call, _: &Interaction| -> Sealer { Arc::new(|_: &str| String::new()) };
    let facts = Facts::none();
    let call = Box::new(call);
    match decide(program, &service, &interaction, call, None, &facts, seal) {
        Verdict::Permit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn wherever_an_answer_is_cut_what_follows_is_judged_anew_and_the_whole_is_valid() {
    let (open, narrow) = (program(""), program("hide = [\"Observation.note\"]"));
    let row = |n: usize| {
        format!(
            r#"{{"resource":{{"resourceType":"Observation","id":"o{n}","status":"final","code":{{"text":"c"}},"note":[{{"text":"remark"}}]}},"search":{{"mode":"match"}}}}"#
        )
    };
    let rows: Vec<String> = (0..3).map(row).collect();
    let answer = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","total":3,"entry":[{}]}}"#,
        rows.join(",")
    );
    let mint = Mint::take().expect("one mint");
    for cut in 0..=answer.len() {
        let (_, mut judge) = permit(&open).open(None).expect("no receipt is needed");
        let head = UpstreamHead {
            status: 200,
            json: true,
            location: None,
            etag: None,
            last_modified: None,
        };
        judge.head(head).expect("200");
        let push = |judge: &mut chartward_rules::decide::Judge, part: &str| {
            let part = Raw::new(Bytes::copy_from_slice(part.as_bytes()));
            judge.push(part).expect("a sound answer");
        };
        push(&mut judge, &answer[..cut]);
        judge.renew(*permit(&narrow)).expect("it goes on");
        push(&mut judge, &answer[cut..]);
        judge.end().expect("a sound answer");
        let Turn::Held(mut held) = judge.turn(Time(1)) else {
            panic!("no window");
        };
        let (json, claim) = held.entry().split();
        serde_json::from_slice::<Value>(&json).expect("a record");
        let (_, released) = held.release(mint.receipt(claim)).expect("its receipt");
        let body: Value = serde_json::from_slice(&released.into_bytes())
            .unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let entries = body["entry"].as_array().expect("entries");
        let found: Vec<&Value> = entries
            .iter()
            .map(|entry| &entry["resource"])
            .filter(|row| row["resourceType"] == "Observation")
            .collect();
        assert_eq!(found.len(), 3, "cut at {cut}");
        for (n, found) in found.into_iter().enumerate() {
            let end = answer.find(&rows[n]).expect("the row") + rows[n].len();
            assert_eq!(
                found["note"].is_array(),
                end <= cut,
                "cut at {cut}, row {n}"
            );
        }
        let notices = entries.len() - 3;
        assert_eq!(notices, 1, "cut at {cut}");
        assert!(body["total"].is_null(), "cut at {cut}");
    }
}
