//! Hidden is missing: the same bytes, at the same ticks.

use std::time::{Duration, Instant};

use chartward_tests::{Gateway, Request, Response, Script, Seen, Setup, Tokens, Upstream, need};

use super::stage::{PACK, ROLES, Stage, bundle, face, ids, labelled, observation};

/// `hidden` is labelled, `gone` deleted, `other` of a kind that the role has no condition for.
fn rows(seen: &Seen) -> Script {
    if seen.target.ends_with("/hidden") {
        Script::whole(
            200,
            "Content-Type: application/fhir+json\r\nETag: W/\"7\"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nLocation: http://x/7\r\n",
            labelled("hidden", "PSY").as_bytes(),
        )
    } else if seen.target.ends_with("/gone") {
        Script::json(
            410,
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"deleted","diagnostics":"Hidden-4711"}]}"#,
        )
    } else if seen.target.ends_with("/shown") {
        Script::json(200, &observation("shown", "p1", ""))
    } else {
        Script::json(
            404,
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found","diagnostics":"Hidden-4711"}]}"#,
        )
    }
}

#[test]
fn hidden_missing_and_deleted_are_the_same_bytes() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(rows);
    for client in [stage.gateway.client(), stage.gateway.client_h2()] {
        for method in ["GET", "HEAD"] {
            let ask = |id: &str, more: Option<(&str, &str)>| {
                let mut request = Request::new(method, &format!("/fhir/Observation/{id}"))
                    .bearer(&stage.token("nurse"));
                if let Some((name, value)) = more {
                    request = request.header(name, value);
                }
                client.send(request)
            };
            for more in [
                None,
                Some(("if-none-match", "W/\"7\"")),
                Some(("if-modified-since", "Tue, 02 Jan 2035 00:00:00 GMT")),
                Some(("range", "bytes=0-10")),
                Some(("x-request-id", "mine")),
            ] {
                let missing = ask("missing", more);
                assert_eq!(missing.status, 404);
                for id in ["hidden", "gone"] {
                    assert_eq!(
                        face(&ask(id, more)),
                        face(&missing),
                        "{method} {id} {more:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_record_tells_hidden_from_missing_alone() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open(rows);
    for id in ["hidden", "missing"] {
        assert_eq!(
            stage
                .get("nurse", &format!("/fhir/Observation/{id}"))
                .status,
            404
        );
    }
    let refused: Vec<String> = stage
        .gateway
        .records()
        .iter()
        .filter(|record| {
            record["decision"]["outcome"] == "refused" || record.to_string().contains("not-found")
        })
        .map(ToString::to_string)
        .collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(!refused.iter().any(|record| record.contains("Hidden-4711")));
}

#[test]
fn a_404_comes_at_a_tick_whatever_its_cause() {
    if !need("binary") {
        return;
    }
    // a missing row is answered at once, a hidden one 15 ms later: within one tick of 40 ms
    let stage = Stage::with(
        PACK,
        &ROLES,
        |setup| setup.listen("refusal_quantum = \"40ms\""),
        |seen| match rows(seen) {
            script if seen.target.ends_with("/hidden") => {
                Script::new().wait(Duration::from_millis(15)).then(script)
            }
            script => script,
        },
    );
    let nurse = stage.token("nurse");
    let time = |id: &str| {
        let target = format!("/fhir/Observation/{id}");
        let times: Vec<Duration> = (0..20)
            .map(|_| {
                let began = Instant::now();
                assert_eq!(stage.client.get(&target, &nurse).status, 404);
                began.elapsed()
            })
            .collect();
        times.into_iter().min().unwrap_or_default()
    };
    let (missing, hidden) = (time("missing"), time("hidden"));
    let tick = Duration::from_millis(40);
    assert!(missing >= tick && hidden >= tick, "{missing:?} {hidden:?}");
    // the quickest of each: what else the machine does makes others late
    let apart = hidden.abs_diff(missing);
    assert!(apart < Duration::from_millis(7), "{missing:?} {hidden:?}");
}

/// The same gateway over two stores that differ in what the caller may not see.
fn alike(role: &str, targets: &[&str], one: Store, two: Store) {
    let tokens = Tokens::start();
    let token = tokens.token("someone", &[role], "user/*.rs");
    let open = |store: Store| {
        let upstream = Upstream::start(store);
        let gateway =
            Gateway::start(Setup::new(PACK, upstream.url()).issuer(tokens.trusted(&ROLES)));
        (gateway, upstream)
    };
    let stores = [open(one), open(two)];
    for target in targets {
        let faces = stores.each_ref().map(|(gateway, _)| {
            let client = gateway.client();
            let mut answer = client.get(target, &token);
            let mut all = vec![neutral(gateway, &answer)];
            let mut rows = ids(&answer);
            while let Some(next) = answer.link("next") {
                answer = client.get(&next, &token);
                all.push(neutral(gateway, &answer));
                rows.extend(ids(&answer));
            }
            (all, rows)
        });
        assert_eq!(faces[0], faces[1], "{role} {target}");
        assert!(!faces[0].0.is_empty());
    }
}

type Store = fn(&Seen) -> Script;

/// The face without the port that the gateway happens to have, and without the handles' bytes.
fn neutral(gateway: &Gateway, answer: &Response) -> String {
    let face = face(answer).replace(&gateway.address().to_string(), "GATEWAY");
    match face.split_once("_page=") {
        None => face,
        Some((before, rest)) => {
            let end = rest.find('"').unwrap_or(rest.len());
            format!("{before}_page={}{}", end, &rest[end..])
        }
    }
}

fn shown(n: u32) -> String {
    observation(&format!("o{n}"), "p1", "")
}

fn search(rows: &[String], total: u32, seen: &Seen) -> Script {
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let (page, next) = if seen.target.contains("page=2") {
        (&rows[2..], None)
    } else {
        (&rows[..2], Some("http://x/fhir/Observation?page=2"))
    };
    let body = bundle(page, next).replacen(
        r#""searchset""#,
        &format!(
            r#""searchset","id":"b{total}","total":{total},"meta":{{"lastUpdated":"{total}"}}"#
        ),
        1,
    );
    Script::json(200, &body)
}

#[test]
fn searches_over_alike_stores_give_the_same_bytes() {
    if !need("binary") {
        return;
    }
    // a labelled row more; a labelled row in place of another; an included row more
    alike(
        "nurse",
        &[
            "/fhir/Observation",
            "/fhir/Observation?code=Sodium",
            "/fhir/Observation?_count=2",
        ],
        |seen| search(&[shown(1), shown(2), shown(3)], 3, seen),
        |seen| {
            search(
                &[shown(1), shown(2), shown(3), labelled("h", "PSY")],
                4,
                seen,
            )
        },
    );
    alike(
        "nurse",
        &["/fhir/Observation"],
        |seen| search(&[shown(1), labelled("h1", "HIV"), shown(3)], 3, seen),
        |seen| {
            search(
                &[
                    shown(1),
                    labelled("h2", "SDV"),
                    shown(3),
                    r#"{"resourceType":"Patient","id":"p9","name":[{"family":"Hidden"}]}"#
                        .to_owned(),
                ],
                9,
                seen,
            )
        },
    );
    // what a masked row hides: presence, value, order, white space
    alike(
        "front-desk",
        &[
            "/fhir/Patient",
            "/fhir/Patient?name=Ann",
            "/fhir/Patient?birthdate=1970-01-01",
        ],
        |_| {
            Script::json(
                200,
                &bundle(
                    &[
                        r#"{"resourceType":"Patient","id":"p1","meta":{"versionId":"1"},"name":[{"family":"Ann"}],"birthDate":"1970-01-01"}"#,
                    ],
                    None,
                ),
            )
        },
        |_| {
            Script::json(
                200,
                &bundle(
                    &[
                        "{ \"text\":{\"status\":\"generated\",\"div\":\"<div>x</div>\"} , \"resourceType\":\"Patient\",\"maritalStatus\":{\"text\":\"M\"},\"id\":\"p1\",\"meta\":{\"versionId\":\"1\",\"source\":\"s\",\"tag\":[{\"code\":\"t\"}]},\n\"contact\":[{}],\"name\":[{\"family\":\"Ann\"}],\"_name\":[{\"id\":\"z\"}],\"birthDate\":\"1970-01-01\",\"_birthDate\":{\"extension\":[{\"url\":\"x\",\"valueCode\":\"y\"}]},\"photo\":[],\"extension\":[{\"url\":\"http://x\",\"valueString\":\"y\"}]}",
                    ],
                    None,
                ),
            )
        },
    );
    // rows of another category than the coder's
    alike(
        "coder",
        &[
            "/fhir/Condition",
            "/fhir/Condition?code=F32",
            "/fhir/Condition?category=problem-list-item",
        ],
        |_| Script::json(200, &bundle(&[], None)),
        |_| {
            Script::json(
                200,
                &bundle(
                    &[
                        r#"{"resourceType":"Condition","id":"c1","category":[{"coding":[{"code":"problem-list-item"}]}],"code":{"text":"F32"},"subject":{"reference":"Patient/p1"}}"#,
                    ],
                    None,
                ),
            )
        },
    );
    alike(
        "lab-device",
        &["/fhir/ServiceRequest", "/fhir/ServiceRequest?status=draft"],
        |_| Script::json(200, &bundle(&[], None)),
        |_| {
            Script::json(
                200,
                &bundle(
                    &[
                        r#"{"resourceType":"ServiceRequest","id":"s1","status":"draft","intent":"order","subject":{"reference":"Patient/p1"}}"#,
                    ],
                    None,
                ),
            )
        },
    );
}

#[test]
fn reads_over_alike_stores_give_the_same_bytes() {
    if !need("binary") {
        return;
    }
    alike(
        "nurse",
        &["/fhir/Observation/h", "/fhir/Observation/x"],
        |_| Script::json(404, "{}"),
        |seen| {
            let id = if seen.target.ends_with("/h") {
                "h"
            } else {
                "x"
            };
            Script::json(200, &labelled(id, "VIO"))
        },
    );
    alike(
        "coder",
        &["/fhir/Encounter/e1"],
        |_| {
            Script::json(
                200,
                r#"{"resourceType":"Encounter","id":"e1","meta":{"versionId":"1"},"status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/p1"}}"#,
            )
        },
        |_| {
            Script::whole(200, "Content-Type: application/json; charset=utf-8\r\nETag: W/\"9\"\r\nServer: y\r\n", br#"{"resourceType":"Encounter","id":"e1","meta":{"versionId":"1"},"status":"finished","class":{"code":"AMB"},"reasonCode":[{"text":"x"}],"subject":{"reference":"Patient/p1","display":"Somebody"},"participant":[{"individual":{"reference":"Practitioner/1"}}]}"#)
        },
    );
}
