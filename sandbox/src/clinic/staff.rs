//! The house and who works in it: organizations, locations, practitioners and their roles.

use serde_json::{Value, json};

use super::build::{Build, Named, SNOMED, concept, hl7};
use super::words::{FAMILIES, MEN, WOMEN};

/// Physicians of the clinic, and as many nurses.
pub(crate) const TEAMS: usize = 6;

/// Who and what patients' charts refer to.
pub(crate) struct Staff {
    pub(crate) physicians: Vec<Named>,
    pub(crate) nurses: Vec<Named>,
    /// Psychiatrist, psychologist, addiction counsellor.
    pub(crate) therapists: Vec<Named>,
    pub(crate) technologist: Named,
    pub(crate) clinic: Named,
    pub(crate) laboratory: Named,
    /// An examination room for each physician.
    pub(crate) rooms: Vec<Named>,
    pub(crate) emergency: Named,
    pub(crate) behavioural: Named,
}

/// What people are hired for.
struct Post {
    count: usize,
    /// SNOMED CT.
    role: (&'static str, &'static str),
    /// SNOMED CT.
    specialty: (&'static str, &'static str),
    prefix: &'static str,
    suffix: &'static str,
}

const fn post(
    count: usize,
    role: (&'static str, &'static str),
    specialty: (&'static str, &'static str),
    (prefix, suffix): (&'static str, &'static str),
) -> Post {
    Post {
        count,
        role,
        specialty,
        prefix,
        suffix,
    }
}

const POSTS: &[Post] = &[
    post(
        TEAMS,
        ("309343006", "Physician"),
        ("394802001", "General medicine"),
        ("Dr. ", "MD"),
    ),
    post(
        TEAMS,
        ("224535009", "Registered nurse"),
        ("722165004", "Nursing"),
        ("", "RN"),
    ),
    post(
        1,
        ("80584001", "Psychiatrist"),
        ("394587001", "Psychiatry"),
        ("Dr. ", "MD"),
    ),
    post(
        1,
        ("59944000", "Psychologist"),
        ("310194000", "Psychology"),
        ("Dr. ", "PhD"),
    ),
    post(
        1,
        ("224597008", "Drug counselor"),
        ("394587001", "Psychiatry"),
        ("", "LADC"),
    ),
    post(
        1,
        ("159282002", "Laboratory technician"),
        ("394595002", "Pathology"),
        ("", "MLS"),
    ),
];

/// Fills the house.
pub(crate) fn hire(build: &mut Build) -> Staff {
    let clinic = organization(
        build,
        "org-001",
        "Lantern Hill Clinic",
        "prov",
        "Healthcare Provider",
    );
    let laboratory = organization(
        build,
        "org-002",
        "Lantern Hill Laboratory",
        "dept",
        "Hospital Department",
    );
    organization(
        build,
        "org-003",
        "Commonweal Health Plan",
        "ins",
        "Insurance Company",
    );
    let house = location(
        build,
        "loc-001",
        "Lantern Hill Clinic, main building",
        "bu",
        "Building",
        None,
        &clinic,
    );
    let rooms: Vec<Named> = (1..=TEAMS)
        .map(|room| {
            let (id, name) = (
                format!("loc-{:03}", room + 1),
                format!("Examination room {room}"),
            );
            location(build, &id, &name, "ro", "Room", Some(&house), &clinic)
        })
        .collect();
    let emergency = location(
        build,
        "loc-008",
        "Urgent care",
        "wa",
        "Ward",
        Some(&house),
        &clinic,
    );
    location(
        build,
        "loc-009",
        "Laboratory",
        "ro",
        "Room",
        Some(&house),
        &laboratory,
    );
    let behavioural = location(
        build,
        "loc-010",
        "Behavioral health suite",
        "wa",
        "Ward",
        Some(&house),
        &clinic,
    );

    let mut people = Vec::new();
    for post in POSTS {
        for _ in 0..post.count {
            let number = people.len() + 1;
            people.push(practitioner(build, number, post, &clinic, &house));
        }
    }
    let mut people = people.into_iter();
    Staff {
        physicians: people.by_ref().take(TEAMS).collect(),
        nurses: people.by_ref().take(TEAMS).collect(),
        therapists: people.by_ref().take(3).collect(),
        technologist: people.next().unwrap_or_else(|| clinic.clone()),
        clinic,
        laboratory,
        rooms,
        emergency,
        behavioural,
    }
}

