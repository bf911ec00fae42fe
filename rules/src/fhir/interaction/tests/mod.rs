//! Requests and what is understood of them.

mod bodies;
mod bundles;
mod every;
mod pages;
mod random;

use super::*;

/// A request in one line: method, target, then what is set.
pub(super) struct Ask<'a> {
    method: &'a str,
    target: &'a str,
    form: Option<&'a str>,
    body: Option<Bytes>,
    content_type: Option<&'a str>,
    if_match: Option<&'a str>,
    if_none_exist: Option<&'a str>,
}

pub(super) fn ask<'a>(method: &'a str, target: &'a str) -> Ask<'a> {
    Ask {
        method,
        target,
        form: None,
        body: None,
        content_type: None,
        if_match: None,
        if_none_exist: None,
    }
}

impl<'a> Ask<'a> {
    pub(super) fn form(self, form: &'a str) -> Self {
        let form = Some(form);
        Self { form, ..self }
    }

    pub(super) fn json(self, body: &str) -> Self {
        self.typed("application/fhir+json", body.as_bytes())
    }

    pub(super) fn patch(self, body: &str) -> Self {
        self.typed("application/json-patch+json", body.as_bytes())
    }

    pub(super) fn typed(self, content_type: &'a str, body: &[u8]) -> Self {
        Self {
            body: Some(Bytes::copy_from_slice(body)),
            content_type: Some(content_type),
            ..self
        }
    }

    pub(super) fn if_match(self, value: &'a str) -> Self {
        let if_match = Some(value);
        Self { if_match, ..self }
    }

    pub(super) fn if_none_exist(self, value: &'a str) -> Self {
        let if_none_exist = Some(value);
        Self {
            if_none_exist,
            ..self
        }
    }

    pub(super) fn understood(&self) -> Result<Interaction, No> {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        understand(Request {
            form: self.form,
            body: self.body.as_ref(),
            content_type: self.content_type,
            if_match: self.if_match,
            if_none_exist: self.if_none_exist,
            ..Request::new(self.method, path, query)
        })
    }

    /// The interaction's word, place and query.
    pub(super) fn word(&self) -> (&'static str, String, String) {
        let found = self
            .understood()
            .unwrap_or_else(|no| panic!("{} {}: {no:?}", self.method, self.target));
        (found.word(), found.place(), found.query())
    }

    /// The reason and the name of a refusal.
    pub(super) fn refused(&self) -> (Reason, String) {
        let no = self.understood().err();
        let no = no.unwrap_or_else(|| panic!("{} {} is understood", self.method, self.target));
        (no.reason, no.name.map(String::from).unwrap_or_default())
    }
}

