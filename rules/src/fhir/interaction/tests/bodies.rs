//! Bodies: what is one, and what is known of it.

use super::*;

fn put(body: &str) -> Ask<'static> {
    ask("PUT", "/Patient/1").json(body)
}

/// A Patient with these members beside its type and id.
fn patient(members: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"1",{members}}}"#)
}

#[test]
fn resources_are_understood_as_they_are_written() {
    let spaced = "\r\n {\t\"id\" : \"1\" ,\n\"resourceType\":\"Patient\"} \n";
    let escaped = r#"{"\u0072esourceType":"Pati\u0065nt","i\u0064":"\u0031"}"#;
    for body in [spaced.to_owned(), escaped.to_owned()].into_iter().chain(
        [
            r#""active":true,"multipleBirthInteger":2"#,
            r#""multipleBirthBoolean":false,"_multipleBirthBoolean":{"id":"a"}"#,
            r#""name":[{"given":["a",null],"_given":[null,{"extension":[{"url":"u","valueString":"v"}]}]}]"#,
            r#""birthDate":"2000-01-01","_birthDate":{"extension":[{"url":"u","valueDateTime":"2000"}]}"#,
            r##""contained":[{"resourceType":"Organization","id":"o","name":"x"}],"managingOrganization":{"reference":"#o"}"##,
            r#""text":{"status":"generated","div":"<div>a?b</div>"}"#,
            r#""extension":[{"url":"http://x","extension":[{"url":"y","valueReference":{"reference":"Patient/2"}}]}]"#,
            r#""generalPractitioner":[{"reference":"urn:uuid:a","display":"Patient?x=y"}]"#,
            r#""meta":{"tag":[{"system":"s","code":"c"}]},"name":[{"text":"\ud83d\ude00"}]"#,
        ]
        .map(patient),
    ) {
        let Ok(Interaction::Update(update)) = put(&body).understood() else {
            panic!("{body}: {:?}", put(&body).understood());
        };
        assert_eq!(&update.body.bytes()[..], body.as_bytes());
    }
}

