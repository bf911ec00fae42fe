//! What claims make of a caller.

use std::sync::Arc;

use chartward_rules::smart::{Reach, Rights};
use chartward_rules::subject::{Authority, Kind, Subject};
use serde_json::{Value, json};

use super::super::{Identity, ScopeMode};
use super::support::*;

async fn bench(scopes: ScopeMode, roles: &str) -> (Identity, String) {
    let server = Server::start().await;
    server.answer("/jwks", 200, jwks());
    let mut settings = settings(&server);
    settings.issuers[0].scopes = scopes;
    settings.issuers[0].roles = Some(roles.to_owned());
    (build(&settings), server.url)
}

async fn subject(identity: &Identity, issuer: &str, changes: &Value) -> Arc<Subject> {
    let mut claims = claims(issuer);
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let token = KEYS.es.token("ES256", "es", &claims);
    resolve(identity, &token, None).await.unwrap()
}

fn texts(list: &[Arc<str>]) -> Vec<&str> {
    list.iter().map(AsRef::as_ref).collect()
}

#[tokio::test]
async fn roles_come_by_the_issuers_map_only() {
    for (path, claim, expected) in [
        (
            "realm_access.roles",
            json!({"realm_access": {"roles": ["RN"]}}),
            vec!["nurse"],
        ),
        (
            "realm_access.roles",
            json!({"realm_access": {"roles": ["frontdesk", "RN", "RN"]}}),
            vec!["front-desk", "nurse"],
        ),
        (
            "realm_access.roles",
            json!({"realm_access": {"roles": ["nurse", "rn", "admin", 7, null]}}),
            vec![],
        ),
        (
            "realm_access.roles",
            json!({"realm_access": {"roles": "RN"}}),
            vec!["nurse"],
        ),
        (
            "realm_access.roles",
            json!({"realm_access": {"roles": "RN frontdesk"}}),
            vec![],
        ),
        (
            "realm_access.roles",
            json!({"realm_access": {"roles": {"RN": true}}}),
            vec![],
        ),
        (
            "realm_access.roles",
            json!({"realm_access": ["RN"]}),
            vec![],
        ),
        (
            "realm_access.roles",
            json!({"realm_access": null, "roles": ["RN"]}),
            vec![],
        ),
        ("roles", json!({"roles": ["RN"]}), vec!["nurse"]),
        (
            "https://idp.example/roles",
            json!({"https://idp.example/roles": ["RN"]}),
            vec!["nurse"],
        ),
    ] {
        let (identity, issuer) = bench(ScopeMode::Required, path).await;
        let subject = subject(&identity, &issuer, &claim).await;
        assert_eq!(texts(&subject.roles), expected, "{path} {claim}");
    }
}

#[tokio::test]
async fn scopes_limit_unless_the_issuer_has_none() {
    let (identity, issuer) = bench(ScopeMode::Required, "roles").await;
    for (claims, expected) in [
        (json!({}), Reach::Whole),
        (json!({"scope": "patient/Patient.r"}), Reach::Patient),
        (json!({"scope": ""}), Reach::None),
        (json!({"scope": null}), Reach::None),
        (json!({"scope": ["user/Patient.r"]}), Reach::None),
        (
            json!({"scope": "openid", "scp": ["user/Patient.r"]}),
            Reach::None,
        ),
    ] {
        let subject = subject(&identity, &issuer, &claims).await;
        let Authority::Scoped(scopes) = &subject.scopes else {
            panic!("{claims}: no scope factor")
        };
        assert_eq!(scopes.reach("Patient", Rights::READ), expected, "{claims}");
    }
    let mut without = claims(&issuer);
    without.as_object_mut().unwrap().shift_remove("scope");
    for (scp, expected) in [
        (json!(["openid", "user/Patient.r"]), Reach::Whole),
        (json!("user/Patient.r"), Reach::Whole),
        (json!(["x user/Patient.r"]), Reach::None),
        (json!([7]), Reach::None),
    ] {
        without["scp"] = scp.clone();
        let token = KEYS.es.token("ES256", "es", &without);
        let subject = resolve(&identity, &token, None).await.unwrap();
        let Authority::Scoped(scopes) = &subject.scopes else {
            panic!("{scp}: no scope factor")
        };
        assert_eq!(scopes.reach("Patient", Rights::READ), expected, "{scp}");
    }
    let (identity, issuer) = bench(ScopeMode::Ignored, "roles").await;
    let subject = subject(&identity, &issuer, &json!({"scope": "patient/Patient.r"})).await;
    assert_eq!(subject.scopes, Authority::Unscoped);
}

