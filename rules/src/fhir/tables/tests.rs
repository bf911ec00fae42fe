use super::*;

/// Elements that the path can end at; the whole resource counts as found.
fn leads_somewhere(t: TypeId, path: &[&str]) -> bool {
    path.is_empty() || !r4().walk(r4().root(t), path).is_empty()
}

#[test]
fn the_embedded_text_is_well_formed() {
    let tables = parse::parse(TEXT).unwrap();
    assert_eq!(tables.resource_count(), 146);
    assert!(tables.structure_count() > 600);
    assert!(tables.resource("Resource").is_none());
    assert!(tables.resource("DomainResource").is_none());
    assert!(tables.resource("patient").is_none());
}

#[test]
fn ids_are_dense_and_alphabetical() {
    let names: Vec<_> = r4().resources().map(|t| r4().name(t)).collect();
    assert!(names.is_sorted());
    for (index, t) in r4().resources().enumerate() {
        assert_eq!(t.index(), index);
        assert_eq!(r4().resource(r4().name(t)), Some(t));
        assert_eq!(r4().structure(r4().root(t)).name, r4().name(t));
    }
}

#[test]
fn a_stranger_id_leads_to_nothing() {
    assert_eq!(r4().name(TypeId(u16::MAX)), "");
    assert!(r4().structure(StructId(u16::MAX)).elements.is_empty());
    assert_eq!(r4().subject(TypeId(u16::MAX)), &SubjectRule::Undetermined);
}

#[test]
fn elements_have_their_kind_cardinality_and_flags() {
    let patient = r4().root(r4().resource("Patient").unwrap());
    let of = |s, name| r4().structure(s).element(name).unwrap();
    let contact = of(patient, "contact");
    assert!(contact.many && !contact.choice && !contact.modifier);
    let ElementType::Complex(contact) = contact.types[0] else {
        panic!("not an object");
    };
    assert_eq!(r4().structure(contact).name, "Patient.contact");
    assert!(of(patient, "active").modifier && of(patient, "active").summary);
    assert_eq!(
        of(patient, "birthDate").types,
        [ElementType::Primitive("date")]
    );
    assert_eq!(of(patient, "contained").types, [ElementType::Resource]);
    let narrative = r4().datatype("Narrative").unwrap();
    assert_eq!(of(narrative, "div").types, [ElementType::Xhtml]);
    assert_eq!(of(narrative, "div").min, 1);
    assert!(
        of(patient, "generalPractitioner")
            .targets
            .contains(&"Practitioner")
    );
}

#[test]
fn a_choice_has_a_json_key_for_each_type() {
    let observation = r4().root(r4().resource("Observation").unwrap());
    let value = r4().structure(observation).element("value").unwrap();
    let keys: Vec<_> = r4().json_keys(value).map(|(key, _)| key).collect();
    for key in ["valueQuantity", "valueDateTime", "valueString"] {
        assert!(keys.iter().any(|k| k == key), "{key}");
        assert_eq!(
            r4().element_for_key(observation, key).unwrap().0.name,
            "value"
        );
    }
    for key in [
        "value",
        "valueAddress",
        "valuequantity",
        "Status",
        "resourceType",
    ] {
        assert!(r4().element_for_key(observation, key).is_none(), "{key}");
    }
    assert!(r4().element_for_key(observation, "status").is_some());
}

#[test]
fn a_json_key_belongs_to_one_element_of_its_structure() {
    for s in r4().structures() {
        let mut seen = std::collections::HashSet::new();
        for element in &r4().structure(s).elements {
            assert!(!element.types.is_empty());
            for (key, _) in r4().json_keys(element) {
                let name = r4().structure(s).name;
                assert_eq!(r4().element_for_key(s, &key).unwrap().0.name, element.name);
                assert!(seen.insert(key.clone()), "{name}.{key}");
            }
        }
    }
}

#[test]
fn content_references_and_recursive_structures_close_the_circle() {
    let questionnaire = r4().root(r4().resource("Questionnaire").unwrap());
    let deep = r4().walk(questionnaire, &["item", "item", "item", "text"]);
    assert_eq!(deep.len(), 1);
    let extension = r4().datatype("Extension").unwrap();
    assert_eq!(
        r4().walk(extension, &["extension", "extension", "url"])
            .len(),
        1
    );
    assert!(r4().datatype("Patient").is_none());
    assert!(r4().datatype("Patient.contact").is_none());
}

#[test]
fn every_path_of_every_parameter_leads_somewhere() {
    let mut paths = 0;
    for t in r4().resources() {
        for param in r4().params(t) {
            let name = format!("{}.{}", r4().name(t), param.code);
            let unknown = ["_content", "_filter", "_query", "_text"].contains(&param.code);
            assert_eq!(param.reads().is_none(), unknown, "{name}");
            for path in param.reads().into_iter().flatten() {
                assert!(leads_somewhere(t, &path), "{name}: {path:?}");
                paths += 1;
            }
            let composite = param.kind == ParamKind::Composite;
            assert_eq!(!param.components.is_empty(), composite, "{name}");
            for component in &param.components {
                assert!(r4().param(t, component.code).is_some(), "{name}");
                for path in &component.paths {
                    assert!(param.paths.contains(path), "{name}");
                }
            }
        }
    }
    assert!(paths > 2_000);
}

