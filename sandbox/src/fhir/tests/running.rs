//! The server itself: its log, its end, the clinic in it.

use hyper::Method;

use super::*;
use crate::clinic::{self, NURSE, OTHER_NURSE, PATIENT};

#[tokio::test]
async fn requests_are_logged_until_told_not_to() {
    let server = server().await;
    get(&server, "/fhir/Patient?_count=1").await;
    assert_eq!(
        server.targets(),
        [(Method::GET, "/fhir/Patient?_count=1".to_owned())]
    );
    assert!(server.seen()[0].headers.contains_key("host"));
    server.forget();
    ask(&server, "PUT", "/fhir/Patient/a", &[], &patient("a")).await;
    assert_eq!(server.seen()[0].body, patient("a").to_string());
    server.forget();
    server.record(false);
    get(&server, "/fhir/Patient/a").await;
    assert!(server.targets().is_empty());
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn the_clinic_answers_what_a_gateway_asks() {
    let server = start(clinic::seed(1)).await;
    let total = async |query: &str| {
        let answer = get(&server, &format!("/fhir/{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        answer.body["total"].as_u64().unwrap()
    };
    let team = |nurse| format!("CareTeam?patient={PATIENT}&participant={nurse}&status=active");
    assert_eq!(total(&team(NURSE)).await, 1);
    assert_eq!(total(&team(OTHER_NURSE)).await, 0);
    let here = "status=arrived,triaged,in-progress,onleave";
    assert_eq!(
        total(&format!(
            "Encounter?patient=pat-007&participant={NURSE}&{here}"
        ))
        .await,
        1
    );
    let all = total("Condition").await;
    let coded = total("Condition?category=encounter-diagnosis").await;
    let listed = total("Condition?category=problem-list-item").await;
    assert!(coded > 0 && listed > 0 && coded + listed == all);
    assert!(total("ServiceRequest?status=active").await > 100);
    assert!(total("Observation?_security=PSY,MH,SUD").await > 10);
    assert!(total("Appointment?patient=pat-001&date=gt2026-03-02&status=booked").await >= 1);
    assert_eq!(total("Patient?_id=pat-001,pat-002").await, 2);
    assert_eq!(
        total("Patient?identifier=http://hl7.org/fhir/sid/us-ssn|").await,
        200
    );
    assert_eq!(total("_history").await as usize, server.store().len());
}

#[tokio::test]
async fn bodies_have_an_end() {
    let server = server().await;
    let before = whole(&server);
    let mib = 1024 * 1024;
    for (method, target, kind, most) in [
        ("POST", "/fhir/Patient/_search", FORM.1, mib / 16),
        ("POST", "/fhir/Patient", "application/fhir+json", 4 * mib),
        ("PUT", "/fhir/Patient/a", "application/fhir+json", 4 * mib),
        ("PATCH", "/fhir/Patient/a", PATCH.1, 4 * mib),
        ("POST", "/fhir", "application/fhir+json", 16 * mib),
    ] {
        let kind = [("content-type", kind)];
        let fits = raw(&server, method, target, &kind, vec![b'x'; most]).await;
        assert_eq!(fits.status, 400, "{method} {target}");
        let more = raw(&server, method, target, &kind, vec![b'x'; most + 1]).await;
        assert_eq!(
            (more.status, more.code()),
            (413, "too-long"),
            "{method} {target}"
        );
    }
    assert_eq!(whole(&server), before);
}

#[tokio::test]
async fn it_stops_when_dropped() {
    let server = server().await;
    let addr = server.addr();
    drop(server);
    // The port comes free once the runtime has dropped the listener.
    while tokio::net::TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(
        Server::start(Store::new(), "0.0.0.0:0".parse().unwrap())
            .await
            .is_err()
    );
}
