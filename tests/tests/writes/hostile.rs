//! Callers who write in order to see, to widen what they may, or to take away what they don't see.

use chartward_tests::Request;
use serde_json::json;

use super::stage::{Chart, behind, fresh, patch, patient, resource};

#[test]
fn what_a_write_would_hang_on_and_nobody_understands_is_refused() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("hang");
        chart.put(&patient(&id));
        let mut row = patient(&id);
        row["gender"] = json!("other");
        let target = format!("/fhir/Patient/{id}");
        let change = json!([{ "op": "replace", "path": "/gender", "value": "other" }]);
        for (name, value) in [
            ("if-none-match", "*"),
            ("if-none-match", "W/\"1\""),
            ("if-modified-since", "Tue, 02 Jan 2035 00:00:00 GMT"),
            ("if-unmodified-since", "Tue, 02 Jan 2001 00:00:00 GMT"),
            ("if-range", "W/\"1\""),
            ("content-range", "bytes 0-9/100"),
            ("x-provenance", "{\"resourceType\":\"Provenance\"}"),
        ] {
            for ask in [
                resource("PUT", &target, &row),
                patch(&target, &change),
                Request::new("DELETE", &target),
                resource("POST", "/fhir/Patient", &row),
                Request::new("DELETE", &format!("/fhir/Patient?_id={id}")),
            ] {
                let answer = chart.send("editor", ask.clone().header(name, value));
                assert_eq!(
                    (answer.status, answer.reason().as_str()),
                    (400, "not-supported"),
                    "{behind:?} {name} {ask:?}"
                );
            }
            // what reads may go on without
            let answer = chart.send("editor", Request::get(&target).header(name, value));
            assert_eq!(answer.status, 200, "{name}");
        }
        let (_, stored) = chart.stored(&format!("Patient/{id}"));
        assert_eq!(
            (&stored["gender"], &stored["meta"]["versionId"]),
            (&json!("female"), &json!("1"))
        );
    }
}
