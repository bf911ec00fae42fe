//! What is behind a service: its servers, and what all cores share about them.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use chartward_rules::source::{Diagnostics, Source, Span, Spanned};
use http::HeaderValue;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::{budget::Budget, line::Line, server::Server, standing::Standing, trust};
use crate::base::config::{Ejection, HealthChecks, Limits, Load, Secret, Service, Url};

/// The servers of a service as configured, and how they are. One for a service, shared by the
/// cores.
pub struct Target {
    pub(super) name: Box<str>,
    /// At least one.
    pub(super) servers: Vec<Arc<Server>>,
    pub(super) times: Times,
    pub(super) checks: Option<HealthChecks>,
    pub(super) ejection: Ejection,
    pub(super) line: Line,
    pub(super) budget: Budget,
    /// What standings count their times from.
    pub(super) began: Instant,
    /// Held while it is settled whether one more may be ejected.
    ejecting: Mutex<()>,
    /// Checks of its servers have begun.
    pub(super) watched: AtomicBool,
    origin: Origin,
}

/// What a target is made of: one of equal origin goes on, with its connections and what is known
/// of its servers.
#[derive(PartialEq)]
struct Origin {
    service: String,
    servers: Vec<Url>,
    name: Option<String>,
    pins: Vec<[u8; 32]>,
    /// What the named files hold: roots, the gateway's own certificate.
    files: [Option<Vec<u8>>; 2],
    key: Option<Secret>,
    bearer: Option<Secret>,
    times: Times,
    checks: Option<HealthChecks>,
    ejection: Ejection,
    load: Load,
}

impl Origin {
    fn of(service: &Service, times: Times) -> Self {
        let upstream = &service.upstream;
        let tls = &upstream.tls;
        let (certificate, key) = match &tls.identity {
            Some((certificate, key)) => (Some(certificate), Some(key.value.clone())),
            None => (None, None),
        };
        let held = |path: Option<&Spanned<PathBuf>>| fs::read(&path?.value).ok();
        Self {
            service: service.name.value.clone(),
            servers: upstream.servers.iter().map(|s| s.value.clone()).collect(),
            name: tls.name.as_ref().map(|name| name.value.clone()),
            pins: tls.pins.clone(),
            files: [held(tls.ca.as_ref()), held(certificate)],
            key,
            bearer: service.bearer.clone(),
            times,
            checks: upstream.health.clone(),
            ejection: upstream.ejection,
            load: upstream.load,
        }
    }
}

/// How long, and how many connections rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Times {
    pub connect: Duration,
    pub response: Duration,
    pub total: Duration,
    pub idle: Duration,
    pub most_idle: usize,
}

impl Target {
    /// Reads a service's servers, with the certificates it names.
    ///
    /// Fails with what is wrong, at its key.
    pub fn new(
        source: &Source,
        service: &Service,
        limits: &Limits,
    ) -> Result<Arc<Self>, Diagnostics> {
        let mut found = Diagnostics::new();
        let mut say = |span: Span, message: String| found.error(source, span, message);
        match read(service, limits, &mut say) {
            Some(target) => Ok(Arc::new(target)),
            None => Err(found),
        }
    }

    /// The one of `before` that is the same, else itself: what stays as it was keeps its
    /// connections.
    pub fn or_kept(self: Arc<Self>, before: &[Arc<Self>]) -> Arc<Self> {
        let same = before.iter().find(|other| other.origin == self.origin);
        same.cloned().unwrap_or(self)
    }

    /// How many servers there are, and how many of them are up, as far as is known: neither found
    /// down by checks nor left alone.
    pub fn standing(&self) -> (usize, usize) {
        let now = self.began.elapsed();
        let up = |server: &&Arc<Server>| server.standing.is_usable(now);
        (self.servers.len(), self.servers.iter().filter(up).count())
    }

    /// Leaves a server alone, unless more than half would be; whether it did.
    pub(super) fn eject(&self, at: usize) -> bool {
        let _held = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.began.elapsed();
        let ejected = self.servers.iter();
        let ejected = ejected.filter(|server| server.standing.is_ejected(now));
        match self.servers.get(at) {
            Some(server)
                if !server.standing.is_ejected(now)
                    && (ejected.count() + 1) * 2 <= self.servers.len() =>
            {
                server.standing.eject(now, &self.ejection);
                true
            }
            _ => false,
        }
    }
}

fn read(service: &Service, limits: &Limits, say: &mut impl FnMut(Span, String)) -> Option<Target> {
    let upstream = &service.upstream;
    let times = Times {
        connect: limits.upstream_connect,
        response: limits.upstream_response,
        total: limits.upstream_total,
        idle: limits.upstream_idle,
        most_idle: limits.upstream_idle_connections,
    };
    // before the files are read for use: where they change in between, the next reload sees it
    let origin = Origin::of(service, times);
    let tls = if upstream.is_https() {
        let client = trust::client(&upstream.tls, service.name.span, say);
        Some((client?, name(&upstream.tls.name, say)?))
    } else {
        None
    };
    let authorization = service.bearer.as_ref().and_then(bearer);
    let servers = upstream.servers.iter();
    let servers: Vec<_> = servers
        .map(|url| server(url, &tls, &authorization, say))
        .collect();
    Some(Target {
        name: service.name.value.as_str().into(),
        servers: servers.into_iter().collect::<Option<_>>()?,
        times,
        checks: upstream.health.clone(),
        ejection: upstream.ejection,
        line: Line::new(&upstream.load),
        budget: Budget::new(),
        began: Instant::now(),
        ejecting: Mutex::default(),
        watched: AtomicBool::new(false),
        origin,
    })
}

type Name = Option<ServerName<'static>>;

/// The configured name that certificates must have; `Some(None)`: each URL's host.
fn name(name: &Option<Spanned<String>>, say: &mut impl FnMut(Span, String)) -> Option<Name> {
    let Some(name) = name else {
        return Some(None);
    };
    match ServerName::try_from(name.value.clone()) {
        Ok(known) => Some(Some(known)),
        Err(_) => {
            let message = "`name` is nothing that a certificate can name";
            say(name.span, message.to_owned());
            None
        }
    }
}

fn server(
    url: &Spanned<Url>,
    tls: &Option<(Arc<ClientConfig>, Name)>,
    authorization: &Option<HeaderValue>,
    say: &mut impl FnMut(Span, String),
) -> Option<Arc<Server>> {
    let tls = match tls {
        None => None,
        Some((client, Some(name))) => Some((TlsConnector::from(client.clone()), name.clone())),
        Some((client, None)) => match ServerName::try_from(url.host().to_owned()) {
            Ok(name) => Some((TlsConnector::from(client.clone()), name)),
            Err(_) => {
                let message = "`upstream` has a host that no certificate can name";
                say(url.span, message.to_owned());
                return None;
            }
        },
    };
    let Ok(authority) = HeaderValue::try_from(url.authority()) else {
        let message = "`upstream` has a host that no header can hold";
        say(url.span, message.to_owned());
        return None;
    };
    Some(Arc::new(Server {
        host: url.host().to_owned(),
        port: url.port(),
        tls,
        authority,
        base: url.path().to_owned(),
        authorization: authorization.clone(),
        standing: Standing::default(),
    }))
}

/// The configuration has seen to it that a header can hold it.
fn bearer(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(&[b"Bearer ", secret.expose()].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
