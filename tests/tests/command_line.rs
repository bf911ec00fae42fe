//! What a newcomer meets: `demo` with its commands, and what `check` says.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use chartward_certs::Issued;
use chartward_tests::process::Process;
use chartward_tests::skip::{binary, need};
use chartward_tests::{Client, Protocol, Request};

/// A synthetic patient of the demo with behavioural-health rows.
const PATIENT: &str = "pat-001";

#[test]
fn demo_shows_one_chart_in_three_views_a_refusal_and_their_records() {
    if !need("binary") {
        return;
    }
    let program = binary().expect("needed");
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let mut command = Command::new(&program);
    command.args(["demo", "--port", "0", "--directory"]).arg(at);
    let began = Instant::now();
    let mut demo = Process::start("demo", command);
    let ready = demo.ready("chartward ready", Duration::from_secs(10));
    assert!(began.elapsed() < Duration::from_secs(10));
    let address = ready
        .split_whitespace()
        .find_map(|word| word.strip_prefix("https="))
        .expect("an address")
        .parse()
        .expect("an address");
    let ca = fs::read_to_string(at.join("ca.pem")).expect("the authority");
    let client = Client::new(address, &ca, None, Protocol::Http1);
    let as_role = |role: &str, target: &str| {
        let header = fs::read_to_string(at.join(format!("{role}.header"))).expect("a token");
        let token = header
            .strip_prefix("Authorization: Bearer ")
            .expect("a bearer token");
        client.send(Request::get(target).bearer(token.trim()))
    };

    // one chart, three views
    let chart = format!("/fhir/Patient/{PATIENT}");
    let views = ["physician", "nurse", "front-desk"].map(|role| as_role(role, &chart));
    let keys = views.each_ref().map(|view| {
        assert_eq!(view.status, 200, "{}", view.text());
        let row = view.json();
        let mut keys: Vec<String> = row.as_object().expect("a row").keys().cloned().collect();
        keys.sort();
        keys
    });
    assert!(
        keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2],
        "{keys:?}"
    );
    assert!(views[0].holds(b"us-ssn") && !views[1].holds(b"us-ssn"));
    assert!(keys[1].contains(&"contact".to_owned()) && !keys[2].contains(&"contact".to_owned()));

    // rows that the nurse may not see aren't there
    let conditions = format!("/fhir/Condition?patient={PATIENT}");
    assert!(as_role("physician", &conditions).holds(b"-bh\""));
    let nurse = as_role("nurse", &conditions);
    assert!(
        nurse.status == 200 && !nurse.holds(b"-bh\""),
        "{}",
        nurse.text()
    );

    // refusals
    let refused = as_role("front-desk", "/fhir/Observation");
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (403, "not-granted")
    );
    let refused = as_role("nurse", "/fhir/Patient?identifier=x");
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (403, "search-reads-hidden")
    );
    let refused = client.send(Request::get(&chart));
    assert_eq!(
        (refused.status, refused.reason().as_str()),
        (401, "unauthenticated")
    );

    // a lab device, by its certificate alone
    let [cert_pem, key_pem] = [".pem", ".key"].map(|end| {
        fs::read_to_string(at.join(format!("lab-analyzer{end}"))).expect("a certificate")
    });
    let lab = Issued {
        cert_pem,
        key_pem,
        cert_der: Vec::new().into(),
        serial: Vec::new(),
    };
    let lab = Client::new(address, &ca, Some(&lab), Protocol::Http1);
    let orders = lab.send(Request::get("/fhir/ServiceRequest?_count=20"));
    assert_eq!(orders.status, 200, "{}", orders.text());
    let orders = orders.json();
    let orders: Vec<_> = orders["entry"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|e| &e["resource"])
        .collect();
    let orders: Vec<_> = orders
        .into_iter()
        .filter(|r| r["resourceType"] == "ServiceRequest")
        .collect();
    assert!(orders.len() > 5 && orders.iter().all(|r| r["status"] == "active"));
    assert_eq!(lab.send(Request::get(&chart)).status, 403);
    // it files a result, which it can't read back
    let result = fs::read(at.join("result.json")).expect("the demo's result");
    let filed =
        lab.send(Request::new("POST", "/fhir/Observation").body("application/fhir+json", &result));
    assert_eq!((filed.status, filed.body.len()), (201, 0));
    let place = filed.header("location").to_owned();
    let (_, id) = place.split_once("/fhir/Observation/").expect("a place");
    let id = id.split('/').next().unwrap_or_default();
    let target = format!("/fhir/Observation/{id}");
    assert_eq!(lab.send(Request::get(&target)).status, 403);
    let seen = as_role("nurse", &target);
    assert_eq!(
        (seen.status, &seen.json()["status"]),
        (200, &"final".into())
    );

    // each has its record, and the journal holds
    demo.signal("TERM");
    assert!(demo.ended(Duration::from_secs(15)).success());
    let journal = at.join("journal");
    let verified = run(&program, &["audit", "verify", "--journal"], &journal);
    assert!(verified.status.success(), "{verified:?}");
    let shown = run(&program, &["audit", "show", "--journal"], &journal);
    let records = String::from_utf8(shown.stdout).expect("text");
    let count = |phase: &str| {
        records
            .lines()
            .filter(|l| l.contains(&format!("\"phase\":\"{phase}\"")))
            .count()
    };
    assert_eq!(
        (count("disclosure"), count("closing"), count("refusal")),
        (8, 8, 5),
        "{records}"
    );
    for hidden in ["Pemberton", "eyJ"] {
        assert!(!records.contains(hidden), "`{hidden}` in the journal");
    }
}