fn organization(build: &mut Build, id: &str, name: &str, kind: &str, kind_name: &str) -> Named {
    build.put(
        json!({
            "resourceType": "Organization",
            "id": id,
            "identifier": [{"system": "https://clinic.example/organization", "value": id.to_uppercase()}],
            "active": true,
            "type": [hl7("organization-type", kind, kind_name)],
            "name": name,
            "telecom": [{"system": "phone", "value": "555-0100", "use": "work"}],
            "address": [{"line": ["1 Lantern Hill Road"], "city": "Millbrook", "state": "MA", "postalCode": "01099"}],
        }),
        -900,
    );
    Named::new(format!("Organization/{id}"), name)
}

fn location(
    build: &mut Build,
    id: &str,
    name: &str,
    kind: &str,
    kind_name: &str,
    within: Option<&Named>,
    keeper: &Named,
) -> Named {
    let mut location = json!({
        "resourceType": "Location",
        "id": id,
        "status": "active",
        "name": name,
        "mode": "instance",
        "address": {"line": ["1 Lantern Hill Road"], "city": "Millbrook", "state": "MA", "postalCode": "01099"},
        "physicalType": hl7("location-physical-type", kind, kind_name),
        "managingOrganization": keeper.refer(),
    });
    if let Some(within) = within {
        location["partOf"] = within.refer();
    }
    build.put(location, -900);
    Named::new(format!("Location/{id}"), name)
}

fn practitioner(
    build: &mut Build,
    number: usize,
    post: &Post,
    clinic: &Named,
    house: &Named,
) -> Named {
    let Post {
        role,
        specialty,
        prefix,
        suffix,
        ..
    } = post;
    let woman = build.rng.chance(50);
    let given = *build.rng.pick(if woman { WOMEN } else { MEN });
    let family = *build.rng.pick(FAMILIES);
    let display = format!("{prefix}{given} {family}, {suffix}");
    let id = format!("prac-{number:03}");
    let mut name: Value =
        json!({"use": "official", "family": family, "given": [given], "suffix": [suffix]});
    if !prefix.is_empty() {
        name["prefix"] = json!([prefix.trim()]);
    }
    build.put(
        json!({
            "resourceType": "Practitioner",
            "id": id,
            "identifier": [
                {"system": "http://hl7.org/fhir/sid/us-npi", "value": format!("99999{number:05}")},
                {"system": "https://clinic.example/staff", "value": format!("S{number:04}")},
            ],
            "active": true,
            "name": [name],
            "telecom": [
                {"system": "phone", "value": format!("555-02{number:02}"), "use": "work"},
                {"system": "email", "value": format!("staff{number:03}@clinic.example"), "use": "work"},
            ],
            "gender": if woman { "female" } else { "male" },
            "qualification": [{"code": {"text": suffix}}],
        }),
        -800,
    );
    let named = Named::new(format!("Practitioner/{id}"), display);
    build.put(
        json!({
            "resourceType": "PractitionerRole",
            "id": format!("role-{number:03}"),
            "active": true,
            "period": {"start": "2019-01-01"},
            "practitioner": named.refer(),
            "organization": clinic.refer(),
            "code": [concept(SNOMED, role.0, role.1)],
            "specialty": [concept(SNOMED, specialty.0, specialty.1)],
            "location": [house.refer()],
            "telecom": [{"system": "phone", "value": format!("555-02{number:02}"), "use": "work"}],
        }),
        -800,
    );
    named
}
