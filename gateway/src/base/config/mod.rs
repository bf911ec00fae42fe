//! The configuration file: read once, checked whole, handed out as plain types.
//!
//! In: a TOML file (`config.example.toml` documents every key). Out: a
//! [`Config`] in which paths are absolute or relative to the working directory as
//! the file's folder is, addresses are parsed, secrets are read and names that
//! refer to each other do. Or everything that is wrong with it, with its place.
//! Never here: packs (their names of roles are checked where they are loaded,
//! hence the spans), sockets, and keys that this version doesn't enforce: those
//! are errors.

mod cross;
mod identity;
mod limits;
mod listen;
mod place;
mod reload;
mod secret;
mod service;
mod store;
mod upstream;
mod url;

use std::{
    fs,
    path::{Path, PathBuf},
};

use chartward_rules::source::{Diagnostics, Outcome, Source, Span, Table, read};

use place::Place;

pub use identity::{CertificateName, Issuer, ScopeRule, Workload};
pub use limits::{Limit, Limits};
pub use listen::{ClientAuth, Listen, Server, Tls};
pub use reload::Reload;
pub use secret::{Handles, Secret};
pub use service::{Ceiling, Client, Page, Service};
pub use store::{Durability, Journal, Level, Log, LogFormat, Secrets};
pub use upstream::{Ejection, HealthChecks, Load, Upstream, UpstreamTls};
pub use url::Url;

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The text it was read from; the spans below point into it.
    pub source: Source,
    /// `[listen]`
    pub listen: Listen,
    /// `[server]`
    pub server: Server,
    /// `[reload]`
    pub reload: Reload,
    /// `[limits]`
    pub limits: Limits,
    /// `[tls]`
    pub tls: Tls,
    /// `[[service]]`, at least one.
    pub services: Vec<Service>,
    /// `[[issuer]]`
    pub issuers: Vec<Issuer>,
    /// `[[client]]`
    pub clients: Vec<Client>,
    /// `[[workload]]`
    pub workloads: Vec<Workload>,
    /// `[journal]`
    pub journal: Journal,
    /// `[secrets]`
    pub secrets: Secrets,
    /// `[log]`
    pub log: Log,
}

impl Config {
    /// Reads and checks a file; relative paths in it start at its folder.
    ///
    /// Fails with all that is wrong, a file that can't be read included.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new(""));
        match fs::read_to_string(path) {
            Ok(text) => Self::read(&Source::new(name, text), folder).into_result(),
            Err(error) => {
                let mut diagnostics = Diagnostics::new();
                let message = format!("this file can't be read: {}", place::said(&error));
                diagnostics.error(&Source::new(name, ""), Span::default(), message);
                Err(diagnostics)
            }
        }
    }

    /// Reads and checks a text; relative paths in it start at `folder`, and the
    /// files it names must be there.
    pub fn read(source: &Source, folder: &Path) -> Outcome<Self> {
        Self::read_noting(source, folder, &mut Vec::new())
    }

    /// The same; the files that the text names are noted, whatever comes of it.
    pub fn read_noting(source: &Source, folder: &Path, named: &mut Vec<PathBuf>) -> Outcome<Self> {
        let place = Place::new(folder);
        let outcome = read(source, |root| Self::from_table(root, &place));
        named.append(&mut place.named());
        outcome
    }

    /// The issuer with this URL.
    pub fn issuer(&self, url: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.url.text() == url)
    }

    fn from_table(root: &mut Table<'_>, place: &Place<'_>) -> Option<Self> {
        root.not_enforced(&["mllp", "sink", "state"]);
        let listen = root.required_table("listen").map(Listen::read);
        let server = Server::read(root.table_or_empty("server"));
        let reload = Reload::read(root.table_or_empty("reload"));
        let limits = Limits::read(root.table_or_empty("limits"));
        let tls = root.required_table("tls").map(|t| Tls::read(t, place));
        let (mut services, all_services) =
            each(root.required_tables("service"), |t| Service::read(t, place));
        let (issuers, all_issuers) = each(root.tables("issuer"), |t| Issuer::read(t, place));
        let (clients, all_clients) = each(root.tables("client"), Client::read);
        let (workloads, all_workloads) = each(root.tables("workload"), Workload::read);
        let journal = Journal::read(root.table_or_empty("journal"), place);
        let secrets = Secrets::read(root.table_or_empty("secrets"), place);
        let log = Log::read(root.table_or_empty("log"));

        let whole = all_services && all_issuers && all_clients && all_workloads;
        if whole && issuers.is_empty() && workloads.is_empty() {
            let message = "nobody can be let in without an `issuer` or a `workload`";
            root.error_with_help(root.span(), message, "write `[[issuer]]`");
        }
        cross::Parts {
            root,
            client_auth: tls.as_ref().and_then(|tls| Some(tls.as_ref()?.client_auth)),
            services: &mut services,
            issuers: all_issuers.then_some(&*issuers),
            clients: &clients,
            workloads: &workloads,
        }
        .check();
        whole.then_some(())?;
        Some(Self {
            source: root.source().clone(),
            listen: listen??,
            server,
            reload,
            limits,
            tls: tls??,
            services,
            issuers,
            clients,
            workloads,
            journal,
            secrets: secrets?,
            log,
        })
    }
}

/// Reads every table of an array, and tells whether all of them can be used.
fn each<'r, T>(tables: Vec<Table<'r>>, read: impl FnMut(Table<'r>) -> Option<T>) -> (Vec<T>, bool) {
    let read: Vec<_> = tables.into_iter().map(read).collect();
    let whole = read.iter().all(Option::is_some);
    (read.into_iter().flatten().collect(), whole)
}

#[cfg(test)]
mod tests;
