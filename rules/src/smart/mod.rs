//! SMART App Launch 2.2 scopes, v1 words and v2 letters.
//!
//! What comes in: the token's scope string. What goes out: [`Scopes`], the well-formed ones at
//! type level. **Never here:** a malformed scope shortened to a broader one; it grants nothing.

use std::sync::Arc;

/// The scopes of one token that grant FHIR access.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Scopes {
    scopes: Vec<Scope>,
    text: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Scope {
    context: Context,
    /// `None` is `*`.
    resource: Option<Box<str>>,
    rights: Rights,
}

/// Where a scope's reach comes from. Each is evaluated alone (D3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// Confined to the token's `patient`.
    Patient,
    /// What the user may do.
    User,
    /// A backend service.
    System,
}

/// A set of `c r u d s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

impl Rights {
    /// `c`
    pub const CREATE: Self = Self(1);
    /// `r`
    pub const READ: Self = Self(2);
    /// `u`
    pub const UPDATE: Self = Self(4);
    /// `d`
    pub const DELETE: Self = Self(8);
    /// `s`
    pub const SEARCH: Self = Self(16);

    /// Whether every right of `other` is in `self`.
    pub fn holds(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// An in-order, non-empty subset of `cruds`, or a v1 word.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "read" => return Some(Self::READ.and(Self::SEARCH)),
            "write" => return Some(Self::CREATE.and(Self::UPDATE).and(Self::DELETE)),
            "*" => return Some(Self(31)),
            _ => {}
        }
        let mut rest = text;
        let mut bits = 0;
        for (i, letter) in ["c", "r", "u", "d", "s"].into_iter().enumerate() {
            if let Some(after) = rest.strip_prefix(letter) {
                bits |= 1 << i;
                rest = after;
            }
        }
        (rest.is_empty() && bits != 0).then_some(Self(bits))
    }
}

/// How far the scopes of a token reach for one type and right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// No context covers it.
    None,
    /// Only `patient/` does: rows of the launch patient.
    Patient,
    /// `user/` or `system/` does.
    Whole,
}

impl Scopes {
    /// Reads a space-separated scope string. `is_resource` tells the resource types that exist.
    ///
    /// Granular scopes (`?param=value`) grant nothing until their filters are enforced.
    pub fn parse(text: &str, is_resource: impl Fn(&str) -> bool) -> Self {
        Self {
            scopes: text
                .split(' ')
                .filter_map(|word| Scope::parse(word, &is_resource))
                .collect(),
            text: Arc::from(text),
        }
    }

    /// The scope string as the token had it.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn text_shared(&self) -> Arc<str> {
        self.text.clone()
    }

    /// How far these scopes reach for `right` on the type called `resource`.
    pub fn reach(&self, resource: &str, right: Rights) -> Reach {
        let covers = |contexts: &[Context]| {
            contexts.iter().any(|context| {
                let rights = self
                    .scopes
                    .iter()
                    .filter(|s| s.context == *context)
                    .filter(|s| s.resource.as_deref().is_none_or(|name| name == resource))
                    .fold(Rights::default(), |all, s| all.and(s.rights));
                rights.holds(right)
            })
        };
        if covers(&[Context::User, Context::System]) {
            Reach::Whole
        } else if covers(&[Context::Patient]) {
            Reach::Patient
        } else {
            Reach::None
        }
    }
}

impl Scope {
    fn parse(word: &str, is_resource: impl Fn(&str) -> bool) -> Option<Self> {
        let (context, rest) = word.split_once('/')?;
        let context = match context {
            "patient" => Context::Patient,
            "user" => Context::User,
            "system" => Context::System,
            _ => return None,
        };
        let (resource, rights) = rest.split_once('.')?;
        let resource = match resource {
            "*" => None,
            name if is_resource(name) => Some(name.into()),
            _ => return None,
        };
        Some(Self {
            context,
            resource,
            rights: Rights::parse(rights)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(scopes: &str, resource: &str, right: Rights) -> Reach {
        Scopes::parse(scopes, |t| {
            matches!(
                t,
                "Patient" | "Observation" | "Medication" | "MedicationRequest"
            )
        })
        .reach(resource, right)
    }

    #[test]
    fn scopes_reach_exactly_what_they_say() {
        use Reach::*;
        let table = [
            ("user/Patient.rs", "Patient", Rights::READ, Whole),
            ("user/Patient.rs", "Patient", Rights::SEARCH, Whole),
            ("user/Patient.rs", "Patient", Rights::CREATE, None),
            ("user/Patient.r", "Patient", Rights::SEARCH, None),
            ("user/Patient.read", "Patient", Rights::SEARCH, Whole),
            ("user/Patient.write", "Patient", Rights::READ, None),
            ("user/Patient.*", "Patient", Rights::DELETE, Whole),
            ("user/*.cruds", "Observation", Rights::UPDATE, Whole),
            (
                "patient/Observation.rs",
                "Observation",
                Rights::READ,
                Patient,
            ),
            (
                "patient/*.rs user/Patient.r",
                "Observation",
                Rights::READ,
                Patient,
            ),
            (
                "patient/*.rs user/Patient.r",
                "Patient",
                Rights::READ,
                Whole,
            ),
            ("system/Observation.rs", "Observation", Rights::READ, Whole),
            // exact names
            (
                "user/MedicationRequest.rs",
                "Medication",
                Rights::READ,
                None,
            ),
            ("user/medication.rs", "Medication", Rights::READ, None),
            // malformed ones are never cut to something broader
            ("user/Patient.sr", "Patient", Rights::READ, None),
            ("user/Patient.rr", "Patient", Rights::READ, None),
            ("user/Patient.", "Patient", Rights::READ, None),
            ("user/Patient", "Patient", Rights::READ, None),
            ("user/Patient.dus", "Patient", Rights::DELETE, None),
            ("user/Patient.rsXYZ", "Patient", Rights::READ, None),
            ("user/Patient.read-only", "Patient", Rights::READ, None),
            ("user/Patient.rs?gender=male", "Patient", Rights::READ, None),
            ("User/Patient.rs", "Patient", Rights::READ, None),
            ("users/Patient.rs", "Patient", Rights::READ, None),
            ("user/Nonsense.rs", "Patient", Rights::READ, None),
            ("user/Pat*.rs", "Patient", Rights::READ, None),
            (
                "openid fhirUser launch/patient",
                "Patient",
                Rights::READ,
                None,
            ),
            ("https://x/user/Patient.rs", "Patient", Rights::READ, None),
            ("__user/Patient.rs", "Patient", Rights::READ, None),
            ("", "Patient", Rights::READ, None),
            // a right must be held by one context, not pieced together
            (
                "user/Patient.r system/Patient.s",
                "Patient",
                Rights::READ.and(Rights::SEARCH),
                None,
            ),
        ];
        for (scopes, resource, right, expected) in table {
            assert_eq!(
                reach(scopes, resource, right),
                expected,
                "{scopes} {resource} {right:?}"
            );
        }
    }
}
