//! From a head and a body to an interaction.

use super::{Interaction, Request};
use crate::fhir::search::{self, Search};
use crate::fhir::tables::{TypeId, r4};
use crate::fhir::target;
use crate::refusal::{No, Reason};

/// Understands a request, or says what about it isn't.
pub fn understand(request: Request<'_>) -> Result<Interaction, No> {
    let segments = target::segments(request.path)?;
    let unsupported = |what: &str| Err(No::named(Reason::NotSupported, what));
    let not_understood = || Err(No::new(Reason::NotUnderstood).because("method and path"));
    let reads = matches!(request.method, "GET" | "HEAD");
    match (segments.as_slice(), reads) {
        (["metadata"], true) => {
            plain(request.query)?;
            Ok(Interaction::Capabilities)
        }
        ([], true) => unsupported("system search"),
        (["_history"] | [_, "_history"] | [_, _, "_history"], true) => unsupported("history"),
        ([_, _, "_history", _], true) => unsupported("vread"),
        (segments, _) if segments.last().is_some_and(|s| s.starts_with('$')) => {
            unsupported("operation")
        }
        ([name], true) => {
            let pairs = target::pairs(request.query)?;
            Ok(Interaction::Search(Search::understand(
                known(name)?,
                pairs,
                false,
            )?))
        }
        ([name, "_search"], false) if request.method == "POST" => {
            let resource = known(name)?;
            let mut pairs = target::pairs(request.query)?;
            pairs.extend(target::pairs(request.form.unwrap_or(""))?);
            Ok(Interaction::Search(Search::understand(
                resource, pairs, true,
            )?))
        }
        ([name, id], true) if target::is_id(id) => {
            let resource = known(name)?;
            plain(request.query)?;
            Ok(Interaction::Read {
                resource,
                id: (*id).into(),
            })
        }
        ([name, id, inner], true) if target::is_id(id) && r4().resource(inner).is_some() => {
            known(name)?;
            unsupported("compartment search")
        }
        _ => not_understood(),
    }
}

fn known(name: &str) -> Result<TypeId, No> {
    r4().resource(name)
        .ok_or_else(|| No::new(Reason::NotUnderstood).because("no such type"))
}

/// A query that asks for nothing but JSON.
fn plain(query: &str) -> Result<(), No> {
    for (name, value) in target::pairs(query)? {
        match name.as_str() {
            "_format" => search::format(&value)?,
            "_pretty" => {}
            "_summary" | "_elements" => return Err(No::named(Reason::NotSupported, name)),
            _ => {
                let name: String = name.chars().take(64).collect();
                return Err(No::named(Reason::NotUnderstood, name));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, target: &str) -> Result<Interaction, Reason> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        understand(Request {
            form: Some("name=x").filter(|_| method == "POST"),
            ..Request::new(method, path, query)
        })
        .map_err(|no| no.reason)
    }

    #[test]
    fn reads_and_searches_are_understood() {
        assert!(matches!(
            ask("GET", "/metadata"),
            Ok(Interaction::Capabilities)
        ));
        assert!(matches!(
            ask("GET", "/Patient/1"),
            Ok(Interaction::Read { .. })
        ));
        assert!(matches!(
            ask("HEAD", "/Patient/1?_format=json"),
            Ok(Interaction::Read { .. })
        ));
        assert!(matches!(ask("GET", "/Patient"), Ok(Interaction::Search(_))));
        assert!(matches!(
            ask("GET", "/Patient?name=a"),
            Ok(Interaction::Search(_))
        ));
        let Ok(Interaction::Search(search)) = ask("POST", "/Patient/_search?gender=male") else {
            panic!()
        };
        assert_eq!(
            search.pairs().collect::<Vec<_>>(),
            [("gender", "male"), ("name", "x")]
        );
    }

    #[test]
    fn everything_else_is_refused() {
        use Reason::*;
        for (method, target, reason) in [
            ("GET", "", NotSupported),
            ("GET", "/?_type=Patient", NotSupported),
            ("GET", "/_history", NotSupported),
            ("GET", "/Patient/_history", NotSupported),
            ("GET", "/Patient/1/_history", NotSupported),
            ("GET", "/Patient/1/_history/2", NotSupported),
            ("GET", "/Patient/1/Observation", NotSupported),
            ("GET", "/Patient/1/$everything", NotSupported),
            ("POST", "/$graphql", NotSupported),
            ("GET", "/Patient/_search", NotUnderstood),
            ("GET", "/patient/1", NotUnderstood),
            ("GET", "/Nonsense", NotUnderstood),
            ("GET", "/Patient/1/2/3", NotUnderstood),
            ("GET", "/Patient/1_2", NotUnderstood),
            ("GET", "/Patient/1?name=x", NotUnderstood),
            ("GET", "/Patient/1?_elements=name", NotSupported),
            ("GET", "/DomainResource/1", NotUnderstood),
            ("GET", "/metadata/1", NotUnderstood),
            ("POST", "/Patient", NotUnderstood),
            ("POST", "", NotUnderstood),
            ("PUT", "/Patient/1", NotUnderstood),
            ("PATCH", "/Patient/1", NotUnderstood),
            ("DELETE", "/Patient/1", NotUnderstood),
            ("OPTIONS", "/Patient/1", NotUnderstood),
            ("TRACE", "/Patient/1", NotUnderstood),
            ("GET", "/.well-known/smart-configuration", NotUnderstood),
        ] {
            assert_eq!(ask(method, target).err(), Some(reason), "{method} {target}");
        }
    }
}
