//! The example, the smallest configuration, and a table of wrong ones.

mod wrong;

use std::{fs, path::Path, time::Duration};

use chartward_rules::source::Source;

use super::*;

const EXAMPLE: &str = include_str!("../../../../config.example.toml");

const SMALLEST: &str = r#"[listen]
https = "127.0.0.1:0"
public_url = "https://fhir.example"
[tls]
certificate = "server.pem"
key = "server.key"
[[service]]
name = "ehr"
path = "/fhir"
upstream = "http://127.0.0.1:8080/fhir"
packs = ["pack.toml"]
[[issuer]]
url = "https://idp.example"
audience = ["https://fhir.example/fhir"]
"#;

/// A folder that has all files that the texts below name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("server.pem", "pem"),
        ("server.key", "s3cret-key"),
        ("ca.pem", "pem"),
        ("pack.toml", ""),
        ("token", "s3cret-token=\n"),
        ("two-lines", "abc\ndef"),
        ("blank", " \n"),
        ("short.key", "c2hvcnQ"),
        ("certs/server.pem", "pem"),
        ("certs/server.key", "key"),
        ("certs/client-ca.pem", "pem"),
        ("certs/upstream-ca.pem", "pem"),
        ("certs/gateway.pem", "pem"),
        ("certs/gateway.key", "key"),
        ("certs/idp-ca.pem", "pem"),
        ("rules/packs/outpatient.toml", ""),
        ("secrets/upstream.token", "t0ken"),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn outcome(text: &str, folder: &Path) -> Outcome<Config> {
    Config::read(&Source::new("c.toml", text), folder)
}

#[test]
fn the_example_loads_and_shows_exactly_the_keys_of_this_version() {
    let folder = folder();
    let outcome = outcome(EXAMPLE, folder.path());
    assert_eq!(outcome.schema.undocumented(), Vec::<&str>::new());
    // a key of the example that no reader asks for is an error
    let config = outcome.into_result().unwrap();
    assert_eq!(
        config.services[0].page,
        Page {
            default: 50,
            max: 500
        }
    );
    assert_eq!(config.services[0].bearer, Some(Secret::new("t0ken")));
    assert_eq!(config.services[0].default_client, Ceiling::Any);
    assert_eq!(config.tls.client_auth, ClientAuth::Optional);
    assert_eq!(config.issuers[0].map[0].0.value, "RN");
    assert_eq!(config.workloads.len(), 4);
    assert!(config.clients[0].roles.admits("nurse") && !config.clients[0].roles.admits("coder"));
}

#[test]
fn the_example_shows_the_defaults() {
    let folder = folder();
    let shown = outcome(EXAMPLE, folder.path()).into_result().unwrap();
    let usual = outcome(SMALLEST, folder.path()).into_result().unwrap();
    assert_eq!(shown.limits, usual.limits);
    assert_eq!(shown.limits, Limits::default());
    assert_eq!(shown.log, usual.log);
    assert_eq!(shown.listen.metrics, usual.listen.metrics);
    assert_eq!(shown.listen.refusal_quantum, usual.listen.refusal_quantum);
    assert_eq!(shown.server.workers, usual.server.workers);
    assert_eq!(shown.journal.directory, usual.journal.directory);
    assert_eq!(shown.journal.durability, usual.journal.durability);
    assert_eq!(
        format!("{:?}", shown.secrets),
        format!("{:?}", usual.secrets)
    );
    let (a, b) = (&shown.services[0], &usual.services[0]);
    assert_eq!(a.page, b.page);
    assert_eq!(a.default_client, b.default_client);
    assert_eq!(a.withheld_notice, b.withheld_notice);
    assert_eq!(a.upstream.ejection, b.upstream.ejection);
    assert_eq!(a.upstream.load, b.upstream.load);
    assert_eq!(b.upstream.health, None);
    let bare = SMALLEST.replace("packs =", "health = {}\npacks =");
    let bare = outcome(&bare, folder.path()).into_result().unwrap();
    assert_eq!(a.upstream.health, bare.services[0].upstream.health);
    assert!(a.upstream.health.is_some());
    let (a, b) = (&shown.issuers[0], &usual.issuers[0]);
    assert_eq!((a.scopes, &a.token_type), (b.scopes, &b.token_type));
    assert_eq!(a.leeway, b.leeway);
}

