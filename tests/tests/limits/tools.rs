//! Tools of others that attack a listener, or judge it.

use std::process::Command;

use chartward_tests::process::filter;
use chartward_tests::skip::{need_all, sslyze};

use super::*;

#[test]
fn the_tls_that_is_offered_is_mozillas_intermediate() {
    if !need_all(&["binary", "sslyze"]) {
        return;
    }
    let stage = Stage::new("");
    let mut command = Command::new(sslyze().expect("CHARTWARD_SSLYZE"));
    command
        .arg("--mozilla_config=intermediate")
        .arg("--certinfo_ca_file")
        .arg(stage.gateway.ca_file())
        .arg(format!("localhost:{}", stage.gateway.address().port()));
    // it fails where something differs
    let said = filter("sslyze", &mut command, "");
    assert!(said.contains("OK - Compliant"), "{said}");
    stage.serves();
}

#[test]
fn a_thousand_slow_connections_leave_the_service_up() {
    if !need_all(&["binary", "slowhttptest"]) {
        return;
    }
    let stage = Stage::new("headers = \"2s\"\nhandshake = \"3s\"");
    for attack in [
        &["-H", "-i", "1"][..],
        &["-B", "-i", "1"],
        &[
            "-X", "-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "3",
        ],
    ] {
        let mut command = Command::new("slowhttptest");
        let url = format!("{}/metadata", stage.gateway.base());
        command.args(attack);
        command.args([
            "-c", "1000", "-r", "500", "-l", "4", "-p", "3", "-v", "1", "-u", &url,
        ]);
        let said = filter("slowhttptest", &mut command, "");
        assert!(said.contains("YES"), "{attack:?}: {said}");
        assert!(
            !said.contains("service available:   NO"),
            "{attack:?}: {said}"
        );
        stage.serves();
        eprintln!("{attack:?}: {} heads cut", stage.exceeded("headers"));
    }
    assert!(stage.exceeded("headers") > 500);
}

#[test]
fn many_streams_at_once_are_answered_or_shed() {
    if !need_all(&["binary", "h2load"]) {
        return;
    }
    let stage = Stage::new("requests = 50");
    let mut command = Command::new("h2load");
    command
        .args(["-n", "5000", "-c", "50", "-m", "100", "-H"])
        .arg(format!("Authorization: Bearer {}", stage.token))
        .arg(format!("{}/Patient/p1", stage.gateway.base()));
    let said = filter("h2load", &mut command, "");
    // every request has an answer
    assert!(
        said.contains("5000 done") && said.contains(" 0 errored, 0 timeout"),
        "{said}"
    );
    assert!(said.contains(" 0 3xx, 0 4xx, "), "{said}");
    assert!(stage.exceeded("requests") > 0);
    assert_eq!(stage.exceeded("h2_frames") + stage.exceeded("h2_resets"), 0);
    stage.serves();
}
