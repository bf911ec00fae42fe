//! What is in force after a reload, and what says so.

use chartward_certs::{Authority, ClientSpec};
use chartward_tests::{Client, Protocol, Request, Tokens, need, plain};

use super::*;

#[test]
fn a_reload_is_in_force_recorded_and_counted() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let mut gateway = start(&tokens, &upstream, "");
    let (client, token) = (gateway.client(), token(&tokens));
    let answer = client.get("/fhir/Patient/p1", &token);
    assert!(answer.text().contains("female") && !answer.text().contains("1970"));
    let since = figure(
        &gateway,
        "chartward_config_last_reload_success_timestamp_seconds ",
    );
    assert!(since > 1_700_000_000);

    write(&gateway, "pack-0.toml", NARROWER);
    // nothing is polled: the old one serves on
    assert!(
        client
            .get("/fhir/Patient/p1", &token)
            .text()
            .contains("female")
    );
    reload(&mut gateway);
    // on the connection that is open
    let answer = client.get("/fhir/Patient/p1", &token);
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("female"), "{}", answer.text());
    assert_eq!((applied(&gateway), failed(&gateway)), (1, 0));
    assert_eq!(
        figure(&gateway, "chartward_config_last_reload_successful "),
        1
    );
    let records = gateway.records();
    let found: Vec<_> = records.iter().filter(|r| r["phase"] == "reload").collect();
    assert_eq!(found.len(), 1, "{records:#?}");
    let record = found[0];
    assert_eq!(record["outcome"], "applied");
    assert_eq!(record["generation"], 2);
    assert_eq!(record["trigger"], "signal");
    let pack = |value: &serde_json::Value| value[0].as_str().unwrap_or_default().to_owned();
    assert!(pack(&record["packs"]["old"]).starts_with("first@"));
    assert!(pack(&record["packs"]["new"]).starts_with("second@"));
    let last = records.iter().rfind(|r| r["phase"] == "disclosure");
    let decided = last.expect("a disclosure")["decision"]["pack"].to_string();
    assert!(decided.contains("second@"), "{decided}");
}

#[test]
fn changed_content_is_found_and_half_a_file_is_not_taken() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let gateway = start(&tokens, &upstream, "[reload]\npoll = \"300ms\"");
    let (client, token) = (gateway.client(), token(&tokens));
    // the first half is a pack of its own, that grants too much
    let (first, rest) = NARROWER.split_at(NARROWER.rfind("  hide").expect("a last line"));
    // as a slow writer leaves it: every look finds something else
    for n in 0..25 {
        write(&gateway, "pack-0.toml", &format!("{first}# {n}"));
        std::thread::sleep(Duration::from_millis(40));
        let text = client.get("/fhir/Patient/p1", &token).text().to_owned();
        assert!(!text.contains("1970"), "half a pack was taken: {text}");
    }
    write(&gateway, "pack-0.toml", &format!("{first}{rest}"));
    until("the change is found", || generation(&gateway) == 2);
    let text = client.get("/fhir/Patient/p1", &token).text().to_owned();
    assert!(!text.contains("female") && !text.contains("1970"), "{text}");
    // the configuration is watched as its packs are, and a pack that it names anew too
    write(&gateway, "other.toml", PACK);
    let config = read(&gateway, "config.toml").replace("pack-0.toml", "other.toml");
    write(&gateway, "config.toml", &config);
    until("the other pack is in force", || generation(&gateway) == 3);
    write(&gateway, "other.toml", NARROWER);
    until("its change is found", || generation(&gateway) == 4);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(generation(&gateway), 4, "reloaded without a change");
    let triggers: Vec<_> = gateway
        .records()
        .into_iter()
        .filter(|r| r["phase"] == "reload")
        .map(|r| r["trigger"].clone())
        .collect();
    assert_eq!(triggers, ["content", "content", "content"]);
}

#[test]
fn new_handshakes_see_the_new_certificate_and_open_connections_go_on() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let mut gateway = start(&tokens, &upstream, "");
    let (old, token) = (gateway.client(), token(&tokens));
    assert_eq!(old.get("/fhir/Patient/p1", &token).status, 200);
    let other = Authority::new("another authority").expect("an authority");
    let server = other.server(&["127.0.0.1"]).expect("a certificate");
    server
        .write(gateway.folder(), "server")
        .expect("the certificate's files");
    reload(&mut gateway);
    assert_eq!(old.get("/fhir/Patient/p1", &token).status, 200);
    let within = Duration::from_secs(5);
    let distrusts = gateway.client();
    assert!(
        distrusts
            .try_send(Request::get("/fhir/metadata"), within)
            .is_err()
    );
    let new = Client::new(gateway.address(), other.pem(), None, Protocol::Http2);
    assert_eq!(new.get("/fhir/Patient/p1", &token).status, 200);
}

