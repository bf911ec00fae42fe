//! Many callers at once.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::*;

const WRITERS: usize = 16;
const ROUNDS: usize = 12;

/// A request of its own for each writer.
type Asked = (&'static str, String, Vec<(&'static str, String)>, Value);

/// What each of many callers gets, all of whom ask at once.
async fn together(server: &Arc<Server>, asked: impl Fn(usize) -> Asked) -> Vec<Got> {
    let barrier = Arc::new(Barrier::new(WRITERS));
    let mut callers = JoinSet::new();
    for writer in 0..WRITERS {
        let (server, barrier) = (Arc::clone(server), Arc::clone(&barrier));
        let (method, target, headers, body) = asked(writer);
        callers.spawn(async move {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            barrier.wait().await;
            ask(&server, method, &target, &headers, &body).await
        });
    }
    callers.join_all().await
}

/// A patient so long that a write takes a while: who looks and writes apart is found out.
fn long(mut patient: Value, mark: usize) -> Value {
    let name = json!({"family": format!("w{mark}"), "given": ["a", "b"]});
    patient["name"] = vec![name; 500].into();
    patient
}

fn count(got: &[Got], status: u16) -> usize {
    got.iter().filter(|got| got.status == status).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_writer_wins_each_version() {
    let server = Arc::new(server().await);
    for round in 1..=ROUNDS {
        let got = together(&server, |writer| {
            let body = long(patient("a"), writer);
            let tag = format!("W/\"{round}\"");
            (
                "PUT",
                "/fhir/Patient/a".into(),
                vec![("if-match", tag)],
                body,
            )
        })
        .await;
        assert_eq!(
            (count(&got, 200), count(&got, 412)),
            (1, WRITERS - 1),
            "{round}"
        );
        let won = got.iter().find(|got| got.status == 200).unwrap();
        assert_eq!(won.header("etag"), format!("W/\"{}\"", round + 1));
        assert_eq!(get(&server, "/fhir/Patient/a").await.body, won.body);
    }
    let history = get(&server, "/fhir/Patient/a/_history").await;
    assert_eq!(history.body["total"], ROUNDS + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conditional_create_of_many_creates_once() {
    let server = Arc::new(server().await);
    for round in 0..ROUNDS {
        let mrn = format!("n{round}");
        let got = together(&server, |writer| {
            let criteria = vec![("if-none-exist", format!("identifier=urn:mrn|{mrn}"))];
            (
                "POST",
                "/fhir/Patient".into(),
                criteria,
                long(newcomer(&mrn), writer),
            )
        })
        .await;
        assert_eq!((count(&got, 201), count(&got, 200)), (1, WRITERS - 1));
        let ids: HashSet<_> = got.iter().map(|got| got.body["id"].to_string()).collect();
        assert_eq!(ids.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_without_conditions_all_leave_a_version() {
    let server = Arc::new(server().await);
    let got = together(&server, |writer| match writer % 2 {
        0 => (
            "POST",
            "/fhir/Patient".into(),
            vec![],
            long(newcomer("n"), writer),
        ),
        _ => (
            "PUT",
            "/fhir/Patient/a".into(),
            vec![],
            long(patient("a"), writer),
        ),
    })
    .await;
    let tags: HashSet<_> = got.iter().map(|got| got.header("location")).collect();
    assert_eq!(tags.len(), WRITERS, "every version has a place of its own");
    let versions = server.store().dump_versions();
    assert_eq!(versions.as_array().unwrap().len(), 4 + WRITERS);
}

/// Each transaction writes two rows alike: no reader sees one without the other, and no writer loses.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_sees_half_a_transaction() {
    let server = Arc::new(server().await);
    let writing = {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            for _ in 0..4 {
                let got = together(&server, |writer| {
                    let entry = |id: &str| {
                        let mut body = patient(id);
                        body["name"] = json!([{"family": format!("w{writer}")}]);
                        json!({"resource": body, "request": {"method": "PUT", "url": format!("Patient/{id}")}})
                    };
                    let entries = json!([entry("a"), entry("b")]);
                    let body = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
                    ("POST", "/fhir".into(), vec![], body)
                })
                .await;
                assert_eq!(count(&got, 200), WRITERS);
            }
        })
    };
    let mut looks = 0;
    while !writing.is_finished() || looks < 10 {
        let store = server.store();
        let name = |place: &str| store.get(place).unwrap().resource["name"].clone();
        assert_eq!(name("Patient/a"), name("Patient/b"));
        let found = get(&server, "/fhir/Patient?_id=a,b").await;
        let entries = found.body["entry"].as_array().unwrap();
        assert_eq!(
            entries[0]["resource"]["name"],
            entries[1]["resource"]["name"]
        );
        let versions = |at: usize| &entries[at]["resource"]["meta"]["versionId"];
        assert_eq!(versions(0), versions(1));
        looks += 1;
    }
    writing.await.unwrap();
    let last = get(&server, "/fhir/Patient/a").await;
    assert_eq!(last.header("etag"), format!("W/\"{}\"", 4 * WRITERS + 1));
}
