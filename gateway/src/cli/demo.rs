//! `chartward demo`: a sample clinic, an issuer, certificates and the gateway, in one process, on
//! loopback only.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use chartward_certs::{Authority, ClientSpec};
use chartward_sandbox::{clinic, fhir, issuer::Issuer};
use serde_json::json;

use super::UNUSABLE;
use super::serve::{Signals, start_log};
use crate::app::Plan;

const PACK: &str = include_str!("../../../rules/packs/outpatient.toml");
const LAB: &str = "spiffe://clinic.example/lab-analyzer";

/// Who there is to be: file name, role claim, `sub`, `fhirUser`.
const PEOPLE: [(&str, &str, &str, &str); 4] = [
    (
        "front-desk",
        "frontdesk",
        "dana",
        "PractitionerRole/role-001",
    ),
    ("nurse", "RN", "nora", clinic::NURSE),
    ("physician", "MD", "paul", clinic::PHYSICIAN),
    ("coder", "coder", "cody", "PractitionerRole/role-002"),
];

/// Exit codes: 0 stopped as asked, 2 it can't run.
pub fn demo(
    port: Option<u16>,
    directory: Option<PathBuf>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    match run(port, directory, out) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            UNUSABLE
        }
    }
}

fn run(port: Option<u16>, directory: Option<PathBuf>, out: &mut dyn Write) -> io::Result<()> {
    let directory = match directory {
        Some(directory) => directory,
        None => std::env::temp_dir().join(format!("chartward-demo-{}", std::process::id())),
    };
    fs::create_dir_all(&directory)?;
    let directory = directory.canonicalize()?;
    let https = free_port(port, 8443)?;
    let metrics = free_port(None, 9090)?;

    // the world around the gateway has a runtime of its own
    let world = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let issuer = world.block_on(Issuer::start(loopback))?;
    let server = world.block_on(fhir::Server::start(clinic::seed(1), loopback))?;
    server.record(false);

    let authority = Authority::new("chartward demo authority").map_err(io::Error::other)?;
    authority
        .write(&directory, "ca")
        .map_err(io::Error::other)?;
    let own = authority
        .server(&["localhost", "127.0.0.1"])
        .map_err(io::Error::other)?;
    own.write(&directory, "server").map_err(io::Error::other)?;
    let lab = authority
        .client(&ClientSpec::spiffe("lab-analyzer", LAB))
        .map_err(io::Error::other)?;
    lab.write(&directory, "lab-analyzer")
        .map_err(io::Error::other)?;

    let base = format!("https://localhost:{https}/fhir");
    for (file, role, sub, fhir_user) in PEOPLE {
        let token = issuer
            .token(&json!({
                "sub": sub, "aud": base, "client_id": "demo-app", "roles": [role],
                "scope": "user/*.rs", "fhirUser": fhir_user, "exp": now_seconds() + 8 * 3600,
            }))
            .map_err(io::Error::other)?;
        write_private(
            &directory.join(format!("{file}.header")),
            &format!("Authorization: Bearer {token}"),
        )?;
    }
    fs::write(directory.join("outpatient.toml"), PACK)?;
    fs::write(directory.join("result.json"), result())?;
    let config = directory.join("config.toml");
    fs::write(
        &config,
        configuration(https, metrics, &base, issuer.url(), server.base_url()),
    )?;

    let plan = Plan::load(&config).map_err(|errors| io::Error::other(errors.render()))?;
    start_log(&plan.config().log);
    let signals = Signals::catch()?;
    let running = plan.start().map_err(io::Error::other)?;
    commands(out, &directory, &base, running.metrics())?;
    super::serve::ready(&running, out)?;
    signals.wait(|| running.reload());
    running.stop();
    drop((issuer, server));
    Ok(())
}

/// A result for the lab device to file.
fn result() -> String {
    let patient = clinic::PATIENT;
    format!(
        r#"{{"resourceType":"Observation","status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"2823-3"}}]}},"subject":{{"reference":"{patient}"}},"valueQuantity":{{"value":4.10,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}}}}
"#
    )
}

