//! Who asks: a person or an application by token, or a workload by certificate.

use std::sync::Arc;

use crate::smart::Scopes;

/// A caller whose credential was verified. Made by the gateway's identity stage; immutable and
/// shared for as long as the credential is cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// How the subject was told.
    pub kind: Kind,
    /// The issuer's URL; empty for a workload.
    pub issuer: Arc<str>,
    /// `sub` of the token, or the workload's name.
    pub sub: Arc<str>,
    /// `name` claim, for the record only.
    pub name: Option<Arc<str>>,
    /// `client_id` or `azp`: the application the token was given to.
    pub client: Option<Arc<str>>,
    /// `fhirUser`, relative (`Practitioner/17`), bound to the service's base.
    pub fhir_user: Option<Arc<str>>,
    /// `patient` claim: the launch patient's id. Confines `patient/` scopes only (D3).
    pub patient: Option<Arc<str>>,
    /// Roles by the issuer's map or the workload's list, sorted, no duplicates.
    pub roles: Vec<Arc<str>>,
    /// What the token's scopes allow.
    pub scopes: Authority,
    /// Purposes of use the token asserts (v3-ActReason codes); usually none or one.
    pub purposes: Vec<Arc<str>>,
    /// `acr` claim.
    pub acr: Option<Arc<str>>,
    /// SHA-256 of the client certificate's DER, hex, where one was presented.
    pub certificate: Option<Arc<str>>,
    /// Seconds since the epoch at which the credential ends.
    pub expires: i64,
}

/// How a subject was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody with a token.
    Person,
    /// An application with a token of its own (client credentials).
    Application,
    /// A machine with a client certificate and no token.
    Workload,
    /// Nobody: no credential. May ask for `metadata` only.
    Anonymous,
}

impl Kind {
    /// The word in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Application => "application",
            Self::Workload => "workload",
            Self::Anonymous => "anonymous",
        }
    }
}

/// The scope factor of a subject's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// No scope factor: a workload, or an issuer with `scopes = "ignored"`.
    Unscoped,
    /// SMART scopes of the token; an empty set grants nothing.
    Scoped(Scopes),
}

impl Subject {
    /// The caller without a credential.
    pub fn anonymous() -> Self {
        Self {
            kind: Kind::Anonymous,
            issuer: Arc::from(""),
            sub: Arc::from(""),
            name: None,
            client: None,
            fhir_user: None,
            patient: None,
            roles: Vec::new(),
            scopes: Authority::Scoped(Scopes::default()),
            purposes: Vec::new(),
            acr: None,
            certificate: None,
            expires: i64::MAX,
        }
    }
}
