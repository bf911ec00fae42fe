//! What one part of the configuration says about another.

use chartward_rules::source::{Span, Spanned, Table, nearest};

use super::{Ceiling, Client, ClientAuth, Issuer, Service, Workload};

/// The parts that could be read: what is wrong between them is told beside what
/// is wrong within the others.
pub(super) struct Parts<'a, 'r> {
    /// For reporting.
    pub root: &'a Table<'r>,
    /// `None` where `[tls]` can't be read.
    pub client_auth: Option<ClientAuth>,
    /// A service that names no issuer gets the only one.
    pub services: &'a mut [Service],
    /// `None` unless all of them could be read.
    pub issuers: Option<&'a [Issuer]>,
    pub clients: &'a [Client],
    pub workloads: &'a [Workload],
}

impl Parts<'_, '_> {
    /// Reports every contradiction.
    pub fn check(mut self) {
        let services = self.services.iter().map(|service| &service.name);
        self.unique("service", services);
        let issuers = self.issuers.into_iter().flatten();
        self.once("issuer", issuers.map(|i| (i.span, i.url.text())));
        self.unique("client", self.clients.iter().map(|client| &client.id));
        let workloads = self.workloads.iter();
        self.unique("workload", workloads.map(|workload| &workload.name));
        self.paths();
        self.trust();
        self.certificates();
        self.roles();
    }

    /// No service lies inside another.
    fn paths(&self) {
        let inside = |long: &str, short: &str| {
            let rest = long.strip_prefix(short);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for (index, service) in self.services.iter().enumerate() {
            let path = &service.path;
            for earlier in self.services.iter().take(index) {
                if inside(path, &earlier.path) || inside(&earlier.path, path) {
                    let message = format!("`path` overlaps that of service `{}`", *earlier.name);
                    self.root.error(path.span, message);
                }
            }
        }
    }

    /// Issuers that services name are there.
    fn trust(&mut self) {
        let Some(issuers) = self.issuers else {
            return;
        };
        let urls = || issuers.iter().map(|issuer| issuer.url.text());
        for service in self.services.iter_mut() {
            for url in &service.issuers {
                if urls().any(|known| known == url.value) {
                    continue;
                }
                let message = format!("there is no issuer `{}`", url.value);
                match nearest(url, urls()) {
                    Some(known) => {
                        let help = format!("did you mean `{known}`?");
                        self.root.error_with_help(url.span, message, help);
                    }
                    None => self.root.error(url.span, message),
                }
            }
            match (service.issuers_said, issuers) {
                (false, [only]) => {
                    let url = only.url.text().to_owned();
                    service.issuers.push(Spanned::new(url, only.span));
                }
                (false, [_, _, ..]) => {
                    let message = "this service must say which `issuers` it trusts";
                    self.root.error(service.name.span, message);
                }
                _ => {}
            }
        }
        for service in self.services.iter() {
            self.unique("issuer", service.issuers.iter());
        }
    }

    /// Workloads can be recognised, each by a certificate of its own.
    fn certificates(&self) {
        for (index, workload) in self.workloads.iter().enumerate() {
            let certificate = &workload.certificate;
            if self.client_auth == Some(ClientAuth::Off) {
                let message = "a workload needs client certificates";
                let help = "set `client_auth` in `[tls]` to `optional` or `required`";
                self.root.error_with_help(certificate.span, message, help);
            }
            let mut earlier = self.workloads.iter().take(index);
            if let Some(other) = earlier.find(|w| w.certificate.value == certificate.value) {
                let message = format!("workload `{}` has the same certificate", *other.name);
                self.root.error(certificate.span, message);
            }
        }
    }

    /// `*` is a ceiling, never a role; and a role is listed once.
    fn roles(&self) {
        let issuers = self.issuers.into_iter().flatten();
        let mapped = issuers.flat_map(|issuer| issuer.map.iter().map(|(_, role)| role));
        let given = self.workloads.iter().flat_map(|workload| &workload.roles);
        for role in mapped.chain(given).filter(|role| role.value == "*") {
            self.root.error(role.span, "`*` is not a role");
        }
        let ceilings = self.clients.iter().map(|client| &client.roles);
        let defaults = self.services.iter().map(|service| &service.default_client);
        for ceiling in ceilings.chain(defaults) {
            if let Ceiling::Roles(roles) = ceiling {
                self.unique("role", roles.iter());
            }
        }
        for workload in self.workloads {
            self.unique("role", workload.roles.iter());
        }
    }

    fn unique<'n>(&self, what: &str, names: impl Iterator<Item = &'n Spanned<String>>) {
        self.once(what, names.map(|name| (name.span, name.as_str())));
    }

    /// Each name once.
    fn once<'n>(&self, what: &str, names: impl Iterator<Item = (Span, &'n str)>) {
        let mut seen = Vec::new();
        for (span, name) in names {
            if seen.contains(&name) {
                let message = format!("{what} `{name}` is there already");
                self.root.error(span, message);
            }
            seen.push(name);
        }
    }
}
