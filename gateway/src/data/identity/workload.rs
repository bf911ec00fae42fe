//! Machines: which `[[workload]]` a client certificate stands for, in requests without a token (D2).

use std::collections::HashMap;
use std::sync::Arc;

use chartward_rules::refusal::{No, Reason};
use chartward_rules::subject::{Authority, Kind, Subject};

use super::certificate::PeerCertificate;
use super::settings::{self, Matcher};

/// The configured workloads, found by what certificates say.
pub(super) struct Workloads {
    list: Vec<Workload>,
    by: HashMap<Matcher, usize>,
}

struct Workload {
    name: Arc<str>,
    roles: Vec<Arc<str>>,
}

impl Workloads {
    /// Reads what [`super::problems`] found nothing wrong with.
    pub fn new(settings: &[settings::Workload]) -> Self {
        let list = settings
            .iter()
            .map(|workload| {
                let mut roles: Vec<Arc<str>> = workload
                    .roles
                    .iter()
                    .map(|r| Arc::from(r.as_str()))
                    .collect();
                roles.sort();
                roles.dedup();
                Workload {
                    name: Arc::from(workload.name.as_str()),
                    roles,
                }
            })
            .collect();
        let by = settings
            .iter()
            .enumerate()
            .map(|(at, workload)| (workload.certificate.normal(), at))
            .collect();
        Self { list, by }
    }

    /// The subject that `peer` stands for. Its validity is the caller's to check.
    pub fn subject(&self, peer: &PeerCertificate) -> Result<Arc<Subject>, No> {
        let refused = |detail| Err(No::new(Reason::Unauthenticated).because(detail));
        if peer.authority {
            return refused("the client certificate is an authority's");
        }
        let mut found = None;
        for matcher in says(peer) {
            match (self.by.get(&matcher), found) {
                (None, _) => {}
                (Some(at), None) => found = Some(*at),
                (Some(at), Some(before)) if *at == before => {}
                (Some(_), Some(_)) => {
                    return refused("the client certificate stands for two workloads");
                }
            }
        }
        match found.and_then(|at| self.list.get(at)) {
            None => refused("the client certificate stands for no workload"),
            Some(workload) => Ok(Arc::new(Subject {
                kind: Kind::Workload,
                sub: Arc::clone(&workload.name),
                roles: workload.roles.clone(),
                scopes: Authority::Unscoped,
                certificate: Some(Arc::clone(&peer.sha256_hex)),
                expires: peer.not_after().seconds(),
                ..Subject::anonymous()
            })),
        }
    }
}

/// Everything that a `[[workload]]` may know the certificate by.
fn says(peer: &PeerCertificate) -> impl Iterator<Item = Matcher> {
    // SPIFFE X509-SVID §5: one URI, and a leaf that may sign
    let uri = match peer.uris.as_slice() {
        [uri] if peer.digital_signature => Some(Matcher::Uri(uri.clone())),
        _ => None,
    };
    let common_name = peer
        .common_name
        .clone()
        .filter(|name| !name.contains('='))
        .map(Matcher::Subject);
    [
        Some(Matcher::Sha256(peer.sha256)),
        Some(Matcher::Subject(peer.subject.clone())),
        common_name,
        uri,
    ]
    .into_iter()
    .flatten()
    .chain(peer.dns.clone().into_iter().map(Matcher::Dns))
}
