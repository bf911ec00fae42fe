//! A type-level search: which parameters it has, what they read, how it is sent upstream.

use super::tables::{Param, ParamKind, TypeId, r4};
use super::target;
use crate::refusal::{No, Reason};

/// A search as understood: every parameter is one of the tables' or one of the few result
/// parameters this version knows.
#[derive(Debug, Clone)]
pub struct Search {
    /// The type searched.
    pub resource: TypeId,
    /// The compartment it is confined to: `Patient/1` of `Patient/1/Observation`.
    pub within: Option<(TypeId, Box<str>)>,
    /// Filters, in the order asked.
    pub filters: Vec<Filter>,
    /// `_count`, as asked.
    pub count: Option<u32>,
    /// A page handle made by this gateway, still sealed.
    pub page: Option<String>,
    /// Where the upstream goes on, once the handle was opened: a path and query below its base.
    pub position: Option<String>,
    /// The purpose that the page's handle is bound to.
    pub purpose: Option<String>,
    /// Asked by POST: it goes upstream as a form, so that values stay out of URLs.
    pub form: bool,
}

/// One `name[:modifier]=value`.
#[derive(Debug, Clone)]
pub struct Filter {
    /// The parameter.
    pub param: &'static Param,
    /// The name as asked, modifier included.
    pub name: String,
    /// The value as asked, decoded.
    pub value: String,
}

impl Search {
    /// Understands the pairs of a query or form. Fails with the parameter's name, never its value.
    pub fn understand(
        resource: TypeId,
        pairs: Vec<(String, String)>,
        form: bool,
    ) -> Result<Self, No> {
        let mut search = Self {
            resource,
            within: None,
            filters: Vec::new(),
            count: None,
            page: None,
            position: None,
            purpose: None,
            form,
        };
        for (name, value) in pairs {
            search.add(name, value)?;
        }
        if search.page.is_some() && !search.filters.is_empty() {
            return Err(No::named(Reason::NotUnderstood, "_page"));
        }
        Ok(search)
    }

    /// Name and value pairs as they are sent, `_count` apart.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.filters
            .iter()
            .map(|f| (f.name.as_str(), f.value.as_str()))
    }

    fn add(&mut self, name: String, value: String) -> Result<(), No> {
        let not = |reason, name: &str| Err(No::named(reason, shorten(name)));
        match name.as_str() {
            "_count" => {
                let count = value
                    .parse::<u32>()
                    .ok()
                    .filter(|_| value.bytes().all(|b| b.is_ascii_digit()));
                return match (count, self.count) {
                    (Some(0), None) => not(Reason::NotSupported, "_count=0"),
                    (Some(count), None) => {
                        self.count = Some(count);
                        Ok(())
                    }
                    _ => not(Reason::NotUnderstood, "_count"),
                };
            }
            "_page" => {
                return if self.page.replace(value).is_none() {
                    Ok(())
                } else {
                    not(Reason::NotUnderstood, "_page")
                };
            }
            "_format" => return format(&value),
            "_pretty" => return Ok(()),
            "_include" | "_revinclude" | "_sort" | "_filter" | "_text" | "_content" | "_query"
            | "_summary" | "_elements" | "_total" | "_contained" | "_containedType" | "_list"
            | "_type" | "_has" | "_score" | "_maxresults" | "_graph" | "_since" | "_at" => {
                return not(Reason::NotSupported, &name);
            }
            _ => {}
        }
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name.as_str(), None),
        };
        if matches!(
            code,
            "_include" | "_revinclude" | "_has" | "_sort" | "_list"
        ) {
            return not(Reason::NotSupported, code);
        }
        if name.contains('.') {
            return not(Reason::NotSupported, &name);
        }
        let Some(param) = r4().param(self.resource, code) else {
            return not(Reason::NotUnderstood, &name);
        };
        if param.reads().is_none() {
            return not(Reason::NotSupported, &name);
        }
        if let Some(modifier) = modifier {
            understood(param, modifier).map_err(|reason| No::named(reason, shorten(&name)))?;
        }
        if value.is_empty() {
            return not(Reason::NotUnderstood, &name);
        }
        self.filters.push(Filter { param, name, value });
        Ok(())
    }
}

/// `_format`: JSON or nothing.
pub fn format(value: &str) -> Result<(), No> {
    match value {
        "json" | "application/json" | "application/fhir+json" | "text/json" => Ok(()),
        // a plus that was not encoded arrives as a space
        "application/fhir json" => Ok(()),
        _ => Err(No::new(Reason::NotAcceptable)),
    }
}