#[test]
fn a_body_is_one_json_object_read_in_one_way() {
    let long = patient(&format!(r#""name":[{{"text":"{}"}}]"#, "a".repeat(100_000)));
    assert!(put(&long).understood().is_ok());
    let nested = |levels: usize| {
        let (open, close) = (r#"{"url":"u","extension":["#, "]}");
        patient(&format!(
            r#""extension":[{}{{"url":"u"}}{}]"#,
            open.repeat(levels),
            close.repeat(levels)
        ))
    };
    assert!(put(&nested(30)).understood().is_ok());
    assert_eq!(put(&nested(31)).refused().0, Reason::NotUnderstood);
    for (body, detail) in [
        ("", "no body"),
        (" ", "truncated json"),
        ("[]", "not an object"),
        ("null", "not an object"),
        ("\"x\"", "not an object"),
        ("{", "truncated json"),
        (r#"{"resourceType":"Patient","id":"1""#, "truncated json"),
        (
            r#"{"resourceType":"Patient","id":"1"}{}"#,
            "bytes after the body",
        ),
        (
            r#"{"resourceType":"Patient","id":"1"},"#,
            "bytes after the body",
        ),
        (
            r#"{"resourceType":"Patient","id":"1",}"#,
            "unexpected character",
        ),
        (
            r#"{"resourceType":"Patient","id":"1" "active":true}"#,
            "unexpected character",
        ),
        (r#"{'resourceType':'Patient'}"#, "unexpected character"),
        (
            "\u{feff}{\"resourceType\":\"Patient\",\"id\":\"1\"}",
            "not an object",
        ),
        (
            r#"{"resourceType":"Patient","id":"1","id":"1"}"#,
            "a key twice",
        ),
        (
            r#"{"resourceType":"Patient","id":"1","\u0069d":"2"}"#,
            "a key twice",
        ),
        (
            r#"{"resourceType":"Patient","resourceType":"Group","id":"1"}"#,
            "a key twice",
        ),
        (
            r#"{"resourceType":"Patient","id":"1","name":[{"text":"a","te\u0078t":"b"}]}"#,
            "a key twice",
        ),
        (
            r#"{"resourceType":"Patient","id":"1","language":"\ud800"}"#,
            "lone surrogate",
        ),
        (
            r#"{"resourceType":"Patient","id":"1","language":"\udc00"}"#,
            "lone surrogate",
        ),
        (
            "{\"resourceType\":\"Patient\",\"id\":\"1\",\"language\":\"a\nb\"}",
            "control character in a string",
        ),
        (
            r#"{"resourceType":"Patient","id":"1","language":"\x"}"#,
            "unknown escape",
        ),
        (
            r#"{"resourceType":"Patient","id":"1","multipleBirthInteger":01}"#,
            "malformed number",
        ),
        (
            r#"{"resourceType":"Patient","id":"1","active":True}"#,
            "not a value of the element's type",
        ),
    ] {
        let no = put(body).understood().unwrap_err();
        assert_eq!(
            (no.reason, no.detail),
            (Reason::NotUnderstood, Some(detail)),
            "{body}"
        );
    }
    let latin = b"{\"resourceType\":\"Patient\",\"id\":\"1\",\"language\":\"\xe9\"}";
    let no = ask("PUT", "/Patient/1").typed("application/fhir+json", latin);
    assert_eq!(no.understood().unwrap_err().detail, Some("not utf-8"));
}

#[test]
fn elements_that_r4_does_not_know_are_refused_by_path() {
    for (members, name) in [
        (r#""foo":1"#, "Patient.foo"),
        (r#""Active":true"#, "Patient.Active"),
        (r#""name":[{"family":"a","foo":1}]"#, "Patient.name.foo"),
        (r#""name":{"family":"a"}"#, "Patient.name"),
        (r#""name":[null]"#, "Patient.name"),
        (r#""name":["a"]"#, "Patient.name"),
        (r#""birthDate":["2000"]"#, "Patient.birthDate"),
        (r#""birthDate":{"foo":1}"#, "Patient.birthDate"),
        (r#""birthDate":null"#, "Patient.birthDate"),
        (r#""birthDate":2000"#, "Patient.birthDate"),
        (r#""active":"true""#, "Patient.active"),
        (r#""_birthDate":{"foo":1}"#, "Patient._birthDate.foo"),
        (r#""_birthDate":"a""#, "Patient._birthDate"),
        (r#""_name":[{}]"#, "Patient._name"),
        (r#""_resourceType":{}"#, "Patient._resourceType"),
        (r#""__birthDate":{}"#, "Patient.__birthDate"),
        (r#""multipleBirth":1"#, "Patient.multipleBirth"),
        (
            r#""multipleBirthString":"a""#,
            "Patient.multipleBirthString",
        ),
        (
            r#""multipleBirthInteger":1,"multipleBirthBoolean":true"#,
            "Patient.multipleBirthBoolean",
        ),
        (
            r#""multipleBirthInteger":1,"_multipleBirthBoolean":{}"#,
            "Patient._multipleBirthBoolean",
        ),
        (
            r#""contact":[{"resourceType":"x"}]"#,
            "Patient.contact.resourceType",
        ),
        (
            r#""contained":[{"id":"a"}]"#,
            "Patient.contained.resourceType",
        ),
        (
            r#""contained":[{"resourceType":"Nonsense"}]"#,
            "Patient.contained.resourceType",
        ),
        (
            r#""contained":{"resourceType":"Group"}"#,
            "Patient.contained",
        ),
        (
            r#""contained":[{"resourceType":"Group","birthDate":"2000"}]"#,
            "Patient.contained.birthDate",
        ),
        (
            r#""contained":[{"resourceType":"Group","contained":[{"resourceType":"Group"}]}]"#,
            "Patient.contained.contained",
        ),
        (
            r#""extension":[{"url":"u","foo":1}]"#,
            "Patient.extension.foo",
        ),
        (
            r#""extension":[{"url":"u","valueFoo":1}]"#,
            "Patient.extension.valueFoo",
        ),
        (r#""fo\"o é":1"#, "Patient.fo?o??"),
    ] {
        let no = (Reason::NotUnderstood, name.to_owned());
        assert_eq!(put(&patient(members)).refused(), no, "{members}");
    }
}

#[test]
fn conditional_references_are_refused_wherever_they_stand() {
    for members in [
        r#""managingOrganization":{"reference":"Organization?identifier=x"}"#,
        r#""managingOrganization":{"reference":"Organization\u003fidentifier=x"}"#,
        r#""managingOrganization":{"refer\u0065nce":"Organization?identifier=x"}"#,
        r#""extension":[{"url":"u","valueReference":{"reference":"http://x/Patient?a=b"}}]"#,
        r#""contained":[{"resourceType":"Group","managingEntity":{"reference":"Patient?a=b"}}]"#,
        r#""managingOrganization":{"identifier":{"assigner":{"reference":"Organization?a=b"}}}"#,
    ] {
        let no = (Reason::NotSupported, "conditional reference".to_owned());
        assert_eq!(put(&patient(members)).refused(), no, "{members}");
    }
    let patched = |path: &str, value: &str| {
        let patch = format!(r#"[{{"op":"add","path":"{path}","value":{value}}}]"#);
        ask("PATCH", "/Patient/1").patch(&patch).refused()
    };
    let no = (Reason::NotSupported, "conditional reference".to_owned());
    let reference = r#"{"reference":"Organization?a=b"}"#;
    assert_eq!(patched("/managingOrganization", reference), no);
    assert_eq!(
        patched("/managingOrganization/reference", r#""Organization?a=b""#),
        no
    );
    assert_eq!(patched("/generalPractitioner/-", reference), no);
    assert_eq!(
        patched("/generalPractitioner", &format!("[{reference}]")),
        no
    );
}

#[test]
fn type_and_id_are_those_of_the_target() {
    for (method, target, body, name) in [
        (
            "PUT",
            "/Patient/1",
            r#"{"resourceType":"Group","id":"1"}"#,
            "Patient.resourceType",
        ),
        ("PUT", "/Patient/1", r#"{"id":"1"}"#, "Patient.resourceType"),
        (
            "PUT",
            "/Patient/1",
            r#"{"resourceType":1,"id":"1"}"#,
            "Patient.resourceType",
        ),
        ("PUT", "/Patient/1", r#"{"resourceType":"Patient"}"#, "id"),
        (
            "PUT",
            "/Patient/1",
            r#"{"resourceType":"Patient","id":"2"}"#,
            "id",
        ),
        (
            "PUT",
            "/Patient/1",
            r#"{"resourceType":"Patient","id":1}"#,
            "Patient.id",
        ),
        (
            "PUT",
            "/Patient?identifier=x",
            r#"{"resourceType":"Patient","id":"a/b"}"#,
            "id",
        ),
        (
            "POST",
            "/Patient",
            r#"{"resourceType":"Patient","id":""}"#,
            "id",
        ),
        (
            "POST",
            "/Patient",
            r#"{"resourceType":"Group"}"#,
            "Patient.resourceType",
        ),
    ] {
        let no = (Reason::NotUnderstood, name.to_owned());
        assert_eq!(ask(method, target).json(body).refused(), no, "{body}");
    }
    for (method, target, body) in [
        ("POST", "/Patient", r#"{"resourceType":"Patient"}"#),
        (
            "POST",
            "/Patient",
            r#"{"resourceType":"Patient","id":"any.id"}"#,
        ),
        (
            "PUT",
            "/Patient?identifier=x",
            r#"{"resourceType":"Patient"}"#,
        ),
        (
            "PUT",
            "/Patient?identifier=x",
            r#"{"resourceType":"Patient","id":"7"}"#,
        ),
    ] {
        assert!(
            ask(method, target).json(body).understood().is_ok(),
            "{body}"
        );
    }
}

#[test]
fn media_types_say_how_bytes_are_read() {
    let body = br#"{"resourceType":"Patient","id":"1"}"#;
    for media in [
        "application/fhir+json",
        "application/json",
        "Application/FHIR+JSON",
        "application/fhir+json; charset=utf-8",
        "application/fhir+json;charset=\"UTF-8\"; fhirVersion=4.0",
        "application/json; x=y",
    ] {
        assert!(
            ask("PUT", "/Patient/1")
                .typed(media, body)
                .understood()
                .is_ok(),
            "{media}"
        );
    }
    for media in [
        "",
        "text/plain",
        "application/fhir+xml",
        "application/xml",
        "text/json",
        "application/fhir+json; charset=latin1",
        "application/fhir+json; charset=utf-8; charset=utf-16",
        "application/fhir+json; fhirVersion=3.0",
        "application/fhir+json; charset",
        "application/fhir+json, application/xml",
        "application/json-patch+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let no = (
            Reason::UnsupportedMediaType,
            "application/fhir+json".to_owned(),
        );
        assert_eq!(
            ask("PUT", "/Patient/1").typed(media, body).refused(),
            no,
            "{media}"
        );
        assert_eq!(ask("POST", "").typed(media, body).refused(), no, "{media}");
    }
    for (media, reason, name) in [
        (
            "application/fhir+json",
            Reason::NotSupported,
            "FHIRPath Patch",
        ),
        (
            "application/xml-patch+xml",
            Reason::UnsupportedMediaType,
            "application/json-patch+json",
        ),
        (
            "application/merge-patch+json",
            Reason::UnsupportedMediaType,
            "application/json-patch+json",
        ),
    ] {
        let got = ask("PATCH", "/Patient/1").typed(media, b"[]").refused();
        assert_eq!(got, (reason, name.to_owned()), "{media}");
    }
}

#[test]
fn a_body_where_none_is_due_is_refused() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let no = ask(method, "/Patient/1")
            .json("{}")
            .understood()
            .unwrap_err();
        assert_eq!(no.detail, Some("a body where none is due"), "{method}");
    }
    let no = ask("POST", "/Patient/_search").json("{}").understood();
    assert_eq!(no.unwrap_err().detail, Some("a body where none is due"));
    let no = ask("POST", "/Patient").form("a=b").understood();
    assert_eq!(no.unwrap_err().detail, Some("a body where none is due"));
}

#[test]
fn patches_are_read_by_the_tables() {
    for patch in [
        "[]",
        r#"[{"op":"replace","path":"/birthDate","value":"2000-01-01"}]"#,
        r#"[{"op":"add","path":"/name/-","value":{"family":"a"}},{"op":"test","path":"/id","value":"1"}]"#,
        r#"[{"op":"add","path":"/name","value":[{"family":"a"}]}]"#,
        r#"[{"op":"add","path":"/name/0/given/12","value":"a"}]"#,
        r#"[{"op":"remove","path":"/name/0"},{"op":"move","from":"/name/1","path":"/name/0"}]"#,
        r#"[{"op":"copy","from":"/name/1/family","path":"/name/0/family"}]"#,
        r#"[{"op":"add","path":"/_birthDate/extension/-","value":{"url":"u"}}]"#,
        r#"[{"op":"add","path":"/contained/-","value":{"resourceType":"Group","id":"g"}}]"#,
        r#"[{"value":true,"path":"/active","op":"\u0061dd"}]"#,
    ] {
        let found = ask("PATCH", "/Patient/1").patch(patch).understood();
        let Ok(Interaction::Patch(found)) = found else {
            panic!("{patch}: {found:?}");
        };
        assert_eq!(&found.body.bytes()[..], patch.as_bytes());
    }
    use Reason::*;
    for (patch, reason, name) in [
        ("{}", NotUnderstood, "patch"),
        ("[1]", NotUnderstood, "patch"),
        ("[] []", NotUnderstood, ""),
        (r#"[{"op":"remove"}]"#, NotUnderstood, "patch.path"),
        (r#"[{"path":"/name"}]"#, NotUnderstood, "patch.op"),
        (
            r#"[{"op":"remove","path":"/name","foo":1}]"#,
            NotUnderstood,
            "patch.foo",
        ),
        (
            r#"[{"op":"remove","path":"/name","op":"add"}]"#,
            NotUnderstood,
            "patch.op",
        ),
        (
            r#"[{"op":"remove","path":"/name","value":1}]"#,
            NotUnderstood,
            "patch.op",
        ),
        (
            r#"[{"op":"add","path":"/name"}]"#,
            NotUnderstood,
            "patch.op",
        ),
        (
            r#"[{"op":"move","path":"/name"}]"#,
            NotUnderstood,
            "patch.op",
        ),
        (
            r#"[{"op":"frob","path":"/name"}]"#,
            NotUnderstood,
            "patch.op",
        ),
        (r#"[{"op":1,"path":"/name"}]"#, NotUnderstood, "patch.op"),
        (
            r#"[{"op":"remove","path":"name"}]"#,
            NotUnderstood,
            "patch.path",
        ),
        (
            r#"[{"op":"remove","path":"/name/0/~2"}]"#,
            NotUnderstood,
            "patch.path",
        ),
        (
            r#"[{"op":"remove","path":""}]"#,
            NotSupported,
            "patch of the whole resource",
        ),
        (r#"[{"op":"remove","path":"/"}]"#, NotUnderstood, "Patient."),
        (
            r#"[{"op":"remove","path":"/foo"}]"#,
            NotUnderstood,
            "Patient.foo",
        ),
        (
            r#"[{"op":"remove","path":"/resourceType"}]"#,
            NotUnderstood,
            "Patient.resourceType",
        ),
        (
            r#"[{"op":"remove","path":"/name/given"}]"#,
            NotUnderstood,
            "Patient.name",
        ),
        (
            r#"[{"op":"remove","path":"/name/01"}]"#,
            NotUnderstood,
            "Patient.name",
        ),
        (
            r#"[{"op":"remove","path":"/name/0/foo"}]"#,
            NotUnderstood,
            "Patient.name.foo",
        ),
        (
            r#"[{"op":"remove","path":"/birthDate/foo"}]"#,
            NotUnderstood,
            "Patient.birthDate.foo",
        ),
        (
            r#"[{"op":"replace","path":"/id","value":"2"}]"#,
            NotUnderstood,
            "Patient.id",
        ),
        (
            r#"[{"op":"move","from":"/id","path":"/implicitRules"}]"#,
            NotUnderstood,
            "Patient.implicitRules",
        ),
        (
            r#"[{"op":"add","path":"/active","value":"x"}]"#,
            NotUnderstood,
            "Patient.active",
        ),
        (
            r#"[{"op":"add","path":"/name/-","value":{"foo":1}}]"#,
            NotUnderstood,
            "Patient.name.foo",
        ),
        (
            r#"[{"op":"test","path":"/name/0","value":{"foo":1}}]"#,
            NotUnderstood,
            "Patient.name.foo",
        ),
        (
            r#"[{"op":"copy","from":"/managingOrganization/display","path":"/managingOrganization/reference"}]"#,
            NotUnderstood,
            "Patient.managingOrganization.reference",
        ),
        (
            r#"[{"op":"remove","path":"/contained/0/id"}]"#,
            NotSupported,
            "patch within a resource",
        ),
    ] {
        let got = ask("PATCH", "/Patient/1").patch(patch).refused();
        assert_eq!(got, (reason, name.to_owned()), "{patch}");
    }
    let one = r#"{"op":"remove","path":"/name"}"#;
    let many = |n: usize| format!("[{}]", vec![one; n].join(","));
    assert!(
        ask("PATCH", "/Patient/1")
            .patch(&many(1_000))
            .understood()
            .is_ok()
    );
    let no = (TooLarge, "patch".to_owned());
    assert_eq!(ask("PATCH", "/Patient/1").patch(&many(1_001)).refused(), no);
}
