//! The real parts that stand around the gateway: a FHIR server, an authorization server, and
//! applications. `tests/run` installs them; nothing of them is the project's own.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::gateway::{AUDIENCE, Gateway};
use crate::process::{Process, filter, output};
use crate::{PATIENCE, plain, synthea};

/// The Python of the private environment that holds `sekmet-fhir` and `fhirpy`.
pub fn python() -> Option<PathBuf> {
    env::var_os("CHARTWARD_PYTHON")
        .map(PathBuf::from)
        .filter(|path| path.is_file())
}

/// The private folder that holds the Node scripts and their `node_modules`.
pub fn node_modules() -> Option<PathBuf> {
    env::var_os("CHARTWARD_NODE")
        .map(PathBuf::from)
        .filter(|path| path.join("node_modules").is_dir())
}

fn python_script(name: &str) -> Command {
    let mut command = Command::new(python().expect("CHARTWARD_PYTHON"));
    command.arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(name),
    );
    command
}

fn node_script(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(node_modules().expect("CHARTWARD_NODE").join(name));
    command
}

/// `sekmet-fhir` with nothing in it.
pub struct EmptyServer {
    /// FHIR base URL, plain HTTP on loopback.
    pub base: String,
    _process: Process,
    _folder: TempDir,
}

impl EmptyServer {
    /// Starts one; with its simulator it fills orders and pays claims by itself.
    pub fn start(simulator: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = python_script("fhir_server.py");
        command.arg(folder.path());
        if simulator {
            command.arg("simulator");
        }
        let process = Process::start("sekmet-fhir", command);
        Self {
            base: last_word(&process.ready("sekmet ready", PATIENCE)),
            _process: process,
            _folder: folder,
        }
    }
}

/// What came of a client scenario of `sekmet-fhir`.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its id.
    pub name: String,
    /// `passed`, `warning`, `failed`, `error` or `skipped`.
    pub status: String,
    /// The steps that failed, and what was said of each; the first one where all are skipped.
    pub odd: Vec<(String, String)>,
}

/// Runs scenarios (all of them where none is named) through a gateway whose server plays `roles`
/// by itself.
pub fn scenarios(gateway: &Gateway, token: &str, roles: &str, names: &[&str]) -> Vec<Scenario> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = output(
        "scenarios.py",
        python_script("scenarios.py")
            .arg(folder.path())
            .args([gateway.base().as_str(), roles])
            .args(names)
            .env("TOKEN", token)
            .env("SSL_CERT_FILE", gateway.ca_file()),
    );
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    said.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .map(|line: Value| {
            let odd = line["odd"].as_array().into_iter().flatten();
            Scenario {
                name: text(&line["scenario"]),
                status: text(&line["status"]),
                odd: odd.map(|step| (text(&step[0]), text(&step[1]))).collect(),
            }
        })
        .collect()
}

/// `sekmet-fhir` with the Synthea clinic.
pub struct FhirServer {
    /// FHIR base URL, plain HTTP on loopback.
    pub base: String,
    /// How many resources were loaded.
    pub entries: usize,
    ids: HashMap<String, String>,
    _process: Process,
    _folder: TempDir,
}

impl FhirServer {
    /// The one of this test run, with the whole clinic; started and loaded on first use (about 10 s).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<FhirServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The one of this test run that starts with nothing in it, for tests that write: each takes
    /// ids of its own.
    pub fn bare() -> &'static Self {
        static BARE: OnceLock<FhirServer> = OnceLock::new();
        BARE.get_or_init(|| {
            let (base, process, folder) = Self::launch();
            Self {
                base,
                entries: 0,
                ids: HashMap::new(),
                _process: process,
                _folder: folder,
            }
        })
    }

    fn launch() -> (String, Process, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = python_script("fhir_server.py");
        command.arg(folder.path());
        let process = Process::start("sekmet-fhir", command);
        let base = last_word(&process.ready("sekmet ready", PATIENCE));
        (base, process, folder)
    }

    fn start() -> Self {
        let (base, process, folder) = Self::launch();
        let data = synthea::folder().expect("the Synthea data");
        let loaded = output(
            "load_synthea.py",
            python_script("load_synthea.py").arg(&base).arg(data),
        );
        let loaded: Value = serde_json::from_str(&loaded).expect("JSON of the loader");
        let ids = loaded["ids"].as_object().expect("the ids");
        Self {
            base,
            entries: loaded["entries"].as_u64().expect("a count") as usize,
            ids: ids
                .iter()
                .map(|(source, id)| (source.clone(), id.as_str().unwrap_or_default().to_owned()))
                .collect(),
            _process: process,
            _folder: folder,
        }
    }

    /// What the server calls the resource that the source calls `Type/id`: its `Type/id` there.
    pub fn reference(&self, source: &str) -> &str {
        self.ids
            .get(source)
            .unwrap_or_else(|| panic!("`{source}` wasn't loaded"))
    }

    /// `Type/id` of all resources of a type that Synthea made, sorted.
    pub fn all(&self, kind: &str) -> Vec<String> {
        let mut found: Vec<String> = self
            .ids
            .values()
            .filter(|reference| reference.split('/').next() == Some(kind))
            .cloned()
            .collect();
        found.sort();
        found
    }
}

