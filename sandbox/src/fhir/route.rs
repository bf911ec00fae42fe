//! From a path under the base to the place that it names, and what may be done there.

use hyper::{Method, StatusCode};

use super::act::{Fault, Place};
use super::compartment;
use super::params::PARAMS;

/// The place at `path`, which starts behind the base and its slash.
pub(crate) fn place(path: &str) -> Result<Place, Fault> {
    let steps: Vec<&str> = path.split('/').collect();
    let known = |name: &str| match PARAMS.get_key_value(name) {
        Some((name, _)) => Ok(*name),
        None => Err(Fault::new(
            StatusCode::NOT_FOUND,
            "not-supported",
            format!("unknown resource type `{name}`"),
        )),
    };
    Ok(match *steps.as_slice() {
        [""] => Place::Base,
        ["metadata"] => Place::Metadata,
        ["_history"] => Place::History,
        ["_search"] => Place::Search,
        [name] => Place::Type(known(name)?),
        [name, "_history"] => Place::TypeHistory(known(name)?),
        [name, "_search"] => Place::TypeSearch(known(name)?),
        [name, id] => Place::Instance(known(name)?, id.into()),
        [name, id, "_history"] => Place::InstanceHistory(known(name)?, id.into()),
        [name, id, "_history", version] => Place::Version(known(name)?, id.into(), version.into()),
        ["Patient", id, inner] => Place::Compartment(id.into(), member(inner)?),
        ["Patient", id, inner, "_search"] => Place::CompartmentSearch(id.into(), member(inner)?),
        [name, ..] => {
            known(name)?;
            return Err(unknown(path));
        }
        [] => return Err(unknown(path)),
    })
}

/// The type behind `Patient/1/`.
fn member(inner: &str) -> Result<Option<&'static str>, Fault> {
    match inner {
        "*" => Ok(None),
        _ => match compartment::PATIENT.iter().find(|(name, _)| *name == inner) {
            Some((name, _)) => Ok(Some(name)),
            None => Err(unknown(inner)),
        },
    }
}

fn unknown(what: &str) -> Fault {
    let text = format!("interaction not supported: {what}");
    Fault::new(StatusCode::NOT_FOUND, "not-supported", text)
}

/// The methods of a place, as an `Allow` header field has them.
pub(crate) fn allowed(place: &Place) -> &'static str {
    match place {
        Place::Base => "GET, HEAD, OPTIONS, POST",
        Place::Metadata | Place::History | Place::TypeHistory(_) => "GET, HEAD, OPTIONS",
        Place::InstanceHistory(..) | Place::Version(..) | Place::Compartment(..) => {
            "GET, HEAD, OPTIONS"
        }
        Place::Search | Place::TypeSearch(_) | Place::CompartmentSearch(..) => "OPTIONS, POST",
        Place::Type(_) => "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        Place::Instance(..) => "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
    }
}

/// Refuses a method that isn't one of the place's.
pub(crate) fn allow(method: &Method, place: &Place) -> Result<(), Fault> {
    let allowed = allowed(place);
    if allowed.split(", ").any(|one| one == method.as_str()) {
        Ok(())
    } else {
        Err(Fault::method(method, allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_places() {
        let id = || "1".to_owned();
        for (path, expected) in [
            ("", Place::Base),
            ("metadata", Place::Metadata),
            ("_history", Place::History),
            ("_search", Place::Search),
            ("Slot", Place::Type("Slot")),
            ("Slot/_history", Place::TypeHistory("Slot")),
            ("Slot/_search", Place::TypeSearch("Slot")),
            ("Slot/1", Place::Instance("Slot", id())),
            ("Slot/1/_history", Place::InstanceHistory("Slot", id())),
            (
                "Slot/1/_history/2",
                Place::Version("Slot", id(), "2".into()),
            ),
            ("Patient/1/*", Place::Compartment(id(), None)),
            (
                "Patient/1/Observation/_search",
                Place::CompartmentSearch(id(), Some("Observation")),
            ),
        ] {
            assert_eq!(place(path).unwrap(), expected, "{path}");
        }
        for path in [
            "Nothing",
            "Nothing/1",
            "slot/1",
            "Slot/1/Patient",
            "Patient/1/Slot",
            "Patient/1/$everything",
            "Patient/1/_history/2/3",
            "$export",
        ] {
            let fault = place(path).unwrap_err();
            assert_eq!(fault.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(fault.code, "not-supported", "{path}");
        }
    }
}
