//! The metrics as their readers take them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use chartward_tests::need;
use chartward_tests::noted::skip;

use super::*;

#[test]
fn metrics_are_what_prometheus_reads_and_name_nobody() {
    if !need("binary") {
        return;
    }
    let stage = Stage::new("");
    let client = stage.gateway.client();
    for target in [
        "/fhir/Patient/marked-id",
        "/fhir/Patient?family=marked-value",
        "/marked-path",
        "/fhir/marked-type/1",
        "/fhir/Patient/missing",
    ] {
        client.get(target, &stage.token("editor"));
    }
    stage.at_rest("the requests");
    let text = plain::get(stage.gateway.metrics(), "/metrics").text();
    assert!(
        !text.contains("marked") && !text.contains("someone"),
        "{text}"
    );
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<&str> = series
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, _)| name)
        .collect();
    let once: BTreeSet<&&str> = names.iter().collect();
    assert_eq!(once.len(), names.len(), "a series twice");
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = spawned else {
        return skip("promtool");
    };
    let mut input = promtool.stdin.take().expect("its input");
    input.write_all(text.as_bytes()).expect("the text");
    drop(input);
    let said = promtool.wait_with_output().expect("its words");
    let words = [said.stdout, said.stderr].concat();
    assert!(
        said.status.success() && words.is_empty(),
        "{}",
        String::from_utf8_lossy(&words)
    );
}

#[test]
fn servers_that_a_reload_took_away_have_no_figures() {
    if !need("binary") {
        return;
    }
    let (first, second) = (Upstream::start(chart), Upstream::start(chart));
    let tokens = Tokens::start();
    let setup = Setup::new(PACK, first.url())
        .another_upstream(second.url())
        .issuer(tokens.trusted(&ROLES))
        .section("[reload]\npoll = \"0s\"");
    let mut stage = Stage {
        gateway: Gateway::start(setup),
        upstream: first,
        tokens,
    };
    assert_eq!(stage.sum("chartward_upstream_healthy", "ehr"), 2);
    reloads::edit(&mut stage.gateway, |config| {
        config.replace(&format!(", \"{}\"", second.url()), "")
    });
    assert_eq!(stage.sum("chartward_upstream_healthy", "ehr"), 1);
}
