//! Reloads between and during writes: each is done once, under one pack, and said as it was.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use chartward_tests::need;

use super::*;

/// Rewrites the configuration, and waits until it is in force.
pub(super) fn edit(gateway: &mut Gateway, change: impl FnOnce(&str) -> String) {
    let path = gateway.folder().join("config.toml");
    let before = fs::read_to_string(&path).expect("the configuration");
    fs::write(&path, change(&before)).expect("the configuration");
    let generation = sum(gateway, "chartward_config_generation", "");
    gateway.process().signal("HUP");
    until("the reload is applied", || {
        sum(gateway, "chartward_config_generation", "") > generation
    });
}

#[test]
fn reloads_under_writes_fail_none_and_double_none() {
    if !need("binary") {
        return;
    }
    let Stage {
        mut gateway,
        upstream,
        tokens,
    } = Stage::before("[reload]\npoll = \"0s\"", |seen| {
        let answer = chart(seen);
        match seen.method.as_str() {
            "POST" => {
                let created = String::from_utf8_lossy(&seen.body).into_owned();
                let created = created.replacen('{', r#"{"id":"made","#, 1);
                Script::json(201, &created)
            }
            _ => answer,
        }
    });
    let token = tokens.token("someone", &["editor"], "user/*.cruds");
    let over = AtomicBool::new(false);
    let callers: Vec<_> = (0..4)
        .map(|n| {
            if n % 2 == 0 {
                gateway.client()
            } else {
                gateway.client_h2()
            }
        })
        .collect();
    let sent: Vec<(usize, Vec<String>)> = thread::scope(|scope| {
        let over = &over;
        let each: Vec<_> = callers
            .iter()
            .enumerate()
            .map(|(n, client)| {
                let token = &token;
                scope.spawn(move || {
                    let (mut count, mut wrong) = (0, Vec::new());
                    while !over.load(Ordering::Relaxed) {
                        let id = format!("w{n}-{count}");
                        let row =
                            json!({ "resourceType": "Patient", "identifier": [{ "value": id }] });
                        let request = match count % 2 {
                            0 => Request::new("POST", "/fhir/Patient")
                                .body(FHIR, row.to_string().as_bytes()),
                            _ => {
                                let row = patient(&id).to_string();
                                Request::new("PUT", &format!("/fhir/Patient/{id}"))
                                    .body(FHIR, row.as_bytes())
                            }
                        };
                        match client.try_send(request.bearer(token), PATIENCE) {
                            Ok(answer) if matches!(answer.status, 200 | 201) => {}
                            Ok(answer) => {
                                wrong.push(format!("{}: {}", answer.status, answer.text()))
                            }
                            Err(error) => wrong.push(error.to_string()),
                        }
                        count += 1;
                    }
                    (count, wrong)
                })
            })
            .collect();
        for round in 0..100 {
            let pack = format!("{PACK}\n# {round}\n");
            fs::write(gateway.folder().join("pack-0.toml"), pack).expect("the pack");
            // now and then another target, so that connections are given up
            edit(&mut gateway, |config| match round % 10 {
                0 => config.replace("[[service]]\n", "[[service]]\nejection = { after = 9 }\n"),
                5 => config.replace("ejection = { after = 9 }\n", ""),
                _ => config.to_owned(),
            });
        }
        over.store(true, Ordering::Relaxed);
        each.into_iter()
            .map(|one| one.join().expect("a caller"))
            .collect()
    });
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for seen in upstream.seen().iter().filter(|seen| seen.method != "GET") {
        let body: Value = serde_json::from_slice(&seen.body).expect("a resource");
        let id = [&body["id"], &body["identifier"][0]["value"]];
        let id = id.iter().find_map(|id| id.as_str()).expect("an id");
        *counts.entry(id.to_owned()).or_default() += 1;
    }
    let (mut writes, mut wrong) = (0, Vec::new());
    for (count, failed) in sent {
        writes += count;
        wrong.extend(failed);
    }
    assert_eq!(wrong, Vec::<String>::new(), "of {writes}");
    assert!(writes > 200, "{writes}");
    assert_eq!(counts.len(), writes);
    assert_eq!(counts.values().max(), Some(&1));
    let (holds, said) = gateway.verify();
    assert!(holds, "{said}");
}

#[test]
fn a_write_that_a_reload_came_between_is_one_of_its_old_pack_and_its_old_upstream() {
    if !need("binary") {
        return;
    }
    let mut stage = Stage::before("[reload]\npoll = \"0s\"", chart);
    let other = Upstream::start(chart);
    let mut raw = stage.gateway.raw();
    assert!(raw.send(&stage.put("asked1")));
    until("its question is asked", || {
        stage.reached("GET", "asked1") == 1
    });
    // the same role may write nothing now, and the server is another one
    let pack = PACK
        .replace("\"update\", ", "")
        .replacen("\"writes\"", "\"later\"", 1);
    fs::write(stage.gateway.folder().join("pack-0.toml"), pack).expect("the pack");
    let (from, to) = (stage.upstream.url(), other.url());
    edit(&mut stage.gateway, |config| config.replace(&from, &to));
    assert!(
        raw.read_answer()
            .is_ok_and(|answer| holds(&answer, b"HTTP/1.1 200 "))
    );
    assert_eq!(stage.reached("PUT", "asked1"), 1);
    assert!(other.seen().is_empty(), "{:?}", other.seen());
    stage.at_rest("the write");
    let records = stage.gateway.records();
    let of = records.iter().filter(|r| r["request_id"] == "put-asked1");
    let packs: Vec<&Value> = of
        .map(|r| &r["decision"]["pack"])
        .filter(|p| !p.is_null())
        .collect();
    assert!(
        packs.len() >= 2 && packs.iter().all(|p| *p == packs[0]),
        "{records:#?}"
    );
    assert!(raw.send(&stage.put("asked2")));
    assert!(
        raw.read_answer()
            .is_ok_and(|answer| holds(&answer, b"HTTP/1.1 403 "))
    );
}

#[test]
fn pages_go_on_across_reloads() {
    if !need("binary") {
        return;
    }
    let mut stage = Stage::before("[reload]\npoll = \"0s\"", |seen| {
        let at = seen.target.split_once("page=").map_or("0", |(_, at)| at);
        let at: usize = at.split('&').next().unwrap_or("0").parse().unwrap_or(0);
        let row = patient(&format!("p{at}"));
        let next =
            json!({ "relation": "next", "url": format!("http://x/fhir/Patient?page={}", at + 1) });
        let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "link": [next],
            "entry": [{ "resource": row, "search": { "mode": "match" } }] });
        Script::json(200, &bundle.to_string())
    });
    let client = stage.gateway.client();
    let mut target = "/fhir/Patient?_count=1".to_owned();
    for round in 0..5 {
        let answer = client.get(&target, &stage.token("editor"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.holds(format!("\"p{round}\"").as_bytes()),
            "{}",
            answer.text()
        );
        target = answer.link("next").expect("a next page");
        edit(&mut stage.gateway, str::to_owned);
    }
}
