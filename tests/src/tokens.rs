//! Access tokens of the development issuer, for tests whose subject isn't the authorization server.

use std::net::{Ipv4Addr, SocketAddr};

use chartward_sandbox::issuer;
use serde_json::{Value, json};

use crate::block_on;
use crate::gateway::{AUDIENCE, Issuer};

/// A running development issuer; it stops when dropped.
pub struct Tokens {
    issuer: issuer::Issuer,
}

impl Tokens {
    /// Starts one on a free loopback port.
    pub fn start() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            issuer: block_on(issuer::Issuer::start(any)).expect("the development issuer"),
        }
    }

    /// The gateway's section for it: claim values are the roles themselves.
    pub fn trusted(&self, roles: &[&str]) -> Issuer {
        Issuer::of(self.issuer.url(), roles)
    }

    /// A good token for a person with these roles and SMART scopes.
    pub fn token(&self, subject: &str, roles: &[&str], scopes: &str) -> String {
        self.claims(&json!({ "sub": subject, "roles": roles, "scope": scopes }))
    }

    /// A token of the usual audience and client with these claims; null leaves one out.
    pub fn claims(&self, claims: &Value) -> String {
        let mut all = json!({ "aud": AUDIENCE, "client_id": "app" });
        for (name, value) in claims.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        self.issuer.token(&all).expect("a token")
    }

    /// The issuer itself: other headers, keys, rotation, faults.
    pub fn issuer(&self) -> &issuer::Issuer {
        &self.issuer
    }
}
