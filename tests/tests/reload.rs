//! Reloads, drains and handed-over sockets, in front of a scripted upstream.

mod answers;
mod restart;
mod steady;
mod streams;
mod wrong;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use chartward_tests::{Gateway, PATIENCE, Script, Setup, Tokens, Upstream, plain};

/// Hides the birth date.
pub const PACK: &str = r#"
pack = "first"
fhir = "R4"
[[role]]
name     = "nurse"
purposes = ["TREAT"]
  [[role.grant]]
  on   = ["Patient", "Observation"]
  can  = ["read", "search"]
  hide = ["Patient.birthDate"]
"#;

/// Hides the gender and an observation's note too.
pub const NARROWER: &str = r#"
pack = "second"
fhir = "R4"
[[role]]
name     = "nurse"
purposes = ["TREAT"]
  [[role.grant]]
  on   = ["Patient", "Observation"]
  can  = ["read", "search"]
  hide = ["Patient.birthDate", "Patient.gender", "Observation.note"]
"#;

/// The role sees nothing of what it saw.
pub const WITHOUT: &str = r#"
pack = "third"
fhir = "R4"
[[role]]
name     = "nurse"
purposes = ["TREAT"]
  [[role.grant]]
  on   = ["Slot"]
  can  = ["read", "search"]
"#;

pub const PATIENT: &str = r#"{"resourceType":"Patient","id":"p1","meta":{"versionId":"1"},"birthDate":"1970-01-01","gender":"female","active":true}"#;

/// A gateway that reloads at a signal only, unless `sections` say otherwise.
pub fn start(tokens: &Tokens, upstream: &Upstream, sections: &str) -> Gateway {
    Gateway::start(setup(tokens, upstream, sections))
}

pub fn setup(tokens: &Tokens, upstream: &Upstream, sections: &str) -> Setup {
    Setup::new(PACK, upstream.url())
        .issuer(tokens.trusted(&["nurse"]))
        .section(match sections {
            "" => "[reload]\npoll = \"0s\"",
            other => other,
        })
}

pub fn patient() -> Upstream {
    Upstream::start(|_| Script::json(200, PATIENT))
}

pub fn token(tokens: &Tokens) -> String {
    tokens.token("nina", &["nurse"], "user/*.rs")
}

/// A figure of the gateway's.
pub fn figure(gateway: &Gateway, name: &str) -> u64 {
    let text = plain::get(gateway.metrics(), "/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no `{name}` in\n{text}"));
    value.trim().parse().expect("a number")
}

pub fn generation(gateway: &Gateway) -> u64 {
    figure(gateway, "chartward_config_generation ")
}

pub fn applied(gateway: &Gateway) -> u64 {
    figure(
        gateway,
        r#"chartward_config_reloads_total{outcome="applied"}"#,
    )
}

pub fn failed(gateway: &Gateway) -> u64 {
    figure(
        gateway,
        r#"chartward_config_reloads_total{outcome="failed"}"#,
    )
}

pub fn write(gateway: &Gateway, file: &str, text: &str) {
    fs::write(gateway.folder().join(file), text).expect("the file");
}

pub fn read(gateway: &Gateway, file: &str) -> String {
    fs::read_to_string(gateway.folder().join(file)).expect("the file")
}

/// Asks for a reload, and waits until it was applied.
pub fn reload(gateway: &mut Gateway) {
    let before = generation(gateway);
    gateway.process().signal("HUP");
    until("the reload is applied", || generation(gateway) > before);
}

pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The rounds of a test: few, or as many as are promised where time doesn't count.
pub fn rounds(few: usize, promised: usize) -> usize {
    match std::env::var_os("CHARTWARD_LONG") {
        Some(_) => promised,
        None => few,
    }
}