/// Modifiers that read nothing beyond the parameter's own elements.
fn understood(param: &Param, modifier: &str) -> Result<(), Reason> {
    use ParamKind::*;
    match (modifier, param.kind) {
        ("missing", _) => Ok(()),
        ("exact" | "contains", String) => Ok(()),
        ("not", Token) => Ok(()),
        (name, Reference) if r4().resource(name).is_some() => Ok(()),
        (
            "text" | "in" | "not-in" | "below" | "above" | "of-type" | "identifier" | "exact"
            | "contains" | "not" | "iterate",
            _,
        ) => Err(Reason::NotSupported),
        _ => Err(Reason::NotUnderstood),
    }
}

/// Names go back to the caller: only so much of them.
fn shorten(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The query of a search for the record and for page handles.
pub fn write(search: &Search) -> String {
    let mut out = String::new();
    let count = search.count.map(|c| c.to_string());
    let count = count.as_deref().map(|c| ("_count", c));
    target::write_pairs(&mut out, search.pairs().chain(count));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understand(resource: &str, query: &str) -> Result<Search, (Reason, Option<String>)> {
        let resource = r4().resource(resource).unwrap();
        target::pairs(query)
            .and_then(|pairs| Search::understand(resource, pairs, false))
            .map_err(|no| (no.reason, no.name.map(String::from)))
    }

    #[test]
    fn known_parameters_are_understood() {
        for (resource, query) in [
            ("Patient", ""),
            (
                "Patient",
                "name=smith&birthdate=ge1970&_count=20&_format=json&_pretty=true",
            ),
            (
                "Patient",
                "name:exact=Smith&family:contains=mit&gender:not=male&birthdate:missing=true",
            ),
            (
                "Observation",
                "subject:Patient=1&code=http://loinc.org|8480-6,8462-4&_id=1,2&_lastUpdated=gt2020",
            ),
            (
                "Observation",
                "code-value-quantity=8480-6$gt100&_security=R&_tag=x",
            ),
        ] {
            let search = understand(resource, query);
            assert!(search.is_ok(), "{resource} {query} {search:?}");
        }
        assert_eq!(understand("Patient", "_count=20").unwrap().count, Some(20));
        assert_eq!(
            write(&understand("Patient", "name=a%20b&_count=5").unwrap()),
            "name=a%20b&_count=5"
        );
    }

    #[test]
    fn others_are_refused_by_name() {
        use Reason::*;
        for (resource, query, reason, name) in [
            ("Patient", "nam=smith", NotUnderstood, "nam"),
            ("Patient", "name:foo=smith", NotUnderstood, "name:foo"),
            ("Patient", "name=", NotUnderstood, "name"),
            ("Patient", "Name=x", NotUnderstood, "Name"),
            ("Patient", "_count=-1", NotUnderstood, "_count"),
            ("Patient", "_count=+5", NotUnderstood, "_count"),
            ("Patient", "_count=5&_count=6", NotUnderstood, "_count"),
            ("Patient", "_count=0", NotSupported, "_count=0"),
            (
                "Patient",
                "_include=Patient:organization",
                NotSupported,
                "_include",
            ),
            (
                "Patient",
                "_include:iterate=Patient:organization",
                NotSupported,
                "_include",
            ),
            (
                "Patient",
                "_revinclude:iterate=*",
                NotSupported,
                "_revinclude",
            ),
            (
                "Patient",
                "_has:Observation:patient:code=1",
                NotSupported,
                "_has",
            ),
            ("Patient", "_sort=birthdate", NotSupported, "_sort"),
            ("Patient", "_sort:desc=birthdate", NotSupported, "_sort"),
            ("Patient", "_filter=name eq x", NotUnderstood, ""),
            ("Patient", "_filter=name", NotSupported, "_filter"),
            ("Patient", "_text=x", NotSupported, "_text"),
            ("Patient", "_summary=count", NotSupported, "_summary"),
            ("Patient", "_elements=name", NotSupported, "_elements"),
            ("Patient", "_total=accurate", NotSupported, "_total"),
            (
                "Observation",
                "subject.name=x",
                NotSupported,
                "subject.name",
            ),
            (
                "Observation",
                "subject:Patient.name=x",
                NotSupported,
                "subject:Patient.name",
            ),
            (
                "Observation",
                "subject:identifier=x",
                NotSupported,
                "subject:identifier",
            ),
            ("Observation", "code:text=x", NotSupported, "code:text"),
            ("Observation", "code:in=x", NotSupported, "code:in"),
            ("Patient", "_page=abc&name=x", NotUnderstood, "_page"),
            ("Patient", "access_token=x", NotUnderstood, "access_token"),
        ] {
            let (got, named) = understand(resource, query).unwrap_err();
            assert_eq!(
                (got, named.as_deref().unwrap_or("")),
                (reason, name),
                "{query}"
            );
        }
        assert_eq!(
            understand("Patient", "_format=xml").unwrap_err().0,
            NotAcceptable
        );
    }
}