#[test]
fn a_certificate_of_an_open_connection_counts_no_longer_than_its_authority() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let uri = "spiffe://hospital.example/lab";
    let setup = setup(&tokens, &upstream, "").workload("lab", uri, &["nurse"]);
    let mut gateway = Gateway::start(setup);
    let client = gateway.client_with(&gateway.certificate(uri));
    let ask = || client.send(Request::get("/fhir/Patient/p1"));
    assert_eq!(ask().status, 200);
    // both authorities: it still counts
    let other = Authority::new("another authority").expect("an authority");
    let both = format!("{}{}", gateway.authority().pem(), other.pem());
    write(&gateway, "ca.pem", &both);
    reload(&mut gateway);
    assert_eq!(ask().status, 200);
    write(&gateway, "ca.pem", other.pem());
    reload(&mut gateway);
    let answer = ask();
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (401, "unauthenticated")
    );
    // and one of the new authority does
    let issued = other
        .client(&ClientSpec::spiffe("client", uri))
        .expect("a certificate");
    let new = Client::new(
        gateway.address(),
        gateway.authority().pem(),
        Some(&issued),
        Protocol::Http1,
    );
    assert_eq!(new.send(Request::get("/fhir/Patient/p1")).status, 200);
}

#[test]
fn a_remembered_token_has_the_roles_that_are_mapped_now_and_keys_are_kept() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let mut gateway = start(&tokens, &upstream, "");
    let (client, token) = (gateway.client(), token(&tokens));
    assert_eq!(client.get("/fhir/Patient/p1", &token).status, 200);
    let fetched = tokens.issuer().fetches();
    let config = read(&gateway, "config.toml");
    let unmapped = config.replace(
        r#"map = { "nurse" = "nurse" }"#,
        r#"map = { "else" = "nurse" }"#,
    );
    assert_ne!(unmapped, config);
    write(&gateway, "config.toml", &unmapped);
    reload(&mut gateway);
    assert_eq!(client.get("/fhir/Patient/p1", &token).status, 403);
    write(&gateway, "config.toml", &config);
    reload(&mut gateway);
    assert_eq!(client.get("/fhir/Patient/p1", &token).status, 200);
    assert_eq!(
        tokens.issuer().fetches(),
        fetched,
        "the keys were fetched anew"
    );
    // figures go on where they were
    assert_eq!(figure(&gateway, "chartward_token_cache_misses_total "), 3);
}

#[test]
fn an_upstream_that_stays_keeps_its_connections_and_another_takes_over_at_once() {
    if !need("binary") {
        return;
    }
    let (tokens, first, second) = (Tokens::start(), patient(), patient());
    let mut gateway = start(&tokens, &first, "");
    let (client, token) = (gateway.client(), token(&tokens));
    for _ in 0..5 {
        assert_eq!(client.get("/fhir/Patient/p1", &token).status, 200);
        reload(&mut gateway);
    }
    assert!(first.seen().iter().all(|seen| seen.connection == 0));
    let config = read(&gateway, "config.toml");
    write(
        &gateway,
        "config.toml",
        &config.replace(&first.url(), &second.url()),
    );
    reload(&mut gateway);
    first.forget();
    assert_eq!(client.get("/fhir/Patient/p1", &token).status, 200);
    assert_eq!((first.seen().len(), second.seen().len()), (0, 1));
}

#[test]
fn limits_and_services_change_without_a_restart() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let mut gateway = start(&tokens, &upstream, "");
    let token = token(&tokens);
    let long = format!("/fhir/Patient?_id={}", "x".repeat(600));
    assert_ne!(gateway.client().get(&long, &token).status, 414);
    let config = read(&gateway, "config.toml");
    let more = format!(
        "{config}\n[limits]\nurl_bytes = \"512B\"\n[[service]]\nname = \"lab\"\npath = \"/lab\"\n\
         upstream = {:?}\npacks = [\"pack-0.toml\"]\n",
        upstream.url()
    );
    write(&gateway, "config.toml", &more);
    reload(&mut gateway);
    let client = gateway.client();
    assert_eq!(client.get(&long, &token).status, 414);
    assert_eq!(gateway.client().get("/lab/Patient/p1", &token).status, 200);
    let figures = plain::get(gateway.metrics(), "/metrics").text();
    assert!(figures.contains(r#"interaction="read",outcome="answered",service="lab"} 1"#));
    write(&gateway, "config.toml", &config);
    reload(&mut gateway);
    let gone = gateway.client().get("/lab/Patient/p1", &token);
    assert_eq!(gone.reason(), "not-understood");
}
