//! A connection's other end, and who a request of it is from.

use std::sync::{Arc, Mutex, PoisonError};

use chartward_rules::refusal::{No, Reason};
use chartward_rules::subject::{Kind, Subject};
use http::{HeaderMap, header};

use super::super::identity::PeerCertificate;
use super::super::listen::Peer;
use super::super::tls::Trust;
use super::state::{Service, State};
use crate::base::clock::now;

/// A connection's other end.
pub struct Caller {
    pub(super) peer: Peer,
    /// `None` without a certificate; an unreadable one counts as an invalid credential.
    certificate: Option<Result<PeerCertificate, ()>>,
    /// Under what its certificates were judged last, and whether they are admitted.
    judged: Mutex<Option<(Arc<Trust>, bool)>>,
}

impl Caller {
    pub(super) fn new(peer: Peer) -> Self {
        let read = |der: &[u8]| PeerCertificate::read(der).map_err(drop);
        let certificate = peer.certificate.as_ref().map(|der| read(der));
        Self {
            peer,
            certificate,
            judged: Mutex::default(),
        }
    }

    /// Whether its handshake would succeed under what is in force now.
    fn admitted(&self, trust: &Arc<Trust>) -> bool {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        match &*judged {
            Some((under, admitted)) if Arc::ptr_eq(under, trust) => *admitted,
            _ => {
                let admitted = trust.admits(&self.peer.chain);
                *judged = Some((trust.clone(), admitted));
                admitted
            }
        }
    }

    /// Who asks, as far as roles reach through the application. `below` is the target under the
    /// service's path.
    pub(super) async fn subject(
        &self,
        state: &State,
        service: &Service,
        headers: &HeaderMap,
        below: &str,
    ) -> Result<Arc<Subject>, No> {
        if !self.admitted(&state.trust) {
            let no = No::new(Reason::Unauthenticated);
            return Err(no.because("the connection's certificates don't count any more"));
        }
        let peer = match &self.certificate {
            None => None,
            Some(Ok(peer)) => Some(peer),
            Some(Err(())) => {
                return Err(
                    No::new(Reason::Unauthenticated).because("an unreadable client certificate")
                );
            }
        };
        let resolved = state
            .identity
            .resolve(service.identity, headers, peer, now());
        let subject = match resolved.await {
            Ok(subject) => subject,
            // what the gateway is may be known without a credential, not with a bad one
            Err(no)
                if no.reason == Reason::Unauthenticated
                    && below == "/metadata"
                    && !headers.contains_key(header::AUTHORIZATION) =>
            {
                Arc::new(Subject::anonymous())
            }
            Err(no) => return Err(no),
        };
        Ok(under_ceiling(service, subject))
    }
}

/// D31: an application's roles are the ceiling of those who call through it.
fn under_ceiling(service: &Service, subject: Arc<Subject>) -> Arc<Subject> {
    if !matches!(subject.kind, Kind::Person | Kind::Application) {
        return subject;
    }
    let of = |id: Option<&str>| {
        service
            .ceilings
            .iter()
            .find(|(known, _)| known.as_deref() == id)
    };
    let ceiling = subject
        .client
        .as_deref()
        .and_then(|id| of(Some(id)))
        .or_else(|| of(None));
    let Some((_, ceiling)) = ceiling else {
        return subject;
    };
    if subject.roles.iter().all(|role| ceiling.admits(role)) {
        return subject;
    }
    let mut lowered = Subject::clone(&subject);
    lowered.roles.retain(|role| ceiling.admits(role));
    Arc::new(lowered)
}
