//! Versions and histories (D24).

use chartward_tests::Request;
use serde_json::json;

use super::stage::{Chart, behind, fresh, labelled, patient};

#[test]
fn versions_show_while_the_current_one_does() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("versions");
        let mut row = patient(&id);
        chart.put(&row);
        row["gender"] = json!("other");
        chart.put(&row);
        let version = |n: u32| Request::get(&format!("/fhir/Patient/{id}/_history/{n}"));
        let history = || Request::get(&format!("/fhir/Patient/{id}/_history"));
        let first = chart.send("clerk", version(1));
        assert_eq!(first.status, 200, "{behind:?} {}", first.text());
        assert_eq!(
            (&first.json()["gender"], &first.json()["meta"]["versionId"]),
            (&json!("female"), &json!("1"))
        );
        let all = chart.send("clerk", history()).json();
        assert_eq!(all["type"], "history", "{all}");
        let versions: Vec<_> = all["entry"]
            .as_array()
            .expect("entries")
            .iter()
            .filter(|e| e["resource"]["resourceType"] == "Patient")
            .map(|e| e["resource"]["meta"]["versionId"].clone())
            .collect();
        assert_eq!(versions, ["2", "1"], "{behind:?}");
        assert_eq!(chart.send("clerk", version(9)).status, 404);
        // a label that came later hides what was before it
        chart.put(&labelled(row.clone()));
        assert_eq!(chart.send("clerk", version(1)).status, 404, "{behind:?}");
        assert_eq!(chart.send("clerk", history()).status, 404, "{behind:?}");
        assert_eq!(chart.send("editor", version(1)).status, 200, "{behind:?}");
    }
}

#[test]
fn a_version_that_was_labelled_stays_hidden_when_the_label_is_gone() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("once-labelled");
        chart.put(&labelled(patient(&id)));
        chart.put(&patient(&id));
        let version = |n: u32| Request::get(&format!("/fhir/Patient/{id}/_history/{n}"));
        // some servers keep a label that an update doesn't name
        let kept = chart.stored(&format!("Patient/{id}")).1["meta"]["security"].is_array();
        assert_eq!(chart.send("clerk", version(1)).status, 404, "{behind:?}");
        if !kept {
            assert_eq!(chart.send("clerk", version(2)).status, 200, "{behind:?}");
            let all = chart.send(
                "clerk",
                Request::get(&format!("/fhir/Patient/{id}/_history")),
            );
            assert_eq!(all.status, 200, "{}", all.text());
            assert!(
                !all.text().contains("\"versionId\":\"1\""),
                "{}",
                all.text()
            );
        }
    }
}

#[test]
fn histories_of_a_type_and_of_all_are_for_those_from_whom_nothing_is_hidden() {
    for behind in behind() {
        let chart = Chart::open(behind);
        let id = fresh("typed");
        chart.put(&patient(&id));
        for target in ["/fhir/Patient/_history", "/fhir/Patient/_history?_count=5"] {
            let answer = chart.send("editor", Request::get(target));
            assert_eq!(answer.status, 200, "{behind:?} {}", answer.text());
            assert!(answer.text().contains(&id), "{}", answer.text());
            assert_eq!(
                chart.send("clerk", Request::get(target)).status,
                403,
                "{behind:?}"
            );
        }
    }
}
