//! What of a `[[service]]` concerns the servers behind it: where they are, whom to trust, how they
//! are watched, and how much is asked of them at once.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use chartward_rules::source::{Spanned, Table, Words};

use super::{Secret, Url, identity::digest, place::Place};

/// The most servers of one service.
const SERVERS: usize = 64;

/// The servers of a service.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where they are, at least one: same scheme and same path, which stands for the service's.
    pub servers: Vec<Spanned<Url>>,
    /// `[service.upstream_tls]`
    pub tls: UpstreamTls,
    /// `[service.health]`; without it nothing is asked of a server but what callers ask.
    pub health: Option<HealthChecks>,
    /// `[service.ejection]`
    pub ejection: Ejection,
    /// `[service.load]`
    pub load: Load,
}

/// How an `https` server is known, and what the gateway shows it.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    /// PEM of the roots that it must lead to; `None`: the platform's.
    pub ca: Option<Spanned<PathBuf>>,
    /// The name that its certificate must have; `None`: the URL's host.
    pub name: Option<Spanned<String>>,
    /// SHA-256 of certificates in DER; where there are any, a server must show one of them.
    pub pins: Vec<[u8; 32]>,
    /// PEM of the gateway's own certificate, and of its private key.
    pub identity: Option<(Spanned<PathBuf>, Spanned<Secret>)>,
}

/// Questions that the gateway asks by itself, to know which servers are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChecks {
    /// Below the base. `/metadata`.
    pub path: String,
    /// From one answer to the next question. 10 s.
    pub every: Duration,
    /// Until the whole answer is there. 5 s.
    pub timeout: Duration,
    /// Failures in a row until a server counts as down. 3.
    pub unhealthy_after: u32,
    /// Successes in a row until it counts as up again. 2.
    pub healthy_after: u32,
}

/// When a server among several is left alone for what callers' requests met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row. 5.
    pub after: u32,
    /// For how long, the first time; twice as long each further time. 10 s.
    pub first: Duration,
    /// At most. 5 min.
    pub longest: Duration,
}

/// How much is asked of a service's servers at once, all of them and all workers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests under way. 512.
    pub requests: usize,
    /// Requests that wait for one of these to end. 512.
    pub waiting: usize,
    /// How long one waits. 2 s.
    pub wait: Duration,
}

impl Upstream {
    /// The path of every server, without a slash at its end.
    pub fn path(&self) -> &str {
        self.servers.first().map_or("", |url| url.value.path())
    }

    /// Whether they are spoken to in TLS.
    pub fn is_https(&self) -> bool {
        self.servers.first().is_some_and(|url| url.value.is_https())
    }

    pub(super) fn read(t: &mut Table<'_>, place: &Place<'_>) -> Option<Self> {
        let allow_plain = t.bool("allow_plain_upstream");
        let allow_plain = allow_plain.is_some_and(|allow| allow.value);
        let listed = t.required_string_or_list("upstream");
        let servers = listed.and_then(|list| servers(t, list, allow_plain));
        let https = servers
            .as_ref()
            .and_then(|servers| Some(servers.first()?.value.is_https()));
        Some(Self {
            tls: tls(t, place, https),
            health: t.table("health").and_then(health),
            ejection: ejection(t.table_or_empty("ejection")),
            load: load(t.table_or_empty("load")),
            servers: servers?,
        })
    }
}

fn servers(t: &Table<'_>, list: Words, allow_plain: bool) -> Option<Vec<Spanned<Url>>> {
    let mut servers: Vec<Spanned<Url>> = Vec::new();
    for text in &list.value {
        let url = Url::read(t, "upstream", text)?;
        if !url.is_https() && !url.is_loopback() && !allow_plain {
            let message = "`upstream` must be `https` or on loopback";
            let help = "`allow_plain_upstream = true` sends patient data in the clear";
            t.error_with_help(text.span, message, help);
        }
        if let Some(first) = servers.first() {
            if first.value.is_https() != url.is_https() {
                let message = "all of `upstream` must be `https`, or none";
                t.error(text.span, message);
            }
            if first.value.path() != url.path() {
                let message = "all of `upstream` must have the same path";
                t.error_with_help(text.span, message, "they serve one and the same store");
            }
        }
        let at = (url.authority(), url.path().to_owned());
        if servers
            .iter()
            .any(|known| (known.value.authority(), known.value.path().to_owned()) == at)
        {
            t.error(text.span, "this `upstream` is there already");
        }
        servers.push(Spanned::new(url, text.span));
    }
    if servers.len() > SERVERS {
        t.error(
            list.span,
            format!("`upstream` has more than {SERVERS} servers"),
        );
    }
    (!servers.is_empty()).then_some(servers)
}

