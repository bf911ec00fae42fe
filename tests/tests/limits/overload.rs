//! More requests than there is room for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use chartward_tests::{Request, need};

use super::*;

#[test]
fn ten_times_the_load_is_shed_and_health_answers_throughout() {
    if !need("binary") {
        return;
    }
    let mut stage = Stage::before("requests = 4", |_| {
        Script::new()
            .wait(Duration::from_millis(50))
            .then(Script::json(200, PATIENT))
    });
    stage.serves();
    let before = stage.gateway.process().peak();
    let (over, answered, shed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut slowest = Duration::ZERO;
    thread::scope(|scope| {
        for n in 0..40 {
            let client = if n % 2 == 0 {
                stage.gateway.client()
            } else {
                stage.gateway.client_h2()
            };
            let (token, over, answered, shed) = (&stage.token, &over, &answered, &shed);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let request = Request::get("/fhir/Patient/p1").bearer(token);
                    let answer = client.send(request);
                    match answer.status {
                        200 => answered.fetch_add(1, Ordering::Relaxed),
                        503 => {
                            assert_eq!(answer.reason(), "overloaded");
                            assert_eq!(answer.header("retry-after"), "1");
                            assert!(!answer.header("x-request-id").is_empty());
                            shed.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("{other}: {}", answer.text()),
                    };
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            for path in ["/livez", "/readyz", "/metrics"] {
                let asked = Instant::now();
                assert_eq!(
                    plain::get(stage.gateway.metrics(), path).status,
                    200,
                    "{path}"
                );
                slowest = slowest.max(asked.elapsed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        over.store(true, Ordering::Relaxed);
    });
    let (answered, shed) = (answered.into_inner(), shed.into_inner());
    eprintln!("{answered} answered, {shed} shed, health within {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(
        answered > 20 && shed > answered,
        "{answered} answered, {shed} shed"
    );
    assert_eq!(stage.exceeded("requests"), shed);
    let grown = stage.gateway.process().peak().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more");
    stage.serves();

    // not a record each, but one a second that counts them
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let records = stage.gateway.records();
        let told = records.iter().filter(|record| record["phase"] == "shed");
        let told: Vec<u64> = told
            .filter_map(|record| record["requests"].as_u64())
            .collect();
        if told.iter().sum::<u64>() == shed {
            assert!(told.len() <= 8, "{told:?}");
            let single = records
                .iter()
                .filter(|r| r["decision"]["reason"] == "overloaded");
            assert_eq!(single.count(), told.len());
            break;
        }
        assert!(Instant::now() < deadline, "{told:?} of {shed}");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(stage.gateway.verify().0);
}
