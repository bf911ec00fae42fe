//! Several servers, and more requests than there are places.

use std::sync::atomic::Ordering::SeqCst;

use super::*;

const DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}";
const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}";

fn among(scripts: &[&Script], keys: &str, change: impl FnOnce(&mut Target)) -> Pool {
    let urls = scripts
        .iter()
        .map(|s| format!("\"http://{}/fhir\"", s.address));
    of(&urls.collect::<Vec<_>>(), keys, change)
}

fn of(urls: &[String], keys: &str, change: impl FnOnce(&mut Target)) -> Pool {
    let place = Place::new();
    let config = place.config(TLS, &format!("upstream = [{}]\n{keys}", urls.join(", ")));
    let target = Target::new(&config.source, &config.services[0], &config.limits).unwrap();
    let mut target = Arc::into_inner(target).unwrap();
    change(&mut target);
    Pool::new(Arc::new(target), Metrics::new(["ehr"]).unwrap())
}

/// A URL where nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("\"http://{}/fhir\"", listener.local_addr().unwrap())
}

fn figure(pool: &Pool, name: &str) -> String {
    let text = pool.metrics().text().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no `{name}` in\n{text}"))
        .trim()
        .to_owned()
}

#[tokio::test]
async fn requests_go_to_all_of_several_and_away_from_the_busy_one() {
    let (one, two) = (
        Script::new(&[Act::Say(OK); 60]).await,
        Script::new(&[Act::Say(OK); 60]).await,
    );
    let pool = among(&[&one, &two], "", |_| {});
    for _ in 0..60 {
        get(&pool).await.unwrap();
    }
    let (first, second) = (one.requests().len(), two.requests().len());
    assert_eq!(first + second, 60);
    assert!(first > 9 && second > 9, "{first} {second}");

    let slow = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let (one, two) = (
        Script::new(&[Act::Hang(slow)]).await,
        Script::new(&[Act::Say(OK); 30]).await,
    );
    let pool = among(&[&one, &two], "", |_| {});
    // until the slow one has a request
    let mut held = Vec::new();
    while one.requests().is_empty() {
        held.push(pool.send(&ask(Method::GET)).await.unwrap());
    }
    held.retain(|answer| answer.body.announced() == Some(9));
    let before = two.requests().len();
    for _ in 0..20 {
        get(&pool).await.unwrap();
    }
    assert_eq!(
        (one.requests().len(), two.requests().len()),
        (1, before + 20)
    );
}

#[tokio::test]
async fn a_failed_attempt_is_made_once_more_elsewhere() {
    for act in [Act::Last(""), Act::Say(DOWN)] {
        let (bad, good) = (
            Script::new(&[act; 20]).await,
            Script::new(&[Act::Say(OK); 40]).await,
        );
        let pool = among(&[&bad, &good], "ejection = { after = 1000 }", |_| {});
        while bad.requests().is_empty() {
            assert_eq!(get(&pool).await.unwrap(), b"{}");
        }
        // an unsafe one isn't
        let mut failed = 0;
        for _ in 0..20 {
            match pool.send(&ask(Method::POST)).await {
                Ok(answer) if answer.status.is_success() => {}
                _ => failed += 1,
            }
        }
        assert_eq!(failed, bad.requests().len() - 1);
        assert!(failed > 0);
        assert_eq!(
            figure(
                &pool,
                "chartward_upstream_retries_total{outcome=\"made\",service=\"ehr\"}"
            ),
            "1"
        );
    }
    // nothing of a request leaves where there is no connection: any may be made again
    let good = Script::new(&[Act::Say(OK); 40]).await;
    let urls = [nowhere().await, format!("\"http://{}/fhir\"", good.address)];
    let pool = of(&urls, "ejection = { after = 1000 }", |_| {});
    for _ in 0..10 {
        pool.send(&ask(Method::POST)).await.unwrap();
    }
    assert_eq!(good.requests().len(), 10);
    // where all are down the answer is theirs
    let (one, two) = (
        Script::new(&[Act::Say(DOWN); 9]).await,
        Script::new(&[Act::Say(DOWN); 9]).await,
    );
    let pool = among(&[&one, &two], "", |_| {});
    let answer = pool.send(&ask(Method::GET)).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!((one.requests().len(), two.requests().len()), (1, 1));
}

