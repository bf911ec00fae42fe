//! The built binary, started on free loopback ports with a configuration of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use chartward_certs::{Authority, ClientSpec, Issued};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, Protocol};
use crate::process::Process;
use crate::{PATIENCE, Raw, skip};

/// What every token for the gateway under test must name, unless a test says otherwise.
pub const AUDIENCE: &str = "https://fhir.hospital.example/fhir";

/// A trusted authorization server.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The `iss` of its tokens.
    pub url: String,
    /// The `aud` that its tokens must name.
    pub audience: String,
    /// Where its keys are; by discovery where absent.
    pub jwks: Option<String>,
    /// Claim value → role.
    pub map: Vec<(String, String)>,
    /// Further keys of the section, as TOML lines.
    pub extra: String,
}

impl Issuer {
    /// An issuer whose claim values are the roles themselves.
    pub fn of(url: impl Into<String>, roles: &[&str]) -> Self {
        Self {
            url: url.into(),
            audience: AUDIENCE.to_owned(),
            jwks: None,
            map: roles
                .iter()
                .map(|&role| (role.to_owned(), role.to_owned()))
                .collect(),
            extra: String::new(),
        }
    }

    /// The same with its keys at `jwks` instead of by discovery.
    pub fn keys_at(mut self, jwks: impl Into<String>) -> Self {
        self.jwks = Some(jwks.into());
        self
    }
}

/// A workload known by the SPIFFE id of its certificate.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// The URI of its certificate.
    pub uri: String,
    /// Its roles.
    pub roles: Vec<String>,
}

/// What a gateway is started with; everything else has its default.
#[derive(Debug, Clone)]
pub struct Setup {
    packs: Vec<String>,
    upstream: Vec<String>,
    issuers: Vec<Issuer>,
    workloads: Vec<Workload>,
    client_auth: &'static str,
    durability: &'static str,
    workers: usize,
    listen: String,
    server: String,
    service: String,
    sections: String,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// One service at `/fhir` in front of `upstream`, deciding by one pack (its text).
    pub fn new(pack: impl Into<String>, upstream: impl Into<String>) -> Self {
        Self {
            packs: vec![pack.into()],
            upstream: vec![upstream.into()],
            issuers: Vec::new(),
            workloads: Vec::new(),
            client_auth: "optional",
            durability: "write",
            workers: 1,
            listen: String::new(),
            server: String::new(),
            service: String::new(),
            sections: String::new(),
            environment: Vec::new(),
        }
    }

    /// Another server of the same service.
    pub fn another_upstream(mut self, upstream: impl Into<String>) -> Self {
        self.upstream.push(upstream.into());
        self
    }