#[test]
fn each_interaction_is_understood() {
    let patient = r#"{"resourceType":"Patient","id":"1"}"#;
    for (asked, word, place, query) in [
        (ask("GET", "/metadata"), "capabilities", "metadata", ""),
        (
            ask("HEAD", "/metadata?_format=json"),
            "capabilities",
            "metadata",
            "",
        ),
        (ask("OPTIONS", "/Patient/1"), "options", "", ""),
        (ask("OPTIONS", ""), "options", "", ""),
        (ask("GET", "/Patient/1"), "read", "Patient/1", ""),
        (
            ask("HEAD", "/Patient/1?_format=json"),
            "read",
            "Patient/1",
            "",
        ),
        (
            ask("GET", "/Patient/1/_history/7"),
            "vread",
            "Patient/1/_history/7",
            "",
        ),
        (
            ask(
                "GET",
                "/Patient/1/_history?_since=2020-02-29T10:00:00.5Z&_count=3",
            ),
            "history-instance",
            "Patient/1/_history",
            "_since=2020-02-29T10%3A00%3A00.5Z&_count=3",
        ),
        (
            ask("GET", "/Patient/_history?_since=2020-02-29T10:00:00+01:00"),
            "history-type",
            "Patient/_history",
            "_since=2020-02-29T10%3A00%3A00%2B01%3A00",
        ),
        (ask("HEAD", "/_history"), "history-system", "_history", ""),
        (ask("GET", "/Patient"), "search-type", "Patient", ""),
        (
            ask("GET", "/Patient?name=a&_count=2"),
            "search-type",
            "Patient",
            "name=a&_count=2",
        ),
        (
            ask("POST", "/Patient/_search?gender=male").form("name=x"),
            "search-type",
            "Patient",
            "gender=male&name=x",
        ),
        (
            ask("GET", "/Patient/1/Observation?code=x"),
            "search-compartment",
            "Patient/1/Observation",
            "code=x",
        ),
        (
            ask("POST", "/Encounter/e/Condition/_search").form("code=x"),
            "search-compartment",
            "Encounter/e/Condition",
            "code=x",
        ),
        (ask("GET", ""), "search-system", "", ""),
        (
            ask(
                "GET",
                "?_type=Patient,Observation&_lastUpdated=gt2020&_count=9",
            ),
            "search-system",
            "",
            "_type=Patient%2CObservation&_lastUpdated=gt2020&_count=9",
        ),
        (
            ask("POST", "/_search").form("_tag=x"),
            "search-system",
            "",
            "_tag=x",
        ),
        (
            ask("POST", "/Patient").json(patient),
            "create",
            "Patient",
            "",
        ),
        (
            ask("POST", "/Patient")
                .json(patient)
                .if_none_exist("identifier=x"),
            "create",
            "Patient",
            "identifier=x",
        ),
        (
            ask("PUT", "/Patient/1").json(patient),
            "update",
            "Patient/1",
            "",
        ),
        (
            ask("PUT", "/Patient?identifier=x&_format=json").json(patient),
            "update",
            "Patient",
            "identifier=x",
        ),
        (
            ask("PATCH", "/Patient/1").patch("[]"),
            "patch",
            "Patient/1",
            "",
        ),
        (
            ask("PATCH", "/Patient?identifier=x").patch("[]"),
            "patch",
            "Patient",
            "identifier=x",
        ),
        (ask("DELETE", "/Patient/1"), "delete", "Patient/1", ""),
        (
            ask("DELETE", "/Patient?identifier=x"),
            "delete",
            "Patient",
            "identifier=x",
        ),
        (
            ask("POST", "").json(r#"{"resourceType":"Bundle","type":"batch"}"#),
            "batch",
            "",
            "",
        ),
        (
            ask("POST", "/").json(r#"{"resourceType":"Bundle","type":"transaction"}"#),
            "transaction",
            "",
            "",
        ),
    ] {
        assert_eq!(asked.word(), (word, place.to_owned(), query.to_owned()));
    }
}

#[test]
fn everything_else_is_refused() {
    use Reason::*;
    for (method, target, reason, name) in [
        ("GET", "/Patient/1/$everything", NotSupported, "operation"),
        ("GET", "/Patient/$match", NotSupported, "operation"),
        ("POST", "/$graphql", NotSupported, "operation"),
        (
            "GET",
            "/Patient/1/*",
            NotSupported,
            "search of a whole compartment",
        ),
        ("GET", "/Observation/1/*", NotUnderstood, ""),
        ("GET", "/patient/1/*", NotUnderstood, ""),
        ("GET", "/Observation/1/Patient", NotUnderstood, ""),
        ("GET", "/Patient/1/Organization", NotUnderstood, ""),
        ("GET", "/Patient/1/Observation/2", NotUnderstood, ""),
        ("GET", "/Patient/_search", NotUnderstood, ""),
        ("GET", "/_search", NotUnderstood, ""),
        ("GET", "/patient/1", NotUnderstood, ""),
        ("GET", "/Nonsense", NotUnderstood, ""),
        ("GET", "/Nonsense/_history", NotUnderstood, ""),
        ("GET", "/Patient/1/2/3", NotUnderstood, ""),
        ("GET", "/Patient/1_2", NotUnderstood, ""),
        ("GET", "/Patient/1_2/_history", NotUnderstood, ""),
        ("GET", "/Patient/1/_history/a_b", NotUnderstood, ""),
        ("GET", "/Patient/1/_history/1/x", NotUnderstood, ""),
        ("GET", "/Patient/1?name=x", NotUnderstood, "name"),
        ("GET", "/Patient/1/_history/1?name=x", NotUnderstood, "name"),
        (
            "GET",
            "/Patient/1?_elements=name",
            NotSupported,
            "_elements",
        ),
        ("GET", "/Patient/1/_history?_at=2020", NotSupported, "_at"),
        ("GET", "/Patient/1/_history?_list=1", NotSupported, "_list"),
        ("GET", "/Patient/1/_history?_sort=a", NotSupported, "_sort"),
        ("GET", "/Patient/1/_history?name=a", NotUnderstood, "name"),
        ("GET", "/_history?_count=0", NotSupported, "_count=0"),
        ("GET", "/_history?_count=%2B1", NotUnderstood, "_count"),
        (
            "GET",
            "/_history?_count=1&_count=1",
            NotUnderstood,
            "_count",
        ),
        (
            "GET",
            "/_history?_since=2020-01-01",
            NotUnderstood,
            "_since",
        ),
        (
            "GET",
            "/_history?_since=2021-02-29T00:00:00Z",
            NotUnderstood,
            "_since",
        ),
        (
            "GET",
            "/_history?_since=2020-01-01T00:00:00",
            NotUnderstood,
            "_since",
        ),
        (
            "GET",
            "/_history?_since=2020-01-01T24:00:00Z",
            NotUnderstood,
            "_since",
        ),
        (
            "GET",
            "/_history?_since=2020-01-01T00:00:00%2B15:00",
            NotUnderstood,
            "_since",
        ),
        (
            "GET",
            "/_history?_page=a&_since=2020-01-01T00:00:00Z",
            NotUnderstood,
            "_page",
        ),
        ("GET", "?name=x", NotUnderstood, "name"),
        ("GET", "?patient=x", NotUnderstood, "patient"),
        ("GET", "?_type=Patient&name=x", NotUnderstood, "name"),
        ("GET", "?_type=patient", NotUnderstood, "_type"),
        ("GET", "?_type=Patient,Patient", NotUnderstood, "_type"),
        ("GET", "?_type=Patient&_type=Group", NotUnderstood, "_type"),
        ("GET", "?_type=", NotUnderstood, "_type"),
        ("GET", "?_type=Patient&_page=x", NotUnderstood, "_page"),
        ("GET", "?_content=x", NotSupported, "_content"),
        ("GET", "?_include=x", NotSupported, "_include"),
        (
            "GET",
            "/Patient/1/Observation?_include=x",
            NotSupported,
            "_include",
        ),
        (
            "GET",
            "/Patient/1/Observation?bogus=x",
            NotUnderstood,
            "bogus",
        ),
        ("GET", "/DomainResource/1", NotUnderstood, ""),
        ("GET", "/metadata/1", NotUnderstood, ""),
        ("POST", "/metadata", NotUnderstood, ""),
        ("POST", "/Patient", NotUnderstood, ""),
        ("POST", "/Patient/1", NotUnderstood, ""),
        ("POST", "", NotUnderstood, ""),
        ("PUT", "", NotUnderstood, ""),
        ("PUT", "/Patient/1", NotUnderstood, ""),
        ("PUT", "/Patient/1/_history/1", NotUnderstood, ""),
        ("PATCH", "/Patient/1", NotUnderstood, ""),
        ("DELETE", "", NotUnderstood, ""),
        ("DELETE", "/Patient/1/_history", NotUnderstood, ""),
        ("DELETE", "/Patient/1/Observation", NotUnderstood, ""),
        (
            "DELETE",
            "/Patient/1?identifier=x",
            NotUnderstood,
            "identifier",
        ),
        ("DELETE", "/Patient/1?_count=1", NotUnderstood, "_count"),
        (
            "DELETE",
            "/Patient",
            NotUnderstood,
            "a search for what is written",
        ),
        (
            "DELETE",
            "/Patient?_format=json",
            NotUnderstood,
            "a search for what is written",
        ),
        (
            "DELETE",
            "/Patient?identifier=x&_count=1",
            NotUnderstood,
            "_count",
        ),
        ("DELETE", "/Patient?_page=x", NotUnderstood, "_page"),
        (
            "DELETE",
            "/Patient?identifier=x&_include=y",
            NotSupported,
            "_include",
        ),
        ("DELETE", "/Patient?bogus=x", NotUnderstood, "bogus"),
        ("OPTIONS", "/Nonsense", NotUnderstood, ""),
        ("OPTIONS", "/Patient/$x", NotSupported, "operation"),
        ("OPTIONS", "/Patient?name=x", NotUnderstood, "name"),
        ("TRACE", "/Patient/1", NotUnderstood, ""),
        ("CONNECT", "/Patient/1", NotUnderstood, ""),
        ("get", "/Patient/1", NotUnderstood, ""),
        ("", "/Patient/1", NotUnderstood, ""),
        ("GET", "/.well-known/smart-configuration", NotUnderstood, ""),
    ] {
        let got = ask(method, target).refused();
        assert_eq!(got, (reason, name.to_owned()), "{method} {target}");
    }
}

#[test]
fn conditions_are_read_in_one_form_and_only_where_they_mean_something() {
    let patient = r#"{"resourceType":"Patient","id":"1"}"#;
    for (method, target) in [
        ("PUT", "/Patient/1"),
        ("PUT", "/Patient?identifier=x"),
        ("DELETE", "/Patient/1"),
        ("PATCH", "/Patient/1"),
    ] {
        let asked = || match method {
            "PUT" => ask(method, target).json(patient),
            "PATCH" => ask(method, target).patch("[]"),
            _ => ask(method, target),
        };
        let found = asked().if_match("W/\"v.2\"").understood().unwrap();
        let (Interaction::Update(Update { if_match, .. })
        | Interaction::Patch(Patch { if_match, .. })
        | Interaction::Delete(Delete { if_match, .. })) = found
        else {
            panic!("{method} {target}");
        };
        assert_eq!(if_match.as_deref(), Some("v.2"));
        for odd in [
            "",
            "*",
            "\"2\"",
            "W/2",
            "W/\"\"",
            "w/\"2\"",
            "W/\"1\", W/\"2\"",
            "W/\"1",
            " W/\"1\"",
            "W/\"a b\"",
        ] {
            assert_eq!(
                asked().if_match(odd).refused(),
                (Reason::NotUnderstood, "If-Match".to_owned()),
                "{odd}"
            );
        }
        assert_eq!(
            asked().if_none_exist("identifier=x").refused(),
            (Reason::NotUnderstood, "If-None-Exist".to_owned())
        );
    }
    for (method, target) in [
        ("GET", "/Patient/1"),
        ("GET", "/Patient"),
        ("HEAD", "/_history"),
    ] {
        let no = (Reason::NotUnderstood, "If-Match".to_owned());
        assert_eq!(ask(method, target).if_match("W/\"1\"").refused(), no);
    }
    let create = || ask("POST", "/Patient").json(patient);
    assert_eq!(create().if_match("W/\"1\"").refused().1, "If-Match");
    for (query, reason, name) in [
        ("", Reason::NotUnderstood, "If-None-Exist"),
        ("?identifier=x", Reason::NotUnderstood, "?identifier"),
        (
            "Patient?identifier=x",
            Reason::NotUnderstood,
            "Patient?identifier",
        ),
        ("identifier=x&_count=1", Reason::NotUnderstood, "_count"),
        ("_page=1", Reason::NotUnderstood, "_page"),
        (
            "identifier=x&_format=json",
            Reason::NotUnderstood,
            "_format",
        ),
        ("identifier=x&_include=y", Reason::NotSupported, "_include"),
        (
            "general-practitioner.name=x",
            Reason::NotSupported,
            "general-practitioner.name",
        ),
        ("bogus=x", Reason::NotUnderstood, "bogus"),
    ] {
        let got = create().if_none_exist(query).refused();
        assert_eq!(got, (reason, name.to_owned()), "{query}");
    }
}
