//! `[listen]`, `[server]` and `[tls]`: where callers come in.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use chartward_rules::source::{Spanned, Table};

use super::{Secret, Url, place::Place};

/// Where the gateway listens.
#[derive(Clone, Debug)]
pub struct Listen {
    /// FHIR over TLS; port 0 takes any free one.
    pub https: SocketAddr,
    /// What callers see: `https`, no path. Links are written with it.
    pub public_url: Url,
    /// `/metrics`, `/livez`, `/readyz`, plain HTTP. Default `127.0.0.1:9090`.
    pub metrics: SocketAddr,
    /// "Not found" is sent at a multiple of this after arrival (D15). Default
    /// 10 ms.
    pub refusal_quantum: Duration,
}

impl Listen {
    pub(super) fn read(mut t: Table<'_>) -> Option<Self> {
        t.not_enforced(&["admin"]);
        let https = t.required_str("https");
        let https = https.and_then(|text| address(&t, "https", &text));
        let public_url = t.required_str("public_url");
        let public_url = public_url.and_then(|text| public(&t, &text));
        let metrics_text = t.str("metrics");
        let metrics = match &metrics_text {
            Some(text) => address(&t, "metrics", text),
            None => Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
        };
        let range = Duration::from_millis(1)..=Duration::from_secs(1);
        let quantum = t.duration("refusal_quantum", range);
        if let (Some(https), Some(metrics)) = (https, metrics)
            && https == metrics
            && https.port() != 0
        {
            let span = metrics_text.map_or(t.span(), |text| text.span);
            t.error(
                span,
                "`metrics` needs an address of its own, not that of `https`",
            );
        }
        Some(Self {
            https: https?,
            public_url: public_url?,
            metrics: metrics?,
            refusal_quantum: quantum.map_or(Duration::from_millis(10), |found| found.value),
        })
    }
}

/// How the process runs.
#[derive(Clone, Debug)]
pub struct Server {
    /// Data cores, each with its own runtime. 0 (default): one for each core.
    pub workers: usize,
    /// How long requests may go on once the process is asked to stop. Default 10 s.
    pub drain: Duration,
    /// How long it goes on serving before that, while `/readyz` says that it stops. Default none.
    pub drain_delay: Duration,
}

impl Server {
    pub(super) fn read(mut t: Table<'_>) -> Self {
        let workers = t.integer("workers", 0..=1024);
        let hour = Duration::from_secs(3600);
        let drain = t.duration("drain", Duration::from_millis(100)..=hour);
        let drain_delay = t.duration("drain_delay", Duration::ZERO..=hour);
        Self {
            workers: workers.map_or(0, |found| found.value as usize),
            drain: drain.map_or(Duration::from_secs(10), |found| found.value),
            drain_delay: drain_delay.map_or(Duration::ZERO, |found| found.value),
        }
    }
}

/// What the gateway shows of itself, and what it wants of its callers.
#[derive(Clone, Debug)]
pub struct Tls {
    /// PEM, the server's certificate first.
    pub certificate: Spanned<PathBuf>,
    /// PEM of its private key.
    pub key: Spanned<Secret>,
    /// PEM of the roots that client certificates must lead to.
    pub client_ca: Option<Spanned<PathBuf>>,
    /// Default off.
    pub client_auth: ClientAuth,
}

/// Whether callers show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// None is asked for.
    Off,
    /// One is asked for, and checked if it comes.
    Optional,
    /// None, no connection.
    Required,
}

impl Tls {
    pub(super) fn read(mut t: Table<'_>, place: &Place<'_>) -> Option<Self> {
        t.not_enforced(&["crl"]);
        let certificate = t.required_str("certificate");
        let certificate = certificate.and_then(|path| place.file(&t, &path));
        let key = t.required_str("key").and_then(|named| {
            let secret = Secret::read(&t, place, &named)?;
            Some(Spanned::new(secret, named.span))
        });
        let ca_text = t.str("client_ca");
        let client_ca = ca_text.as_ref().and_then(|path| place.file(&t, path));
        let auth = t.choice(
            "client_auth",
            &[
                ("off", ClientAuth::Off),
                ("optional", ClientAuth::Optional),
                ("required", ClientAuth::Required),
            ],
        );
        let client_auth = auth.map_or(ClientAuth::Off, |found| found.value);
        match (&ca_text, auth) {
            (None, Some(auth)) if auth.value != ClientAuth::Off => {
                t.error(auth.span, "client certificates need `client_ca`");
            }
            (Some(path), _) if client_auth == ClientAuth::Off => {
                let help = "set `client_auth` to `optional` or `required`";
                let message = "`client_ca` has no effect while `client_auth` is `off`";
                t.error_with_help(path.span, message, help);
            }
            _ => {}
        }
        Some(Self {
            certificate: certificate?,
            key: key?,
            client_ca,
            client_auth,
        })
    }
}

fn address(t: &Table<'_>, key: &str, text: &Spanned<String>) -> Option<SocketAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let message = format!("`{key}` must be an address and a port");
        t.error_with_help(
            text.span,
            message,
            "such as `127.0.0.1:8443` or `[::]:8443`",
        );
    }
    parsed
}

fn public(t: &Table<'_>, text: &Spanned<String>) -> Option<Url> {
    let url = Url::read(t, "public_url", text)?;
    if !url.is_https() {
        t.error(text.span, "`public_url` must be `https`");
        return None;
    }
    if !url.path().is_empty() {
        let help = "the path of a service is its `path`";
        t.error_with_help(text.span, "`public_url` must have no path", help);
        return None;
    }
    Some(url)
}
