//! What every attack stands on: the outpatient pack, a scripted upstream, tokens of any role.

use chartward_tests::{Client, Gateway, Request, Response, Script, Seen, Setup, Tokens, Upstream};

pub const PACK: &str = include_str!("../../../rules/packs/outpatient.toml");
pub const ROLES: [&str; 5] = ["front-desk", "nurse", "physician", "coder", "lab-device"];

/// The gateway between a caller and a scripted upstream.
pub struct Stage {
    pub gateway: Gateway,
    pub upstream: Upstream,
    pub tokens: Tokens,
    pub client: Client,
}

impl Stage {
    /// The clinic's pack in front of what `answer` scripts.
    pub fn open(answer: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        Self::with(PACK, &ROLES, |setup| setup, answer)
    }

    /// The same in front of an upstream that always says the same.
    pub fn fixed(body: &str) -> Self {
        let body = body.to_owned();
        Self::open(move |_| Script::json(200, &body))
    }

    /// Another pack, and what else the configuration says.
    pub fn with(
        pack: &str,
        roles: &[&str],
        more: impl FnOnce(Setup) -> Setup,
        answer: impl Fn(&Seen) -> Script + Send + Sync + 'static,
    ) -> Self {
        let upstream = Upstream::start(answer);
        let tokens = Tokens::start();
        let setup = Setup::new(pack, upstream.url()).issuer(tokens.trusted(roles));
        let gateway = Gateway::start(more(setup));
        let client = gateway.client();
        Self {
            gateway,
            upstream,
            tokens,
            client,
        }
    }

    /// A token of one person with this role, for everything that the role grants.
    pub fn token(&self, role: &str) -> String {
        self.tokens.token("someone", &[role], "user/*.rs")
    }

    /// The whole answer to a GET by this role.
    pub fn get(&self, role: &str, target: &str) -> Response {
        self.client.get(target, &self.token(role))
    }

    /// Fails if anything reached the upstream.
    pub fn untouched(&self, what: &str) {
        let seen = self.upstream.seen();
        assert!(
            seen.is_empty(),
            "{what}: `{}` reached the upstream",
            seen[0].target
        );
    }

    /// Sends `request` and expects a refusal that nothing of the upstream went into.
    pub fn refused(&self, request: Request, status: u16, reason: &str, what: &str) -> Response {
        let answer = self.client.send(request);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (status, reason),
            "{what}: {}",
            answer.text()
        );
        self.untouched(what);
        answer
    }
}

/// A search set of these resources, with a next link where one is given.
pub fn bundle(rows: &[&str], next: Option<&str>) -> String {
    let entries: Vec<String> = rows.iter().map(|row| entry(row)).collect();
    let link = next.map_or(String::new(), |url| {
        format!(r#","link":[{{"relation":"next","url":"{url}"}}]"#)
    });
    let entries = if entries.is_empty() {
        String::new()
    } else {
        format!(r#","entry":[{}]"#, entries.join(","))
    };
    format!(r#"{{"resourceType":"Bundle","type":"searchset"{link}{entries}}}"#)
}

/// An entry that matched.
pub fn entry(row: &str) -> String {
    format!(
        r#"{{"fullUrl":"http://upstream.invalid/fhir/x","resource":{row},"search":{{"mode":"match","score":0.5}}}}"#
    )
}

/// An observation of a patient, with further members.
pub fn observation(id: &str, patient: &str, more: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","meta":{{"versionId":"1"}},"status":"final","code":{{"text":"Sodium"}},"subject":{{"reference":"Patient/{patient}"}}{more}}}"#
    )
}

/// A row labelled with a sensitivity code.
pub fn labelled(id: &str, code: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","meta":{{"versionId":"1","security":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"{code}"}}]}},"status":"final","code":{{"text":"Hidden-4711"}},"subject":{{"reference":"Patient/p1"}}}}"#
    )
}

/// Ids of the matches in a search set.
pub fn ids(answer: &Response) -> Vec<String> {
    answer.json()["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["search"]["mode"] == "match")
        .map(|entry| {
            let row = &entry["resource"];
            format!(
                "{}/{}",
                row["resourceType"].as_str().unwrap_or_default(),
                row["id"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

/// Status, headers and body as one text; the request id and the date apart.
pub fn face(answer: &Response) -> String {
    let id = answer.header("x-request-id");
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "date" && *name != "x-request-id")
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let body = String::from_utf8_lossy(&answer.body).replace(id, "ID");
    format!("{}\n{}\n\n{body}", answer.status, headers.join("\n"))
}
