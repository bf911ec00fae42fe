//! Writes aimed by a search.

use super::*;

#[test]
fn conditions_of_writes_are_the_callers_own_search() {
    let of = |method: &str, role: &str, condition: &str, body: Option<Value>| {
        let mut server = store();
        let target = format!("/Observation?{condition}");
        let asks = Asks {
            body,
            ..Asks::new(method, &target)
        };
        let reply = ask(role, &mut server, &asks);
        let last = server.trace.last().cloned().unwrap_or_default();
        (reply.status, reply.reason(), last, server.trace.len())
    };
    let body = || Some(row(None, "final", "n"));
    let patch = || Some(json!([{"op": "add", "path": "/note", "value": [{"text": "n"}]}]));
    let put = "PUT /Observation/open If-Match: W/\"1\"".to_owned();
    let delete = "DELETE /Observation/open If-Match: W/\"1\"".to_owned();
    assert_eq!(
        of("PUT", "some", "identifier=open", body()),
        (200, "".into(), put.clone(), 2)
    );
    assert_eq!(
        of("PATCH", "some", "identifier=open", patch()),
        (200, "".into(), put.clone(), 2)
    );
    assert_eq!(
        of("DELETE", "some", "identifier=open", None),
        (204, "".into(), delete, 2)
    );
    for (method, body) in [("PUT", body()), ("PATCH", patch()), ("DELETE", None)] {
        // hidden, labelled or missing: alike
        let mut answers = Vec::new();
        for id in ["hidden", "labelled", "missing"] {
            let (status, reason, last, count) =
                of(method, "some", &format!("identifier={id}"), body.clone());
            assert_eq!(
                (status, reason.as_str(), count),
                (404, "not-found", 1),
                "{method} {id}"
            );
            answers.push(last.replace(id, "ID"));
        }
        assert!(answers.iter().all(|a| *a == answers[0]));
        // a hidden row beside the visible one counts for nothing
        let (status, ..) = of(
            method,
            "some",
            "identifier=open,hidden,labelled",
            body.clone(),
        );
        assert!(status < 300, "{method} {status}");
        let (status, reason, ..) = of(method, "some", "identifier=open,other", body.clone());
        assert_eq!(
            (status, reason.as_str()),
            (412, "multiple-matches"),
            "{method}"
        );
        // what the search reads must be shown
        let (status, reason, _, count) = of(method, "feed", "identifier=open", body.clone());
        assert_eq!(
            (status, reason.as_str(), count),
            (403, "not-granted Observation", 0),
            "{method}"
        );
    }
    // nothing there: made where nothing can be hidden, under the condition
    let (status, _, last, _) = of("PUT", "all", "identifier=nothing", body());
    assert_eq!(
        (status, last.as_str()),
        (201, "POST /Observation If-None-Exist: identifier=nothing")
    );
    let (status, reason, ..) = of(
        "PUT",
        "all",
        "identifier=nothing",
        Some(row(Some("own"), "final", "n")),
    );
    assert_eq!((status, reason.as_str()), (400, "not-supported id"));
    let (status, reason, ..) = of(
        "PUT",
        "all",
        "identifier=open",
        Some(row(Some("own"), "final", "n")),
    );
    assert_eq!((status, reason.as_str()), (400, "not-understood id"));
}

#[test]
fn a_condition_whose_matches_go_on_is_too_costly() {
    use chartward_rules::decide::{Facts, Sealer, Verdict, decide};
    use chartward_rules::fhir::interaction::{Interaction, Request, understand};
    use chartward_rules::proof::Raw;
    use chartward_rules::record::Call;
    let interaction =
        understand(Request::new("DELETE", "/Observation", "identifier=x")).expect("understood");
    let (program, service) = (program(), support::service());
    let seal = |_: &Call, _: &Interaction| -> Sealer { Arc::new(|_| String::new()) };
    let call = || Box::new(support::call(subject(&["some"])));
    let mut facts = Facts::none();
    let Verdict::Ask(asked) = decide(&program, &service, &interaction, call(), None, &facts, seal)
    else {
        panic!("a question");
    };
    let page = r#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"http://up/fhir?x"}]}"#;
    facts.learn(asked.questions()[0].clone(), Raw::new(page.into()));
    match decide(&program, &service, &interaction, call(), None, &facts, seal) {
        Verdict::Refuse(no, _) => assert_eq!(no.reason.code(), "too-costly"),
        other => panic!("{other:?}"),
    }
}
