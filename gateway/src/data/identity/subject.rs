//! From the claims of a verified token to a [`Subject`].
//!
//! **Never here:** a role that the issuer's `map` doesn't name (D30).

use std::collections::HashMap;
use std::sync::Arc;

use chartward_rules::smart::Scopes;
use chartward_rules::subject::{Authority, Kind, Subject};
use serde_json::Value;

use super::claims::Claims;
use super::settings::ScopeMode;

/// Longest `sub` that is taken, in bytes.
const LONGEST_SUB: usize = 512;

/// Names of v3-ActReason, as URL and as OID.
const ACT_REASON: [&str; 3] = [
    "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "urn:oid:2.16.840.1.113883.5.8",
    "2.16.840.1.113883.5.8",
];

/// How an issuer's claims are read.
pub(super) struct Reading {
    pub issuer: Arc<str>,
    pub roles: Option<String>,
    pub map: HashMap<String, Arc<str>>,
    pub scopes: ScopeMode,
    pub is_resource: fn(&str) -> bool,
}

impl Reading {
    /// The subject that `claims` name at the service whose base is `base`.
    pub fn subject(
        &self,
        claims: &Claims,
        base: &str,
        expires: i64,
    ) -> Result<Subject, &'static str> {
        let text = |name: &str| {
            claims
                .get(name)
                .and_then(Value::as_str)
                .map(Arc::<str>::from)
        };
        let sub = text("sub")
            .filter(|sub| !sub.is_empty() && sub.len() <= LONGEST_SUB)
            .ok_or("no usable `sub`")?;
        let client = text("client_id").or_else(|| text("azp"));
        let kind = if client.as_ref() == Some(&sub) {
            Kind::Application
        } else {
            Kind::Person
        };
        Ok(Subject {
            kind,
            issuer: Arc::clone(&self.issuer),
            sub,
            name: text("name"),
            client,
            fhir_user: text("fhirUser").and_then(|user| fhir_user(&user, base)),
            patient: text("patient").filter(|id| is_id(id)),
            roles: self.roles(claims),
            scopes: self.scopes(claims),
            purposes: purposes(claims)?,
            acr: text("acr"),
            certificate: None,
            expires,
        })
    }

    fn roles(&self, claims: &Claims) -> Vec<Arc<str>> {
        let named = match self.roles.as_deref().and_then(|path| at(claims, path)) {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut roles: Vec<Arc<str>> = named
            .into_iter()
            .filter_map(|value| self.map.get(value).cloned())
            .collect();
        roles.sort();
        roles.dedup();
        roles
    }

    fn scopes(&self, claims: &Claims) -> Authority {
        if self.scopes == ScopeMode::Ignored {
            return Authority::Unscoped;
        }
        let text = match (claims.get("scope"), claims.get("scp")) {
            (Some(Value::String(words)), _) | (None, Some(Value::String(words))) => words.clone(),
            (None, Some(Value::Array(words))) => {
                let words: Vec<&str> = words
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|word| !word.contains(' '))
                    .collect();
                words.join(" ")
            }
            _ => String::new(),
        };
        Authority::Scoped(Scopes::parse(&text, self.is_resource))
    }
}

/// The claim of that name, or the one that the dotted path leads to.
fn at<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.as_object()?.get(name))
}

/// `Type/id`, from there or from the service's own base; other servers' users are nobody here.
fn fhir_user(user: &str, base: &str) -> Option<Arc<str>> {
    let relative = match user.strip_prefix(base) {
        Some(rest) => rest.strip_prefix('/')?,
        None => user,
    };
    let (resource, id) = relative.split_once('/')?;
    let person = [
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "RelatedPerson",
        "Person",
    ];
    (person.contains(&resource) && is_id(id)).then(|| Arc::from(relative))
}

/// FHIR's `id`.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Purposes of use that the token asserts: plain, by IUA or by UDAP. One that is in no known
/// system stays as it is said, so that no role holds it; it must not vanish, for then the caller
/// could name another.
fn purposes(claims: &Claims) -> Result<Vec<Arc<str>>, &'static str> {
    let extension = |name: &str| claims.get("extensions")?.get(name)?.get("purpose_of_use");
    let mut found: Vec<Arc<str>> = Vec::new();
    let said = [
        claims.get("purpose_of_use"),
        extension("ihe_iua"),
        extension("hl7-b2b"),
    ];
    for value in said.into_iter().flatten() {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for item in items {
            let code = purpose(item).ok_or("a purpose of use is not understood")?;
            if !found.contains(&code) {
                found.push(code);
            }
        }
    }
    Ok(found)
}

fn purpose(item: &Value) -> Option<Arc<str>> {
    match item {
        Value::String(text) => {
            let code = text
                .split_once(['#', '|'])
                .filter(|(system, _)| ACT_REASON.contains(system))
                .map_or(text.as_str(), |(_, code)| code);
            (!code.is_empty()).then(|| Arc::from(code))
        }
        Value::Object(coding) => {
            let code = coding
                .get("code")?
                .as_str()
                .filter(|code| !code.is_empty())?;
            match coding.get("system") {
                None => Some(Arc::from(code)),
                Some(Value::String(system)) if ACT_REASON.contains(&system.as_str()) => {
                    Some(Arc::from(code))
                }
                Some(Value::String(system)) => Some(format!("{system}|{code}").into()),
                Some(_) => None,
            }
        }
        _ => None,
    }
}
