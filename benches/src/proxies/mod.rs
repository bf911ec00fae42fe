//! The proxies that stand side by side, each with one worker in front of the same upstream.

mod config;

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chartward_certs::{Authority, Issued};
use chartward_sandbox::issuer::Alg;
use chartward_tests::client::holds;
use chartward_tests::process::Process;
use chartward_tests::{Client, Gateway, Protocol, Request, Setup, Tokens, plain, skip};

use crate::ROLE;
use chartward_benches::bodies::{HIDDEN, PACK, Row, SHOWN};

/// What all proxies share: upstream, certificate, token, keys.
pub struct Bench<'a> {
    /// The gateway's binary.
    pub binary: PathBuf,
    /// The bearer token of every request.
    pub token: String,
    tokens: &'a Tokens,
    upstream: u16,
    authority: Authority,
    certificate: Issued,
    folder: PathBuf,
}

/// A running proxy.
pub struct Proxy {
    name: String,
    hides: bool,
    address: SocketAddr,
    client: Client,
    running: Running,
}

enum Running {
    Peer(Process),
    Gateway(Box<Gateway>, u32),
}

impl<'a> Bench<'a> {
    /// Prepares keys and certificates.
    pub fn new(tokens: &'a Tokens, upstream: u16, folder: &Path) -> Self {
        let authority = Authority::new("chartward benches").expect("an authority");
        let certificate = authority
            .server(&["localhost", "127.0.0.1"])
            .expect("a certificate");
        Self {
            binary: skip::binary().expect("CHARTWARD_BIN names the gateway's binary"),
            token: tokens.token("nina", &[ROLE], "user/*.rs"),
            tokens,
            upstream,
            authority,
            certificate,
            folder: folder.to_owned(),
        }
    }

    /// Starts all of them; nginx, the measure, is the first.
    pub fn start(&self) -> Vec<Proxy> {
        vec![
            self.nginx("nginx, TLS proxy", "nginx", false, config::TUNED),
            self.nginx(
                "nginx, upstream left at defaults",
                "nginx-default",
                false,
                "",
            ),
            self.gateway("write"),
            self.gateway("fsync"),
            self.nginx("nginx + njs that redacts", "njs", true, config::TUNED),
            self.haproxy(),
            self.envoy(),
        ]
    }

    /// What Envoy calls itself.
    pub fn envoy_version(&self) -> String {
        let out = Command::new(envoy())
            .arg("--version")
            .output()
            .expect("envoy runs");
        String::from_utf8_lossy(&out.stdout)
            .trim()
            .replace('\n', " ")
    }

    fn gateway(&self, durability: &'static str) -> Proxy {
        let setup = Setup::new(PACK, format!("http://127.0.0.1:{}/fhir", self.upstream))
            .issuer(self.tokens.trusted(&[ROLE]))
            .client_auth("off")
            .durability(durability)
            .workers(1);
        let mut gateway = Gateway::start(setup);
        let pid = gateway.process().id();
        Proxy {
            name: format!("chartward, journal `{durability}`"),
            hides: true,
            address: gateway.address(),
            client: gateway.client(),
            running: Running::Gateway(Box::new(gateway), pid),
        }
    }

    fn nginx(&self, name: &str, room: &str, redacts: bool, tuning: &str) -> Proxy {
        let folder = self.room(room);
        let port = free_port();
        fs::write(
            folder.join("nginx.conf"),
            config::nginx(port, self.upstream, redacts, tuning),
        )
        .expect("a file");
        fs::write(folder.join("redact.js"), config::REDACT).expect("a file");
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(&folder)
            .args(["-e", "stderr", "-c", "nginx.conf"]);
        self.peer(name, redacts, port, command)
    }

