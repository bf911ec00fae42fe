//! Reloads under load: nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chartward_tests::{Load, Tokens, need};
use serde_json::json;

use super::*;

/// How long the rate that the machine can do is measured.
const MEASURE: Duration = Duration::from_millis(1500);
/// Connections of each protocol.
pub const CONNECTIONS: usize = 6;
/// Reloads.
const ROUNDS: usize = 100;
/// Requests of a connection of each protocol at a tick.
const AT_A_TICK: usize = 1 + 3;

/// Right: whole, without what both packs hide.
pub fn right(status: u16, body: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    match status {
        200 if text.contains(r#""active":true"#) && !text.contains("1970") => Ok(()),
        _ => Err(format!("{status}: {text}")),
    }
}

/// Load at four fifths of what the gateway can do here and now.
pub fn load(gateway: &Gateway, token: &str) -> Load {
    let all = Load::start(gateway, "/fhir/Patient/p1", token, CONNECTIONS, None, right);
    all.more(20);
    let (from, begun) = (all.good(), Instant::now());
    thread::sleep(MEASURE);
    let each = begun.elapsed() / u32::try_from(all.good() - from).unwrap_or(1).max(1);
    let seen = all.stop();
    assert_eq!(seen.failures, Vec::<String>::new());
    let requests = u32::try_from(CONNECTIONS * AT_A_TICK).unwrap_or(1);
    let pace = each * requests * 10 / 8;
    println!("{:.0} requests/s at most", 1.0 / each.as_secs_f64());
    Load::start(
        gateway,
        "/fhir/Patient/p1",
        token,
        CONNECTIONS,
        Some(pace),
        right,
    )
}

#[test]
fn reloads_under_load_fail_no_request() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let mut gateway = start(&tokens, &upstream, "");
    let token = token(&tokens);
    let load = load(&gateway, &token);
    let begun = Instant::now();
    let config = read(&gateway, "config.toml");
    let jwks = format!("jwks = {:?}\nroles =", tokens.issuer().jwks_url());
    let explicit = config.replacen("roles =", &jwks, 1);
    assert_ne!(explicit, config);
    for round in 0..ROUNDS {
        // packs in turn; each third round a new certificate; each fifth a new key of the issuer,
        // whose key set is then another ring's
        write(&gateway, "pack-0.toml", [NARROWER, PACK][round % 2]);
        if round % 3 == 0 {
            let server = gateway.authority().server(&["127.0.0.1"]);
            let server = server.expect("a certificate");
            server.write(gateway.folder(), "server").expect("its files");
        }
        let alg = ["ES256", "PS256", "RS256"][round / 5 % 3];
        if round % 5 == 0 {
            let claims = json!({ "sub": "nina", "roles": ["nurse"], "scope": "user/*.rs",
                "aud": chartward_tests::gateway::AUDIENCE, "client_id": "app", "n": round });
            let next = tokens.issuer().token_with(&json!({ "alg": alg }), &claims);
            write(&gateway, "config.toml", [&explicit, &config][round / 5 % 2]);
            reload(&mut gateway);
            load.token(&next.expect("a token"));
        } else {
            reload(&mut gateway);
        }
        load.more(20);
    }
    let took = begun.elapsed();
    let seen = load.stop();
    println!(
        "{ROUNDS} rounds in {took:.1?}: {} answers, {} connections, {} sent again, the slowest {:?}",
        seen.good, seen.connections, seen.resent, seen.slowest
    );
    assert_eq!(seen.failures, Vec::<String>::new());
    assert!(applied(&gateway) >= ROUNDS as u64 && failed(&gateway) == 0);
    let (holds, said) = gateway.verify();
    assert!(holds, "{said}");
    // each answer was decided by one pack and masked by the same
    let packs = |r: &serde_json::Value| r["decision"]["pack"].as_str().unwrap_or("").to_owned();
    let used: std::collections::BTreeSet<String> = gateway
        .records()
        .iter()
        .filter(|r| r["phase"] == "disclosure")
        .map(packs)
        .collect();
    assert_eq!(used.len(), 2, "{used:?}");
}

#[test]
fn the_judge_of_the_load_sees_failures() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let mut gateway = start(&tokens, &upstream, "");
    let broken = Arc::new(AtomicBool::new(false));
    let seen = broken.clone();
    let load = Load::start(
        &gateway,
        "/fhir/Patient/p1",
        &token(&tokens),
        2,
        Some(Duration::from_millis(5)),
        move |status, body| {
            if status == 403 {
                seen.store(true, Ordering::Relaxed);
            }
            right(status, body)
        },
    );
    load.more(10);
    write(&gateway, "pack-0.toml", WITHOUT);
    reload(&mut gateway);
    until("the load sees refusals", || broken.load(Ordering::Relaxed));
    gateway.kill();
    assert!(load.stop().failures.len() > 1);
}
