//! The end of a process: what is under way ends well, and where its socket outlives it, nobody
//! notices.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use chartward_tests::{Client, Gateway, Protocol, Script, Tokens, Upstream, need, plain};

use super::steady;
use super::*;

#[test]
fn restarts_with_a_handed_over_socket_under_load_fail_no_request() {
    if !need("binary") {
        return;
    }
    let rounds = rounds(5, 20);
    let (tokens, upstream) = (Tokens::start(), patient());
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let setup = setup(&tokens, &upstream, "").server("drain = \"20s\"");
    let mut gateway = Gateway::start_on(setup, &socket);
    assert_eq!(gateway.address(), socket.local_addr().expect("an address"));
    let load = steady::load(&gateway, &token(&tokens));
    let begun = Instant::now();
    for _ in 0..rounds {
        load.more(100);
        gateway.process().signal("TERM");
        assert!(gateway.process().ended(PATIENCE).success());
        gateway.again_on(&socket);
    }
    load.more(100);
    let took = begun.elapsed();
    let seen = load.stop();
    println!(
        "{rounds} restarts in {took:.1?}: {} answers, {} connections, {} sent again, the slowest {:?}",
        seen.good, seen.connections, seen.resent, seen.slowest
    );
    assert_eq!(seen.failures, Vec::<String>::new());
    let (holds, said) = gateway.verify();
    assert!(holds, "{said}");
    let starts = gateway.records();
    let starts = starts.iter().filter(|r| r["phase"] == "start").count();
    assert_eq!(starts, rounds + 1);
}

/// Answers after a while.
fn patient_after(pause: Duration) -> Upstream {
    Upstream::start(move |_| Script::new().wait(pause).then(Script::json(200, PATIENT)))
}

#[test]
fn what_is_under_way_ends_well_over_both_protocols_and_nothing_new_begins() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient_after(Duration::from_secs(1)));
    let mut gateway = start(&tokens, &upstream, "");
    let token = token(&tokens);
    let asked = [gateway.client(), gateway.client_h2()].map(|client| {
        let token = token.clone();
        thread::spawn(move || client.get("/fhir/Patient/p1", &token))
    });
    until("both are asked", || upstream.seen().len() == 2);
    gateway.process().signal("TERM");
    until("it isn't ready", || {
        plain::get(gateway.metrics(), "/readyz").status == 503
    });
    let ready = plain::get(gateway.metrics(), "/readyz");
    assert!(
        ready.text().contains("process: stopping"),
        "{}",
        ready.text()
    );
    until("it takes no more", || {
        std::net::TcpStream::connect(gateway.address()).is_err()
    });
    let [http1, http2] = asked.map(|asked| asked.join().expect("a client that didn't panic"));
    assert_eq!((http1.status, http2.status), (200, 200));
    assert_eq!(http1.header("connection"), "close");
    assert!(gateway.process().ended(PATIENCE).success());
    let (holds, said) = gateway.verify();
    assert!(holds, "{said}");
    let closings = gateway.records();
    let closings = closings.iter().filter(|r| r["phase"] == "closing");
    assert_eq!(closings.filter(|r| r["outcome"] == "complete").count(), 2);
}

#[test]
fn a_drain_has_a_deadline() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient_after(Duration::from_secs(20)));
    let setup = setup(&tokens, &upstream, "").server("drain = \"500ms\"");
    let mut gateway = Gateway::start(setup);
    let (client, token) = (gateway.client(), token(&tokens));
    let asked = thread::spawn(move || {
        let request = chartward_tests::Request::get("/fhir/Patient/p1").bearer(&token);
        client.try_send(request, PATIENCE)
    });
    until("it is asked", || upstream.seen().len() == 1);
    let begun = Instant::now();
    gateway.process().signal("TERM");
    assert!(gateway.process().ended(PATIENCE).success());
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert!(asked.join().expect("a client that didn't panic").is_err());
    let records = gateway.records();
    let closing = records.iter().find(|r| r["phase"] == "closing");
    assert_eq!(closing.expect("a closing record")["outcome"], "abandoned");
}

#[test]
fn balancers_have_their_time_and_the_delay_can_change_by_a_reload() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let setup = setup(&tokens, &upstream, "").server("drain_delay = \"0s\"");
    let mut gateway = Gateway::start(setup);
    let config = read(&gateway, "config.toml").replace("\"0s\"\n\n[tls]", "\"2s\"\n\n[tls]");
    let config = config.replace("drain_delay = \"0s\"", "drain_delay = \"2s\"");
    write(&gateway, "config.toml", &config);
    reload(&mut gateway);
    let begun = Instant::now();
    gateway.process().signal("TERM");
    until("it isn't ready", || {
        plain::get(gateway.metrics(), "/readyz").status == 503
    });
    // whoever hasn't heard is served
    for _ in 0..5 {
        let client = gateway.client();
        assert_eq!(client.get("/fhir/Patient/p1", &token(&tokens)).status, 200);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(gateway.process().ended(PATIENCE).success());
    assert!(begun.elapsed() >= Duration::from_secs(2));
}

#[test]
fn connections_that_waited_to_be_accepted_are_served() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("an address");
    let mut gateway = Gateway::start_on(setup(&tokens, &upstream, ""), &socket);
    let token = token(&tokens);
    gateway.process().signal("TERM");
    assert!(gateway.process().ended(PATIENCE).success());
    // nobody is there but the kernel
    let ca = gateway.authority().pem().to_owned();
    let asked = [Protocol::Http1, Protocol::Http2].map(|protocol| {
        let (client, token) = (Client::new(address, &ca, None, protocol), token.clone());
        thread::spawn(move || client.get("/fhir/Patient/p1", &token).status)
    });
    thread::sleep(Duration::from_millis(300));
    gateway.again_on(&socket);
    let statuses = asked.map(|asked| asked.join().expect("a client that didn't panic"));
    assert_eq!(statuses, [200, 200]);
}

#[test]
fn a_service_manager_is_told_of_each_step() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let timeout = socket.set_read_timeout(Some(PATIENCE));
    timeout.expect("a timeout");
    let setup = setup(&tokens, &upstream, "").environment("NOTIFY_SOCKET", &path.to_string_lossy());
    let mut gateway = Gateway::start(setup);
    let heard = || {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).expect("a datagram");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    reload(&mut gateway);
    let said = heard();
    let time = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    assert!(time.is_some_and(|t| t.parse::<u64>().is_ok()), "{said}");
    assert_eq!(heard(), "READY=1");
    gateway.process().signal("TERM");
    assert_eq!(heard(), "STOPPING=1");
}