    fn haproxy(&self) -> Proxy {
        let folder = self.room("haproxy");
        let port = free_port();
        let both = format!("{}{}", self.certificate.cert_pem, self.certificate.key_pem);
        fs::write(folder.join("both.pem"), both).expect("a file");
        let public = self
            .tokens
            .issuer()
            .public_pem(Alg::Es256)
            .expect("a public key");
        fs::write(folder.join("issuer.pem"), public).expect("a file");
        fs::write(
            folder.join("haproxy.cfg"),
            config::haproxy(port, self.upstream, &folder),
        )
        .expect("a file");
        let mut command = Command::new("haproxy");
        command
            .args(["-db", "-q", "-f"])
            .arg(folder.join("haproxy.cfg"));
        self.peer("HAProxy, TLS + JWT", false, port, command)
    }

    fn envoy(&self) -> Proxy {
        let folder = self.room("envoy");
        let port = free_port();
        let issuer = self.tokens.issuer();
        let keys = plain::get(issuer.addr(), "/jwks").text();
        let text = config::envoy(port, self.upstream, &folder, issuer.url(), &keys);
        fs::write(folder.join("envoy.json"), text.to_string()).expect("a file");
        let mut command = Command::new(envoy());
        command.arg("-c").arg(folder.join("envoy.json")).args([
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ]);
        self.peer("Envoy, TLS + JWT + RBAC", false, port, command)
    }

    fn peer(&self, name: &str, hides: bool, port: u16, command: Command) -> Proxy {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let process = Process::start(name, command);
        listening(port, &process);
        Proxy {
            name: name.to_owned(),
            hides,
            address,
            client: Client::new(address, self.authority.pem(), None, Protocol::Http1),
            running: Running::Peer(process),
        }
    }

    /// A folder with the certificate.
    fn room(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        self.certificate
            .write(&folder, "server")
            .expect("the certificate's files");
        folder
    }
}

impl Proxy {
    /// Its name in the report.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        match &self.running {
            Running::Peer(process) => process.id(),
            Running::Gateway(_, pid) => *pid,
        }
    }

    /// Whether a sampled body has all that is shown, and nothing hidden where the proxy hides.
    pub fn check(&self, row: Row, bench: &Bench) -> Result<(), String> {
        let answer = self
            .client
            .send(Request::get(row.target()).bearer(&bench.token));
        if answer.status != 200 {
            return Err(format!("a sample has status {}", answer.status));
        }
        let shown = answer.text().matches(SHOWN).count();
        if shown != row.resources() {
            return Err(format!(
                "a sample shows {shown} of {} resources",
                row.resources()
            ));
        }
        match (self.hides, holds(&answer.body, HIDDEN.as_bytes())) {
            (true, true) => Err("a hidden value left".to_owned()),
            (false, false) => Err("the upstream's body has no hidden value".to_owned()),
            _ => Ok(()),
        }
    }

    /// How many disclosures the journal holds; peers have none.
    pub fn disclosures(&self) -> Option<u64> {
        let Running::Gateway(gateway, _) = &self.running else {
            return None;
        };
        let mut show = Command::new(skip::binary().expect("CHARTWARD_BIN"))
            .args(["audit", "show", "--journal", "journal"])
            .current_dir(gateway.folder())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(show.stdout.take().expect("stdout is piped"));
        let count = lines
            .split(b'\n')
            .map_while(Result::ok)
            .filter(|line| holds(&line[..line.len().min(120)], br#""phase":"disclosure""#))
            .count();
        let ended = show.wait().expect("it ends");
        assert!(ended.success(), "audit show failed");
        Some(count as u64)
    }

    /// Ends its process.
    pub fn stop(&mut self) {
        match &mut self.running {
            Running::Peer(process) => process.kill(),
            Running::Gateway(gateway, _) => gateway.kill(),
        }
    }
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

/// Waits until something listens on the port.
pub fn listening(port: u16, process: &Process) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            Instant::now() < deadline,
            "it doesn't listen; it said:\n{}",
            process.stderr()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn envoy() -> PathBuf {
    PathBuf::from(env::var_os("BENCH_ENVOY").expect("BENCH_ENVOY names Envoy's binary"))
}