#[test]
fn a_cast_names_a_type_of_the_choice_on_its_path() {
    for t in r4().resources() {
        for path in r4().params(t).iter().flat_map(|p| &p.paths) {
            let Some(cast) = path.cast else { continue };
            let choices: Vec<_> = (1..=path.elements.len())
                .flat_map(|n| r4().walk(r4().root(t), &path.elements[..n]))
                .filter(|e| e.choice)
                .collect();
            assert_eq!(choices.len(), 1, "{path:?}");
            let mut types = choices[0].types.iter();
            assert!(types.any(|t| r4().type_name(*t) == cast), "{path:?}");
        }
    }
}

#[test]
fn parameters_read_what_they_are_known_to_read() {
    let reads = |t, code| {
        let param = r4().param(r4().resource(t).unwrap(), code).unwrap();
        let paths = param.reads().unwrap_or_default();
        paths.iter().map(|p| p.join(".")).collect::<Vec<_>>()
    };
    let cases: &[(&str, &str, &[&str])] = &[
        ("Patient", "phonetic", &["name"]),
        ("Patient", "email", &["telecom", "telecom.system"]),
        ("Patient", "deceased", &["deceased"]),
        ("Patient", "_id", &["id"]),
        ("Parameters", "_lastUpdated", &["meta.lastUpdated"]),
        ("Observation", "combo-code", &["code", "component.code"]),
        ("Observation", "value-string", &["value", "value.text"]),
        ("Bundle", "message", &["entry.resource"]),
        ("Patient", "part-agree", &[""]),
        ("Patient", "_text", &[]),
        (
            "Observation",
            "component-code-value-quantity",
            &["component.code", "component.value"],
        ),
        (
            "Measure",
            "depends-on",
            &[
                "relatedArtifact.resource",
                "relatedArtifact.type",
                "library",
            ],
        ),
    ];
    for (t, code, expected) in cases {
        assert_eq!(reads(t, code), *expected, "{t}.{code}");
    }
    let bundle = r4().resource("Bundle").unwrap();
    assert!(r4().param(bundle, "_text").is_none());
    assert!(r4().param(bundle, "_content").is_some());
}

#[test]
fn every_compartment_parameter_is_a_reference_of_its_type() {
    let names = [
        "device",
        "encounter",
        "patient",
        "practitioner",
        "relatedPerson",
    ];
    for compartment in names {
        let mut members = 0;
        for t in r4().resources() {
            let Some(codes) = r4().compartment(compartment, t) else {
                continue;
            };
            members += 1;
            assert!(!codes.is_empty());
            for code in codes {
                let name = r4().name(t);
                let param = r4().param(t, code).unwrap();
                // the one exception is the compartment's own resource
                let own = *code == "_id" && name.eq_ignore_ascii_case(compartment);
                assert!(own || param.kind == ParamKind::Reference, "{name}.{code}");
            }
        }
        assert!(members > 20, "{compartment}");
    }
    let task = r4().resource("Task").unwrap();
    assert_eq!(r4().compartment("patient", task), None);
    assert_eq!(r4().compartment("nobody", task), None);
}

#[test]
fn every_type_has_a_subject_rule_and_its_paths_name_patients() {
    for t in r4().resources() {
        let name = r4().name(t);
        match r4().subject(t) {
            SubjectRule::Itself => assert_eq!(name, "Patient"),
            SubjectRule::Paths(paths) => {
                assert!(!paths.is_empty());
                for path in paths {
                    let found = r4().walk(r4().root(t), path);
                    let names_patients = |e: &&Element| {
                        let any = e.targets.is_empty() || e.targets.contains(&"Resource");
                        any || e.targets.contains(&"Patient")
                    };
                    assert!(found.iter().any(names_patients), "{name}: {path:?}");
                }
            }
            SubjectRule::NoPatient => {
                // what the specification puts in the patient compartment is about somebody
                assert_eq!(r4().compartment("patient", t), None, "{name}");
            }
            SubjectRule::Undetermined => {}
        }
    }
}

#[test]
fn performers_authors_and_their_like_make_nobody_a_subject() {
    let never = [
        "performer",
        "author",
        "recipient",
        "payee",
        "link.other",
        "asserter",
        "recorder",
    ];
    for t in r4().resources() {
        if let SubjectRule::Paths(paths) = r4().subject(t) {
            for path in paths {
                assert!(
                    !never.contains(&path.join(".").as_str()),
                    "{}",
                    r4().name(t)
                );
            }
        }
    }
}

#[test]
fn a_mistyped_type_finds_its_neighbour() {
    assert_eq!(r4().nearest_resource("Observaton"), Some("Observation"));
    assert_eq!(r4().nearest_resource("Xyzzyplugh"), None);
}