    /// Trusts an issuer.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Knows a workload.
    pub fn workload(mut self, name: &str, uri: &str, roles: &[&str]) -> Self {
        self.workloads.push(Workload {
            name: name.to_owned(),
            uri: uri.to_owned(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
        });
        self
    }

    /// Client certificates: `off`, `optional` (default) or `required`.
    pub fn client_auth(mut self, mode: &'static str) -> Self {
        self.client_auth = mode;
        self
    }

    /// Journal durability: `write` (default here) or `fsync`.
    pub fn durability(mut self, mode: &'static str) -> Self {
        self.durability = mode;
        self
    }

    /// Data cores (default here: 1).
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Adds TOML lines to `[listen]`.
    pub fn listen(mut self, lines: &str) -> Self {
        let _ = writeln!(self.listen, "{lines}");
        self
    }

    /// Adds TOML lines to `[server]`.
    pub fn server(mut self, lines: &str) -> Self {
        let _ = writeln!(self.server, "{lines}");
        self
    }

    /// Adds TOML lines to the `[[service]]`.
    pub fn service(mut self, lines: &str) -> Self {
        let _ = writeln!(self.service, "{lines}");
        self
    }

    /// Adds whole TOML sections at the end.
    pub fn section(mut self, text: &str) -> Self {
        let _ = writeln!(self.sections, "{text}");
        self
    }

    /// Starts the binary with this in its environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn toml(&self, port: u16) -> String {
        let packs: Vec<String> = (0..self.packs.len())
            .map(|n| format!("pack-{n}.toml"))
            .collect();
        let issuers: Vec<&String> = self.issuers.iter().map(|issuer| &issuer.url).collect();
        let mut out = format!(
            "[listen]\nhttps = \"127.0.0.1:{port}\"\npublic_url = \"https://127.0.0.1:{port}\"\n\
             metrics = \"127.0.0.1:0\"\n{}\n[server]\nworkers = {}\n{}\n\
             [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_auth = {:?}\n",
            self.listen, self.workers, self.server, self.client_auth,
        );
        if self.client_auth != "off" {
            out.push_str("client_ca = \"ca.pem\"\n");
        }
        let _ = writeln!(
            out,
            "\n[[service]]\nname = \"ehr\"\npath = \"/fhir\"\nupstream = {:?}\npacks = {packs:?}\nissuers = {issuers:?}\n{}",
            self.upstream, self.service,
        );
        for issuer in &self.issuers {
            let _ = writeln!(
                out,
                "[[issuer]]\nurl = {:?}\naudience = [{:?}]",
                issuer.url, issuer.audience
            );
            if let Some(jwks) = &issuer.jwks {
                let _ = writeln!(out, "jwks = {jwks:?}");
            }
            let map: Vec<String> = issuer
                .map
                .iter()
                .map(|(from, to)| format!("{from:?} = {to:?}"))
                .collect();
            let _ = writeln!(
                out,
                "roles = \"roles\"\nmap = {{ {} }}\n{}",
                map.join(", "),
                issuer.extra
            );
        }
        for workload in &self.workloads {
            let _ = writeln!(
                out,
                "[[workload]]\nname = {:?}\ncertificate = {{ uri = {:?} }}\nroles = {:?}\n",
                workload.name, workload.uri, workload.roles,
            );
        }
        let _ = writeln!(
            out,
            "[journal]\ndirectory = \"journal\"\ndurability = {:?}\n\n{}",
            self.durability, self.sections,
        );
        out
    }
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    process: Process,
    setup: Setup,
    authority: Authority,
    folder: TempDir,
    https: SocketAddr,
    metrics: SocketAddr,
}

impl Gateway {
    /// Writes the configuration, starts the binary and waits until it listens.
    pub fn start(setup: Setup) -> Self {
        let folder = prepare(&setup);
        let command = command(folder.0.path());
        Self::launched(setup, folder, free_port(), command)
    }

    fn launched(
        setup: Setup,
        (folder, authority): (TempDir, Authority),
        port: u16,
        command: Command,
    ) -> Self {
        fs::write(folder.path().join("config.toml"), setup.toml(port))
            .expect("the configuration's file");
        let (process, https, metrics) = launch(command, &setup);
        Self {
            process,
            setup,
            authority,
            folder,
            https,
            metrics,
        }
    }

    /// Kills it (SIGKILL) without a word; the folder and the journal stay.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, over the same folder and journal, on a new port.
    pub fn again(&mut self) {
        self.process.kill();
        let text = self.setup.toml(free_port());
        fs::write(self.folder.path().join("config.toml"), text).expect("the configuration's file");
        (self.process, self.https, self.metrics) = launch(command(self.folder.path()), &self.setup);
    }

    /// Starts it with a listening socket of the test's, which outlives it: as socket activation
    /// does. The socket's port is the configuration's.
    pub fn start_on(setup: Setup, socket: &TcpListener) -> Self {
        let folder = prepare(&setup);
        let port = socket.local_addr().expect("an address").port();
        let command = handed(folder.0.path(), socket);
        Self::launched(setup, folder, port, command)
    }

    /// Starts it again on that socket, once it has ended.
    pub fn again_on(&mut self, socket: &TcpListener) {
        let command = handed(self.folder.path(), socket);
        (self.process, self.https, self.metrics) = launch(command, &self.setup);
    }

    /// Where it listens for HTTPS.
    pub fn address(&self) -> SocketAddr {
        self.https
    }

    /// Where metrics and health are (plain HTTP).
    pub fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// The base URL of its service.
    pub fn base(&self) -> String {
        format!("https://{}/fhir", self.https)
    }