#[tokio::test]
async fn fhir_user_and_patient_are_ours_and_well_formed_or_nothing() {
    let (identity, issuer) = bench(ScopeMode::Required, "roles").await;
    let id64 = "a".repeat(64);
    let long = format!("Patient/{}", "a".repeat(65));
    let fits = format!("Patient/{id64}");
    for (claim, expected) in [
        ("Practitioner/17", Some("Practitioner/17")),
        (
            "https://gateway.example/fhir/Practitioner/17",
            Some("Practitioner/17"),
        ),
        (
            "https://gateway.example/fhir/PractitionerRole/a-b.c",
            Some("PractitionerRole/a-b.c"),
        ),
        (fits.as_str(), Some(fits.as_str())),
        (long.as_str(), None),
        ("https://other.example/fhir/Practitioner/17", None),
        ("https://gateway.example/fhirs/Practitioner/17", None),
        ("https://gateway.example/fhirPractitioner/17", None),
        ("http://gateway.example/fhir/Practitioner/17", None),
        ("/Practitioner/17", None),
        ("Practitioner/17/_history/1", None),
        ("Practitioner/", None),
        ("Practitioner/17&participant=18", None),
        ("Practitioner/../Patient/1", None),
        ("Organization/17", None),
        ("practitioner/17", None),
        ("17", None),
        ("", None),
    ] {
        let subject = subject(&identity, &issuer, &json!({"fhirUser": claim})).await;
        assert_eq!(subject.fhir_user.as_deref(), expected, "{claim}");
    }
    for (claim, expected) in [
        (json!("p1"), Some("p1")),
        (json!("Patient/p1"), None),
        (json!("p1,p2"), None),
        (json!(""), None),
        (json!(["p1"]), None),
        (json!(null), None),
    ] {
        let subject = subject(&identity, &issuer, &json!({"patient": claim})).await;
        assert_eq!(subject.patient.as_deref(), expected, "{claim}");
    }
}

#[tokio::test]
async fn purposes_are_what_the_token_asserts() {
    let (identity, issuer) = bench(ScopeMode::Required, "roles").await;
    let system = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
    for (changes, expected) in [
        (json!({}), vec![]),
        (json!({"purpose_of_use": "TREAT"}), vec!["TREAT"]),
        (
            json!({"purpose_of_use": ["TREAT", "HPAYMT", "TREAT"]}),
            vec!["TREAT", "HPAYMT"],
        ),
        (
            json!({"purpose_of_use": {"system": system, "code": "TREAT"}}),
            vec!["TREAT"],
        ),
        (
            json!({"purpose_of_use": [{"code": "HRESCH"}]}),
            vec!["HRESCH"],
        ),
        (
            json!({"extensions": {"ihe_iua": {"purpose_of_use": [{"system": system, "code": "BTG"}]}}}),
            vec!["BTG"],
        ),
        (
            json!({"extensions": {"hl7-b2b": {"purpose_of_use": ["urn:oid:2.16.840.1.113883.5.8#TREAT"]}}}),
            vec!["TREAT"],
        ),
        // another system's code is no purpose of ours, yet the token has one
        (
            json!({"purpose_of_use": {"system": "urn:x", "code": "TREAT"}}),
            vec!["urn:x|TREAT"],
        ),
        (
            json!({"purpose_of_use": "urn:x#TREAT"}),
            vec!["urn:x#TREAT"],
        ),
    ] {
        let subject = subject(&identity, &issuer, &changes).await;
        assert_eq!(texts(&subject.purposes), expected, "{changes}");
    }
    for wrong in [
        json!(7),
        json!(null),
        json!([""]),
        json!([{"display": "x"}]),
        json!({"system": 1, "code": "TREAT"}),
    ] {
        let mut claims = claims(&issuer);
        claims["purpose_of_use"] = wrong.clone();
        let refused = resolve(&identity, &KEYS.es.token("ES256", "es", &claims), None).await;
        assert_eq!(
            refused.unwrap_err().detail,
            Some("a purpose of use is not understood"),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn an_application_is_told_from_a_person() {
    let (identity, issuer) = bench(ScopeMode::Required, "realm_access.roles").await;
    let person = subject(
        &identity,
        &issuer,
        &json!({"name": "A. Nurse", "acr": "phr"}),
    )
    .await;
    assert_eq!(person.kind, Kind::Person);
    assert_eq!(person.sub.as_ref(), "u17");
    assert_eq!(person.issuer.as_ref(), issuer);
    assert_eq!(person.client.as_deref(), Some("ward-app"));
    assert_eq!(person.name.as_deref(), Some("A. Nurse"));
    assert_eq!(person.acr.as_deref(), Some("phr"));
    assert_eq!(person.expires, NOW + 300);
    assert_eq!(person.certificate, None);
    let application = subject(&identity, &issuer, &json!({"sub": "ward-app"})).await;
    assert_eq!(application.kind, Kind::Application);
}