/// An application or a person known to the authorization server, by client credentials.
#[derive(Debug, Clone)]
pub struct Account {
    id: String,
    alg: &'static str,
    claims: Value,
}

impl Account {
    /// Tokens signed with ES256 that carry these roles.
    pub fn new(id: &str, roles: &[&str]) -> Self {
        Self {
            id: id.to_owned(),
            alg: "ES256",
            claims: json!({ "roles": roles }),
        }
    }

    /// Tokens signed with another algorithm (`RS256`).
    pub fn alg(mut self, alg: &'static str) -> Self {
        self.alg = alg;
        self
    }

    /// With a claim more.
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims[name] = value;
        self
    }
}

/// `oidc-provider`, an authorization server.
pub struct AuthorizationServer {
    /// Its issuer URL.
    pub issuer: String,
    _process: Process,
    _folder: TempDir,
}

impl AuthorizationServer {
    /// Starts one that knows these accounts and may grant these scopes.
    pub fn start(accounts: &[Account], scopes: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clients: Vec<Value> = accounts
            .iter()
            .map(|account| {
                json!({ "id": account.id, "secret": secret(&account.id), "alg": account.alg, "claims": account.claims })
            })
            .collect();
        let config = json!({ "audience": AUDIENCE, "scopes": scopes, "clients": clients });
        let file = folder.path().join("config.json");
        std::fs::write(&file, config.to_string()).expect("the configuration's file");
        let mut command = node_script("oidc.mjs");
        command.arg(&file);
        let process = Process::start("oidc-provider", command);
        let issuer = last_word(&process.ready("oidc ready", PATIENCE));
        Self {
            issuer,
            _process: process,
            _folder: folder,
        }
    }

    /// An access token for an account with these scopes.
    pub fn token(&self, account: &str, scopes: &str) -> String {
        let basic = STANDARD.encode(format!("{account}:{}", secret(account)));
        let encode = |text: &str| -> String {
            text.bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                        (byte as char).to_string()
                    }
                    _ => format!("%{byte:02X}"),
                })
                .collect()
        };
        let answer = plain::post_form(
            plain::address(&self.issuer),
            "/token",
            &format!("Authorization: Basic {basic}\r\n"),
            &format!(
                "grant_type=client_credentials&resource={}&scope={}",
                encode(AUDIENCE),
                encode(scopes)
            ),
        );
        assert_eq!(answer.status, 200, "no token: {}", answer.text());
        answer.json()["access_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }
}

fn secret(account: &str) -> String {
    format!("not-a-secret-{account}")
}

/// An application made by others that speaks FHIR through the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// `fhirpy` (Python, requests).
    Fhirpy,
    /// `fhir-kit-client` (Node, fetch).
    Kit,
}

impl Application {
    /// Carries out a plan (`[{"do": "read" | "search" | "page", …}]`); answers what it saw, step by step.
    pub fn run(self, gateway: &Gateway, token: &str, plan: &Value) -> Vec<Value> {
        let mut command = match self {
            Self::Fhirpy => python_script("fhirpy_client.py"),
            Self::Kit => node_script("kit.mjs"),
        };
        command
            .arg(gateway.base())
            .env("TOKEN", token)
            .env("NODE_EXTRA_CA_CERTS", gateway.ca_file());
        if self == Self::Fhirpy {
            command.arg(gateway.ca_file());
        }
        filter(&format!("{self:?}"), &mut command, &plan.to_string())
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }
}

fn last_word(line: &str) -> String {
    line.split_whitespace()
        .last()
        .unwrap_or_default()
        .to_owned()
}