#[test]
fn check_tells_every_error_with_its_place_and_serve_starts_nothing() {
    if !need("binary") {
        return;
    }
    let program = binary().expect("needed");
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let made = run(&program, &["certs", "--directory"], &at.join("certs"));
    assert!(made.status.success(), "{made:?}");
    let config = at.join("config.toml");
    let pack = "pack = \"p\"\nfhir = \"R4\"\n[[role]]\nname = \"nurse\"\n[[role.grant]]\non = \"Patient\"\ncan = \"read\"\n";
    fs::write(at.join("pack.toml"), pack).expect("written");
    let text = "[listen]\nhttps = \"127.0.0.1:0\"\npublic_url = \"https://fhir.example\"\nmetrics = \"127.0.0.1:0\"\n[tls]\ncertificate = \"certs/server.pem\"\nkey = \"certs/server.key\"\n[[service]]\nname = \"ehr\"\npath = \"/fhir\"\nupstream = \"http://127.0.0.1:1/fhir\"\npacks = [\"pack.toml\"]\n[[issuer]]\nurl = \"https://idp.example\"\naudience = [\"https://fhir.example/fhir\"]\nroles = \"roles\"\nmap = { RN = \"nurse\" }\n";
    fs::write(&config, text).expect("written");
    let good = run(&program, &["check", "--config"], &config);
    assert_eq!(good.status.code(), Some(0), "{good:?}");

    // a role that no pack has
    fs::write(&config, text.replace("RN = \"nurse\"", "RN = \"nurze\"")).expect("written");
    let wrong = run(&program, &["check", "--config"], &config);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        said.contains("no pack has a role `nurze`") && said.contains("did you mean `nurse`?"),
        "{said}"
    );
    assert!(said.contains("config.toml:17:14"), "{said}");

    // a key that isn't known and one that isn't enforced, in both files at once
    fs::write(
        &config,
        format!("{text}bindin = \"any\"\nbinding = \"any\"\n"),
    )
    .expect("written");
    fs::write(
        at.join("pack.toml"),
        format!("{pack}hid = [\"name\"]\nwhen = [\"care-team\"]\n"),
    )
    .expect("written");
    let json = Command::new(&program)
        .args(["check", "--format", "json", "--config"])
        .arg(&config)
        .output()
        .expect("runs");
    assert_eq!(json.status.code(), Some(2));
    let said = String::from_utf8(json.stdout).expect("text");
    let found: Vec<serde_json::Value> = said
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    for (file, line, message) in [
        ("config.toml", 18, "unknown key `bindin`"),
        (
            "config.toml",
            19,
            "`binding` is not enforced by this version; remove it",
        ),
        ("pack.toml", 8, "unknown key `hid`"),
        (
            "pack.toml",
            9,
            "`when` is not enforced by this version; remove it",
        ),
    ] {
        let told = found.iter().any(|f| {
            f["file"].as_str().is_some_and(|name| name.ends_with(file))
                && f["line"] == line
                && f["message"] == message
        });
        assert!(told, "{file}:{line} {message}\n{said}");
    }
    let serve = run(&program, &["serve", "--config"], &config);
    assert_eq!(serve.status.code(), Some(2));
    assert!(serve.stdout.is_empty() && !at.join("journal").exists());
}

fn run(program: &Path, arguments: &[&str], last: &Path) -> Output {
    Command::new(program)
        .args(arguments)
        .arg(last)
        .output()
        .expect("the binary runs")
}