#[tokio::test]
async fn retries_dont_double_what_a_failing_upstream_is_asked() {
    let script = Script::new(&[Act::Last(""); 200]).await;
    let pool = script.pool();
    for _ in 0..100 {
        assert!(get(&pool).await.is_err());
    }
    assert_eq!(script.requests().len(), 110);
    assert_eq!(
        figure(
            &pool,
            "chartward_upstream_retries_total{outcome=\"over-budget\",service=\"ehr\"}"
        ),
        "90"
    );
}

#[tokio::test]
async fn a_failing_server_of_several_is_left_alone_but_never_more_than_half() {
    let bad = Script::new(&[Act::Say(ERROR); 40]).await;
    let good = Script::new(&[Act::Say(OK); 400]).await;
    let keys = "ejection = { after = 2, first = \"400ms\" }";
    let pool = among(&[&bad, &good], keys, |_| {});
    let ejections = "chartward_upstream_ejections_total{service=\"ehr\"}";
    while figure(&pool, ejections) == "0" {
        pool.send(&ask(Method::GET)).await.unwrap();
    }
    assert_eq!(
        (bad.requests().len(), pool.target().standing()),
        (2, (2, 1))
    );
    for _ in 0..20 {
        get(&pool).await.unwrap();
    }
    assert_eq!(bad.requests().len(), 2);
    // its time is over
    let back = async {
        while bad.requests().len() == 2 {
            pool.send(&ask(Method::GET)).await.unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, back).await.unwrap();

    // all fail: half of them are asked
    let all: Vec<Script> = vec![
        Script::new(&[Act::Say(ERROR); 90]).await,
        Script::new(&[Act::Say(ERROR); 90]).await,
        Script::new(&[Act::Say(ERROR); 90]).await,
    ];
    let pool = among(
        &all.iter().collect::<Vec<_>>(),
        "ejection = { after = 1 }",
        |_| {},
    );
    for _ in 0..50 {
        pool.send(&ask(Method::GET)).await.unwrap();
    }
    assert_eq!(
        (pool.target().standing(), figure(&pool, ejections).as_str()),
        ((3, 2), "1")
    );

    // the only one
    let script = Script::new(&[Act::Say(ERROR); 9]).await;
    let pool = among(&[&script], "ejection = { after = 1 }", |_| {});
    for _ in 0..9 {
        pool.send(&ask(Method::GET)).await.unwrap();
    }
    assert_eq!(pool.target().standing(), (1, 1));
}

#[tokio::test]
async fn checks_find_servers_down_and_up_again_and_none_well_means_all_are_tried() {
    // what is answered to checks, by server; requests get 200
    let well: Arc<[std::sync::atomic::AtomicBool; 2]> = Arc::default();
    let mut urls = Vec::new();
    let asked: Arc<[AtomicUsize; 2]> = Arc::default();
    for at in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        urls.push(format!(
            "\"http://{}/fhir\"",
            listener.local_addr().unwrap()
        ));
        let (well, asked) = (well.clone(), asked.clone());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (well, asked) = (well.clone(), asked.clone());
                tokio::spawn(async move {
                    while let Some(request) = request(&mut socket).await {
                        let check = request.starts_with("GET /fhir/metadata ");
                        asked[at].fetch_add(usize::from(!check), SeqCst);
                        let said = if check && !well[at].load(SeqCst) {
                            ERROR
                        } else {
                            OK
                        };
                        socket.write_all(said.as_bytes()).await.unwrap();
                    }
                });
            }
        });
    }
    let keys = "health = { every = \"100ms\", unhealthy_after = 2, healthy_after = 2 }";
    let pool = of(&urls, keys, |_| {});
    watch(
        pool.target(),
        pool.metrics(),
        &tokio::runtime::Handle::current(),
    );
    let until = |up: usize| {
        let target = pool.target().clone();
        async move {
            let reached = async {
                while target.standing().1 != up {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(LONG, reached).await.unwrap();
        }
    };
    assert_eq!(pool.target().standing(), (2, 2));
    until(0).await;
    assert_eq!(
        figure(
            &pool,
            "chartward_upstream_healthy{service=\"ehr\",upstream=\"1\"}"
        ),
        "0"
    );
    // a check that fails everywhere must not stop everything
    for _ in 0..40 {
        get(&pool).await.unwrap();
    }
    let before: Vec<usize> = asked.iter().map(|count| count.load(SeqCst)).collect();
    assert!(before.iter().all(|&count| count > 5), "{before:?}");
    well[1].store(true, SeqCst);
    until(1).await;
    for _ in 0..40 {
        get(&pool).await.unwrap();
    }
    assert_eq!(asked[0].load(SeqCst), before[0]);
    assert_eq!(
        figure(
            &pool,
            "chartward_upstream_healthy{service=\"ehr\",upstream=\"1\"}"
        ),
        "1"
    );
    well[0].store(true, SeqCst);
    until(2).await;
}

#[tokio::test]
async fn places_and_the_line_before_them_are_bounded() {
    let slow = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let script = Script::new(&[Act::Hang(slow), Act::Hang(slow), Act::Say(OK), Act::Say(OK)]).await;
    let keys = "load = { requests = 2, waiting = 1, wait = \"300ms\" }";
    let pool = among(&[&script], keys, |_| {});
    let one = pool.send(&ask(Method::GET)).await.unwrap();
    let two = pool.send(&ask(Method::GET)).await.unwrap();
    assert_eq!(
        figure(
            &pool,
            "chartward_upstream_requests_in_flight{service=\"ehr\"}"
        ),
        "2"
    );
    // one waits in vain, the other has nowhere to wait
    let begun = tokio::time::Instant::now();
    let (waits, turned) = tokio::join!(get(&pool), async {
        sleep(Duration::from_millis(50)).await;
        assert_eq!(
            figure(
                &pool,
                "chartward_upstream_requests_waiting{service=\"ehr\"}"
            ),
            "1"
        );
        let turned = get(&pool).await;
        assert!(begun.elapsed() < Duration::from_millis(250));
        turned
    });
    assert!(begun.elapsed() >= Duration::from_millis(300));
    for refused in [waits, turned] {
        assert!(matches!(refused, Err(Fault::Overloaded)), "{refused:?}");
    }
    assert_eq!(
        figure(
            &pool,
            "chartward_upstream_overloaded_total{service=\"ehr\"}"
        ),
        "2"
    );
    // a place that is given back goes to who waits, whatever became of the request
    let (waited, ()) = tokio::join!(get(&pool), async {
        sleep(Duration::from_millis(50)).await;
        drop(one);
    });
    assert_eq!(waited.unwrap(), b"{}");
    drop(two);
    get(&pool).await.unwrap();
    for gauge in ["in_flight", "waiting"] {
        let name = format!("chartward_upstream_requests_{gauge}{{service=\"ehr\"}}");
        assert_eq!(figure(&pool, &name), "0");
    }
    assert_eq!(script.requests().len(), 4);
}

#[tokio::test]
async fn many_at_once_all_get_a_place_in_turn() {
    let script = Script::new(&[Act::Say(OK); 300]).await;
    let keys = "load = { requests = 3, waiting = 300, wait = \"20s\" }";
    let pool = among(&[&script], keys, |_| {});
    let tasks: Vec<_> = (0..300)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { get(&pool).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(script.connections() <= 3, "{}", script.connections());
}

#[tokio::test]
async fn an_answer_that_trickles_for_ever_ends_at_the_total() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        request(&mut socket).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n";
        let _ = socket.write_all(head.as_bytes()).await;
        while socket.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let pool = pool(&url, "", |target| {
        target.times.total = Duration::from_millis(300)
    });
    let fault = get(&pool).await.unwrap_err();
    assert!(
        matches!(fault, Fault::TotalTimeout) && fault.is_timeout(),
        "{fault}"
    );
}
