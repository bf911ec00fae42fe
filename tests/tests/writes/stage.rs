//! A FHIR server with nothing in it, the pack of these tests, and tokens of each of its roles.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use chartward_sandbox::fhir::{Server, Store};
use chartward_tests::block_on;
use chartward_tests::peers::FhirServer;
use chartward_tests::skip::need;
use chartward_tests::{Client, Gateway, Request, Response, Setup, Tokens, plain};
use serde_json::{Value, json};

pub const PACK: &str = include_str!("../packs/writes.toml");
pub const ROLES: [&str; 5] = ["editor", "clerk", "desk", "feed", "reader"];
pub const SCOPES: &str = "user/*.cruds";

/// Which server is behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// The real one.
    Real,
    /// The sandbox's.
    Sandbox,
}

/// The servers that are at hand: the sandbox's always, the real one where it is installed; none
/// without the gateway's binary.
pub fn behind() -> Vec<Behind> {
    if !need("binary") {
        return Vec::new();
    }
    if need("python") {
        vec![Behind::Sandbox, Behind::Real]
    } else {
        vec![Behind::Sandbox]
    }
}

/// The gateway in front of one of them.
pub struct Chart {
    pub gateway: Gateway,
    pub client: Client,
    pub tokens: Tokens,
    base: String,
    _sandbox: Option<Server>,
}

impl Chart {
    pub fn open(behind: Behind) -> Self {
        let (base, sandbox) = match behind {
            Behind::Real => (FhirServer::bare().base.clone(), None),
            Behind::Sandbox => {
                let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let server = block_on(Server::start(Store::new(), any)).expect("a server");
                (server.base_url().to_owned(), Some(server))
            }
        };
        let tokens = Tokens::start();
        let setup = Setup::new(PACK, &base).issuer(tokens.trusted(&ROLES));
        let gateway = Gateway::start(setup);
        Self {
            client: gateway.client(),
            gateway,
            tokens,
            base,
            _sandbox: sandbox,
        }
    }

    pub fn token(&self, role: &str) -> String {
        self.tokens.token("someone", &[role], SCOPES)
    }

    /// A request of this role.
    pub fn send(&self, role: &str, request: Request) -> Response {
        self.client.send(request.bearer(&self.token(role)))
    }

    /// A resource sent by this role.
    pub fn write(&self, role: &str, method: &str, target: &str, body: &Value) -> Response {
        self.send(role, resource(method, target, body))
    }

    /// Puts a resource into the server behind the gateway's back.
    pub fn put(&self, body: &Value) {
        let path = format!(
            "/fhir/{}/{}",
            word(&body["resourceType"]),
            word(&body["id"])
        );
        let answer = plain::write(
            plain::address(&self.base),
            "PUT",
            &path,
            "application/fhir+json",
            &body.to_string(),
        );
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    }

    /// What the server itself says at `Type/id…`.
    pub fn stored(&self, path: &str) -> (u16, Value) {
        let answer = plain::get(plain::address(&self.base), &format!("/fhir/{path}"));
        let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status, body)
    }

    /// The records of one request, by its id.
    pub fn records(&self, answer: &Response) -> Vec<Value> {
        let id = answer.header("x-request-id").to_owned();
        let all = self.gateway.records();
        all.into_iter().filter(|r| r["request_id"] == *id).collect()
    }
}

pub fn resource(method: &str, target: &str, body: &Value) -> Request {
    Request::new(method, target).body("application/fhir+json", body.to_string().as_bytes())
}

pub fn patch(target: &str, body: &Value) -> Request {
    Request::new("PATCH", target).body("application/json-patch+json", body.to_string().as_bytes())
}

pub fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An id that no other test uses.
pub fn fresh(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn patient(id: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "id": id,
        "identifier": [{ "system": "urn:mrn", "value": id }],
        "name": [{ "family": "Doe", "given": ["Jane"] }],
        "telecom": [{ "system": "phone", "value": "555-0199" }],
        "gender": "female",
    })
}

/// The same with a label of behavioral health.
pub fn labelled(mut resource: Value) -> Value {
    resource["meta"] = json!({ "security": [{
        "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY",
    }] });
    resource
}

pub fn observation(id: &str, patient: &str, category: &str) -> Value {
    json!({
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": category,
        }] }],
        "code": { "coding": [{ "system": "http://loinc.org", "code": "8480-6" }] },
        "subject": { "reference": format!("Patient/{patient}") },
        "valueQuantity": { "value": 120, "unit": "mmHg" },
    })
}

/// The resource without what a server assigns.
pub fn own(mut resource: Value) -> Value {
    if let Some(members) = resource.as_object_mut() {
        members.remove("id");
        let empty = match members.get_mut("meta").and_then(Value::as_object_mut) {
            Some(meta) => {
                meta.remove("versionId");
                meta.remove("lastUpdated");
                meta.is_empty()
            }
            None => false,
        };
        if empty {
            members.remove("meta");
        }
    }
    resource
}