#[test]
fn the_smallest_configuration_loads_from_its_file() {
    let folder = folder();
    let path = folder.path().join("chartward.toml");
    fs::write(&path, SMALLEST).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.services[0].issuers[0].value, "https://idp.example");
    assert_eq!(
        *config.services[0].packs[0],
        folder.path().join("pack.toml")
    );
    assert_eq!(config.journal.directory, folder.path().join("journal"));
    assert_eq!(config.listen.refusal_quantum, Duration::from_millis(10));
    assert!(config.issuer("https://idp.example").is_some());
}

#[test]
fn several_upstreams_of_one_path_are_one_service() {
    let folder = folder();
    let several = "['http://127.0.0.1:1/fhir/', 'http://[::1]:2/fhir']";
    let text = SMALLEST.replace("\"http://127.0.0.1:8080/fhir\"", several);
    let config = outcome(&text, folder.path()).into_result().unwrap();
    let upstream = &config.services[0].upstream;
    assert_eq!(upstream.path(), "/fhir");
    let ports: Vec<u16> = upstream.servers.iter().map(|url| url.port()).collect();
    assert_eq!(ports, [1, 2]);
}

#[test]
fn a_file_that_is_not_there_is_told_like_any_error() {
    let told = Config::load(Path::new("no/such.toml")).unwrap_err();
    assert!(told.render().contains("no/such.toml:1:1"), "{told}");
    assert!(told.render().contains("this file can't be read"), "{told}");
}

#[test]
fn an_explicit_empty_list_of_issuers_trusts_none() {
    let folder = folder();
    let text = SMALLEST.replace("packs =", "issuers = []\npacks =");
    let config = outcome(&text, folder.path()).into_result().unwrap();
    assert_eq!(config.services[0].issuers, []);
}

#[test]
fn secrets_come_from_the_environment_too() {
    let folder = folder();
    let text = SMALLEST.replace("\"server.key\"", "\"env:PATH\"");
    let config = outcome(&text, folder.path()).into_result().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    assert_eq!(config.tls.key.expose(), path.as_encoded_bytes());
}

#[test]
fn no_secret_is_in_what_a_configuration_prints() {
    let folder = folder();
    let bearer = "authorization = { bearer_file = 'token' }\npacks =";
    let text = SMALLEST.replace("packs =", bearer);
    let config = outcome(&text, folder.path()).into_result().unwrap();
    assert_eq!(
        config.services[0].bearer,
        Some(Secret::new("s3cret-token="))
    );
    assert_eq!(config.tls.key.expose(), b"s3cret-key");
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let folder = folder();
    let text = "[listen]\nhttp = ''\n[tls]\nkey = 'none'\n[[service]]\n[[issuer]]\nurl = 3\n[log]\nlevel = 'inf'\n";
    let lines: Vec<_> = outcome(text, folder.path())
        .diagnostics
        .iter()
        .map(|d| d.to_string())
        .collect();
    let expected = [
        "c.toml:1:1: error: missing key `https`",
        "c.toml:1:1: error: missing key `public_url`",
        "c.toml:2:1: error: unknown key `http` (did you mean `https`?)",
        "c.toml:3:1: error: missing key `certificate`",
        "c.toml:4:7: error: file `none` can't be read: no such file",
        "c.toml:5:1: error: missing key `name`",
        "c.toml:5:1: error: missing key `path`",
        "c.toml:5:1: error: missing key `upstream`",
        "c.toml:5:1: error: missing key `packs`",
        "c.toml:6:1: error: missing key `audience`",
        "c.toml:7:7: error: `url` must be a string, found an integer",
        "c.toml:9:9: error: `level` must be one of `error`, `warn`, `info`, `debug` (did you mean `info`?)",
    ];
    assert_eq!(lines, expected);
}
