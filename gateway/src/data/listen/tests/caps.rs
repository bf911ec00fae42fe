//! How much, and how many at once.

use super::*;

#[tokio::test]
async fn what_is_too_long_gets_a_status() {
    let limits = short(|limits| {
        limits.url_bytes = 256;
        limits.header_bytes = 1024;
        limits.header_count = 10;
    });
    let started = Started::new("", limits);
    let long = "a".repeat(300);
    let large = format!("x: {}\r\n", "b".repeat(1100));
    let huge = format!("x: {}\r\n", "c".repeat(9000));
    let many: String = (0..12).map(|n| format!("x{n}: d\r\n")).collect();
    for (path, headers, status) in [
        (long.as_str(), "", 414),
        ("", large.as_str(), 431),
        ("", huge.as_str(), 431),
        ("", many.as_str(), 431),
        ("", "x: y\r\n", 200),
    ] {
        let request =
            format!("GET /{path} HTTP/1.1\r\nhost: l\r\n{headers}connection: close\r\n\r\n");
        let answer = exchange(&mut started.h1().await, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {answer}"
        );

        let mut request = get(&format!("/{path}"));
        for line in headers.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            let name = http::HeaderName::try_from(name).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match started.h2().await.send_request(request).await {
            Ok(answer) => assert_eq!(answer.status(), StatusCode::from_u16(status).unwrap()),
            // far too much of it ends the connection
            Err(_) => assert_eq!(headers, huge),
        }
    }
}

#[tokio::test]
async fn connections_over_the_cap_are_closed_and_counted() {
    let started = Started::new("", short(|limits| limits.connections = 1));
    let mut one = started.h1().await;
    ask_h1(&mut one, "/").await;
    let mut socket = started.tcp().await;
    let mut read = Vec::new();
    timeout(LONG, socket.read_to_end(&mut read))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(started.metrics.connections_refused.get(), 1);
    drop(one);
    started.until_none_open().await;
    ask_h1(&mut started.h1().await, "/").await;
}

#[tokio::test]
async fn what_was_taken_is_given_back() {
    let limits = short(|limits| {
        limits.connections_per_address = 3;
        limits.handshakes = 2;
        limits.requests = 2;
    });
    let started = Started::new("", limits);
    for _ in 0..5 {
        let mut connections = Vec::new();
        for _ in 0..3 {
            connections.push(started.h1().await);
        }
        let ask = async |stream: &mut _, path| {
            exchange(
                stream,
                &format!("GET {path} HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n"),
            )
            .await
        };
        let [one, two, three] = &mut connections[..] else {
            unreachable!()
        };
        let held = async {
            let (one, two) = tokio::join!(ask(one, "/slow"), ask(two, "/slow"));
            assert!(one.contains("slow") && two.contains("slow"));
        };
        let shed = async {
            tokio::time::sleep(millis(300)).await;
            let answer = ask(three, "/").await;
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        };
        tokio::join!(held, shed);
        drop(connections);
        started.until_none_open().await;
        assert_eq!(started.metrics.requests_open.get(), 0);
    }
    let taken = &started.listening.taken;
    assert_eq!(taken.connections.load(Ordering::Relaxed), 0);
}