    /// The authority that signed its certificate, PEM file.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Its folder: configuration, packs, certificates, `journal`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The authority that it trusts for clients too.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A client certificate with this SPIFFE id.
    pub fn certificate(&self, uri: &str) -> Issued {
        self.authority
            .client(&ClientSpec::spiffe("client", uri))
            .expect("a client certificate")
    }

    /// A client that trusts it, over HTTP/1.1.
    pub fn client(&self) -> Client {
        Client::new(self.https, self.authority.pem(), None, Protocol::Http1)
    }

    /// The same over HTTP/2.
    pub fn client_h2(&self) -> Client {
        Client::new(self.https, self.authority.pem(), None, Protocol::Http2)
    }

    /// A client that shows a certificate, over HTTP/1.1.
    pub fn client_with(&self, certificate: &Issued) -> Client {
        Client::new(
            self.https,
            self.authority.pem(),
            Some(certificate),
            Protocol::Http1,
        )
    }

    /// A TLS connection for exact bytes.
    pub fn raw(&self) -> Raw {
        Raw::open(self.https, self.authority.pem())
    }

    /// The same, offering HTTP/2.
    pub fn raw_h2(&self) -> Raw {
        Raw::offering(self.https, self.authority.pem(), b"h2")
    }

    /// Runs the binary's command line in the gateway's folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(skip::binary().expect("CHARTWARD_BIN"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("the binary runs")
    }

    /// `audit verify` over the journal: whether it holds, and what it said.
    pub fn verify(&self) -> (bool, String) {
        let out = self.run(&["audit", "verify", "--journal", "journal"]);
        let said = [out.stdout, out.stderr].concat();
        (
            out.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// The journal's records, in order, as `audit show` prints them.
    pub fn records(&self) -> Vec<Value> {
        let out = self.run(&["audit", "show", "--journal", "journal"]);
        assert!(
            out.status.success(),
            "audit show failed:\n{}",
            String::from_utf8_lossy(&out.stderr)
        );
        out.stdout
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("a record is a line of JSON"))
            .collect()
    }
}

/// A folder with everything but the configuration.
fn prepare(setup: &Setup) -> (TempDir, Authority) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::new("chartward tests").expect("an authority");
    let server = authority
        .server(&["localhost", "127.0.0.1"])
        .expect("a server certificate");
    server
        .write(folder.path(), "server")
        .expect("the certificate's files");
    fs::write(folder.path().join("ca.pem"), authority.pem()).expect("the authority's file");
    for (n, pack) in setup.packs.iter().enumerate() {
        fs::write(folder.path().join(format!("pack-{n}.toml")), pack).expect("the pack's file");
    }
    (folder, authority)
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(skip::binary().expect("CHARTWARD_BIN"));
    command
        .args(["serve", "--config", "config.toml"])
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// The same with a socket as descriptor 3, the way that systemd hands one over. A shell moves it
/// there, and knows the process id that has to be named.
fn handed(folder: &Path, socket: &TcpListener) -> Command {
    let mut command = Command::new("sh");
    let socket = socket.try_clone().expect("another descriptor");
    command
        .args([
            "-c",
            "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=https exec \"$0\" serve --config config.toml",
        ])
        .arg(skip::binary().expect("CHARTWARD_BIN"))
        .current_dir(folder)
        .stdin(Stdio::from(OwnedFd::from(socket)));
    command
}

fn launch(mut command: Command, setup: &Setup) -> (Process, SocketAddr, SocketAddr) {
    let environment = setup.environment.iter();
    command.envs(environment.map(|(name, value)| (name, value)));
    let process = Process::start_with("chartward", command);
    let ready = process.ready("chartward ready", PATIENCE);
    let address = |key: &str| {
        ready
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key))
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("no `{key}` in `{ready}`"))
    };
    let (https, metrics) = (address("https="), address("metrics="));
    (process, https, metrics)
}

/// A loopback port that was free a moment ago: the configuration names it in two places. Not one
/// of those that the system gives to connections, which another test could be given meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    (0..1000)
        .map(|_| {
            let n = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() % 20_000 * 61;
            10_000 + u16::try_from(n % 20_000).unwrap_or_default()
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