fn configuration(https: u16, metrics: u16, base: &str, issuer: &str, upstream: &str) -> String {
    format!(
        r#"# made by `chartward demo`; every key is documented in config.example.toml
[listen]
https = "127.0.0.1:{https}"
public_url = "https://localhost:{https}"
metrics = "127.0.0.1:{metrics}"

[tls]
certificate = "server.pem"
key = "server.key"
client_ca = "ca.pem"
client_auth = "optional"

[[service]]
name = "clinic"
path = "/fhir"
upstream = "{upstream}"
packs = ["outpatient.toml"]

[[issuer]]
url = "{issuer}"
audience = ["{base}"]
roles = "roles"
map = {{ frontdesk = "front-desk", RN = "nurse", MD = "physician", coder = "coder" }}

[[workload]]
name = "lab-analyzer"
certificate = {{ uri = "{LAB}" }}
roles = ["lab-device"]

[journal]
directory = "journal"

[secrets]
handles = "handles.key"

[log]
level = "warn"
"#
    )
}

fn commands(
    out: &mut dyn Write,
    directory: &Path,
    base: &str,
    metrics: SocketAddr,
) -> io::Result<()> {
    let d = directory.display();
    let patient = clinic::PATIENT;
    let id = patient.rsplit('/').next().unwrap_or(patient);
    let curl = format!("curl -sS --cacert {d}/ca.pem");
    writeln!(
        out,
        "\nA synthetic clinic of {} patients is behind the gateway. Paste these:\n",
        clinic::PATIENTS
    )?;
    let mut example = |what: &str, command: String| writeln!(out, "# {what}\n{command}\n");
    example(
        "a physician sees the whole chart",
        format!("{curl} -H @{d}/physician.header {base}/{patient}"),
    )?;
    example(
        "a nurse sees the same chart, masked",
        format!("{curl} -H @{d}/nurse.header {base}/{patient}"),
    )?;
    example(
        "the front desk sees demographics of the same chart",
        format!("{curl} -H @{d}/front-desk.header {base}/{patient}"),
    )?;
    example(
        "and no clinical content: refused",
        format!("{curl} -i -H @{d}/front-desk.header '{base}/Observation?patient={id}'"),
    )?;
    example(
        "a search by the physician, behavioural health included",
        format!("{curl} -H @{d}/physician.header '{base}/Condition?patient={id}'"),
    )?;
    example(
        "the same search by the nurse: those rows are not there",
        format!("{curl} -H @{d}/nurse.header '{base}/Condition?patient={id}'"),
    )?;
    example(
        "a search that reads what the caller may not see: refused, the parameter named",
        format!("{curl} -i -H @{d}/nurse.header '{base}/Patient?identifier=x'"),
    )?;
    example(
        "a lab device, known by its certificate alone, reads active orders",
        format!(
            "{curl} --cert {d}/lab-analyzer.pem --key {d}/lab-analyzer.key '{base}/ServiceRequest?_count=3'"
        ),
    )?;
    example(
        "and files a result, which it can't read back",
        format!(
            "{curl} -i --cert {d}/lab-analyzer.pem --key {d}/lab-analyzer.key -H 'Content-Type: application/fhir+json' --data @{d}/result.json {base}/Observation"
        ),
    )?;
    example("nobody: refused", format!("{curl} -i {base}/{patient}"))?;
    example(
        "each of these has its records",
        format!("{} audit show --journal {d}/journal", program()),
    )?;
    example(
        "and nobody can change one unseen",
        format!("{} audit verify --journal {d}/journal", program()),
    )?;
    example(
        "metrics and health",
        format!("curl -sS http://{metrics}/metrics; curl -sS http://{metrics}/readyz"),
    )?;
    writeln!(
        out,
        "journal  {d}/journal\nmetrics  http://{metrics}/metrics\nconfig   {d}/config.toml\nstop with ctrl-c\n"
    )
}

/// How this program was called.
fn program() -> String {
    std::env::current_exe().map_or_else(
        |_| "chartward".to_owned(),
        |path| path.display().to_string(),
    )
}

/// The port asked for; else the usual one where it is free, else any.
fn free_port(asked: Option<u16>, usual: u16) -> io::Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|l| l.local_addr());
    match asked {
        Some(0) => Ok(bind(0)?.port()),
        Some(port) => Ok(bind(port)?.port()),
        None => Ok(bind(usual).or_else(|_| bind(0))?.port()),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

fn now_seconds() -> i64 {
    crate::base::clock::now().seconds()
}