fn tls(t: &mut Table<'_>, place: &Place<'_>, https: Option<bool>) -> UpstreamTls {
    let Some(mut tls) = t.table("upstream_tls") else {
        return UpstreamTls::default();
    };
    if https == Some(false) {
        let message = "`upstream_tls` has no effect on an `http` upstream";
        tls.error(tls.span(), message);
    }
    let ca = tls.str("ca").and_then(|path| place.file(&tls, &path));
    let name = tls.str("name");
    let pins = tls.string_or_list("sha256");
    let pins = pins.map_or(Vec::new(), |pins| {
        let read = |pin: &Spanned<String>| {
            let digest = digest(pin);
            if digest.is_none() {
                tls.error(pin.span, "`sha256` must be 64 hexadecimal digits");
            }
            digest
        };
        pins.value.iter().filter_map(read).collect()
    });
    let certificate = tls.str("certificate");
    let key = tls.str("key");
    match (&certificate, &key) {
        (Some(alone), None) => tls.error(alone.span, "`certificate` needs its `key`"),
        (None, Some(alone)) => tls.error(alone.span, "`key` needs its `certificate`"),
        _ => {}
    }
    let certificate = certificate.and_then(|path| place.file(&tls, &path));
    let key = key.and_then(|named| {
        let secret = Secret::read(&tls, place, &named)?;
        Some(Spanned::new(secret, named.span))
    });
    UpstreamTls {
        ca,
        name,
        pins,
        identity: certificate.zip(key),
    }
}

fn health(mut t: Table<'_>) -> Option<HealthChecks> {
    const EVERY: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
    let path = t.str("path");
    let every = t.duration("every", EVERY);
    let timeout = t.duration("timeout", EVERY);
    let unhealthy_after = t.integer("unhealthy_after", 1..=100);
    let healthy_after = t.integer("healthy_after", 1..=100);
    let times =
        |found: Option<Spanned<i64>>, usual| found.map_or(usual, |found| found.value as u32);
    if let Some(path) = &path {
        let plain = |b: u8| (0x21..0x7f).contains(&b) && !b"#%\\".contains(&b);
        let dots = |segment: &str| segment == "." || segment == "..";
        if !path.starts_with('/')
            || path.starts_with("//")
            || !path.bytes().all(plain)
            || path.split(['/', '?']).any(dots)
        {
            let message = "`path` must be a plain path below the base of the server";
            t.error_with_help(path.span, message, "such as `/metadata`");
            return None;
        }
    }
    Some(HealthChecks {
        path: path.map_or("/metadata".to_owned(), |found| found.value),
        every: every.map_or(Duration::from_secs(10), |found| found.value),
        timeout: timeout.map_or(Duration::from_secs(5), |found| found.value),
        unhealthy_after: times(unhealthy_after, 3),
        healthy_after: times(healthy_after, 2),
    })
}

fn ejection(mut t: Table<'_>) -> Ejection {
    const FOR: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
    let after = t.integer("after", 1..=1000);
    let first = t.duration("first", FOR);
    let longest = t.duration("longest", FOR);
    let ejection = Ejection {
        after: after.map_or(5, |found| found.value as u32),
        first: first.map_or(Duration::from_secs(10), |found| found.value),
        longest: longest.map_or(Duration::from_secs(300), |found| found.value),
    };
    if ejection.first > ejection.longest {
        let span = first.or(longest).map_or(t.span(), |found| found.span);
        t.error(span, "`first` must not be more than `longest`");
    }
    ejection
}

fn load(mut t: Table<'_>) -> Load {
    let requests = t.integer("requests", 1..=1_000_000);
    let waiting = t.integer("waiting", 0..=1_000_000);
    let wait = t.duration("wait", Duration::from_millis(10)..=Duration::from_secs(60));
    Load {
        requests: requests.map_or(512, |found| found.value as usize),
        waiting: waiting.map_or(512, |found| found.value as usize),
        wait: wait.map_or(Duration::from_secs(2), |found| found.value),
    }
}
