//! The patient compartment: what belongs to a patient (FHIR R4 compartmentdefinition-patient.html).

/// The types of the compartment that this server knows, with the search parameters that lead to the patient.
pub(crate) const PATIENT: [(&str, &[&str]); 15] = [
    ("AllergyIntolerance", &["patient", "recorder", "asserter"]),
    ("Appointment", &["actor"]),
    ("CarePlan", &["patient", "performer"]),
    ("CareTeam", &["patient", "participant"]),
    ("Condition", &["patient", "asserter"]),
    ("DiagnosticReport", &["subject"]),
    ("DocumentReference", &["subject", "author"]),
    ("Encounter", &["patient"]),
    ("Immunization", &["patient"]),
    ("MedicationRequest", &["subject"]),
    ("Observation", &["subject", "performer"]),
    ("Patient", &["link"]),
    ("Procedure", &["patient", "performer"]),
    ("Schedule", &["actor"]),
    ("ServiceRequest", &["subject", "performer"]),
];

#[cfg(test)]
mod tests {
    use super::super::params::{Kind, PARAMS};
    use super::*;

    #[test]
    fn every_parameter_is_a_known_reference() {
        for (name, codes) in PATIENT {
            for code in codes {
                let known = PARAMS[name].iter().find(|param| param.code == *code);
                assert_eq!(known.unwrap().kind, Kind::Reference, "{name} {code}");
            }
        }
    }
}
