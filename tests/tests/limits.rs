//! Each limit bites, is counted, and leaves the service to everybody else.

mod amounts;
mod floods;
mod framing;
mod overload;
mod slow;
mod tools;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use chartward_tests::{Client, Gateway, Raw, Script, Seen, Setup, Tokens, Upstream, plain};

const PACK: &str = include_str!("packs/ward.toml");
const PATIENT: &str =
    r#"{"resourceType":"Patient","id":"p1","meta":{"versionId":"1"},"name":[{"family":"Shown"}]}"#;

struct Stage {
    gateway: Gateway,
    upstream: Upstream,
    token: String,
    _tokens: Tokens,
}

impl Stage {
    /// A gateway under these `[limits]`, in front of an upstream that has one patient.
    fn new(limits: &str) -> Self {
        Self::before(limits, |_| Script::json(200, PATIENT))
    }

    fn before(limits: &str, answer: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        let upstream = Upstream::start(answer);
        let tokens = Tokens::start();
        let token = tokens.token("dr", &["physician"], "user/*.rs");
        let setup = Setup::new(PACK, upstream.url())
            .issuer(tokens.trusted(&["physician"]))
            .client_auth("off")
            .section(&format!("[limits]\n{limits}"));
        Self {
            gateway: Gateway::start(setup),
            upstream,
            token,
            _tokens: tokens,
        }
    }

    /// A head with the token, `more` header lines and the empty line.
    fn head(&self, line: &str, more: &str) -> String {
        let host = self.gateway.address();
        let token = &self.token;
        format!("{line}\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{more}\r\n")
    }

    fn get(&self) -> String {
        self.head("GET /fhir/Patient/p1 HTTP/1.1", "")
    }

    /// A form that is announced with this length and doesn't come by itself.
    fn form(&self, length: usize) -> String {
        let mut more = String::new();
        let _ = writeln!(more, "Content-Type: application/x-www-form-urlencoded\r");
        let _ = writeln!(more, "Content-Length: {length}\r");
        self.head("POST /fhir/Patient/_search HTTP/1.1", &more)
    }

    /// How often a limit bit.
    fn exceeded(&self, limit: &str) -> u64 {
        self.figure(&format!(
            "chartward_limit_exceeded_total{{limit=\"{limit}\"}}"
        ))
    }

    fn figure(&self, name: &str) -> u64 {
        let metrics = plain::get(self.gateway.metrics(), "/metrics").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or_else(|| panic!("no `{name}` in\n{metrics}"))
    }

    /// Waits until a limit has bitten so often.
    fn until_exceeded(&self, limit: &str, times: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.exceeded(limit) < times {
            assert!(Instant::now() < deadline, "`{limit}` did not bite");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn raw(&self) -> Raw {
        self.gateway.raw()
    }

    /// Others are served over both protocols.
    fn serves(&self) {
        for client in [self.gateway.client(), self.gateway.client_h2()] {
            self.served(&client);
        }
    }

    fn served(&self, client: &Client) {
        let answer = client.get("/fhir/Patient/p1", &self.token);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn status(answer: &[u8]) -> u16 {
    let code = answer
        .get(9..12)
        .and_then(|code| std::str::from_utf8(code).ok());
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn text(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).into_owned()
}
