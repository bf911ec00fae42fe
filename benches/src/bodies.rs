//! What the upstream answers, always the same bytes, and the values that a view of them hides.

use std::fmt::Write as _;

/// Stands in every element that the pack hides.
pub const HIDDEN: &str = "Quarzsand-Libelle";
/// Stands in every element that the pack shows.
pub const SHOWN: &str = "Kupfer-Amsel";

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// A read of one Patient.
    Read,
    /// A search that gives 18 Observations.
    Search,
    /// A search that gives 200 Observations.
    Bundle,
}

impl Row {
    /// In the order of the report.
    pub const ALL: [Self; 3] = [Self::Read, Self::Search, Self::Bundle];

    /// Path and query.
    pub fn target(self) -> &'static str {
        match self {
            Self::Read => "/fhir/Patient/p1",
            Self::Search => "/fhir/Observation?code=8480-6&_count=50",
            Self::Bundle => "/fhir/Observation?code=8462-4&_count=200",
        }
    }

    /// How many resources the answer holds.
    pub fn resources(self) -> usize {
        match self {
            Self::Read => 1,
            Self::Search => 18,
            Self::Bundle => 200,
        }
    }

    /// Its title.
    pub fn title(self) -> String {
        let length = self.body().len();
        match self {
            Self::Read => format!("read of a Patient, {length} B"),
            Self::Search => format!("search, 18 Observations, {length} B"),
            Self::Bundle => format!("Bundle of 200 Observations, {length} B"),
        }
    }

    /// The upstream's answer.
    pub fn body(self) -> String {
        match self {
            Self::Read => patient(),
            Self::Search => bundle("8480-6", 18),
            Self::Bundle => bundle("8462-4", 200),
        }
    }
}

/// The pack that the gateway decides by: it hides what holds [`HIDDEN`].
pub const PACK: &str = r#"
pack = "bench"
fhir = "R4"
[[role]]
name     = "nurse"
purposes = ["TREAT"]
  [[role.grant]]
  on   = ["Patient"]
  can  = ["read", "search"]
  hide = ["telecom", "address.line"]
  [[role.grant]]
  on   = ["Observation"]
  can  = ["read", "search"]
  hide = ["note", "performer"]
"#;

fn patient() -> String {
    format!(
        r#"{{"resourceType":"Patient","id":"p1","meta":{{"versionId":"1","lastUpdated":"2026-03-02T08:30:00.000Z"}},"identifier":[{{"use":"official","type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}}]}},"system":"https://hospital.example/mrn","value":"MRN-0042917"}}],"active":true,"name":[{{"use":"official","family":"{SHOWN}","given":["Marie-Antoinette","Louise"]}}],"telecom":[{{"system":"phone","value":"{HIDDEN}","use":"home"}},{{"system":"email","value":"m.{HIDDEN}@example.org"}}],"gender":"female","birthDate":"1961-07-14","address":[{{"use":"home","line":["Lange {HIDDEN} 27"],"city":"Freiburg","postalCode":"79098","country":"DE"}}],"maritalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M"}}]}},"communication":[{{"language":{{"coding":[{{"system":"urn:ietf:bcp:47","code":"de-DE"}}]}},"preferred":true}}]}}"#
    )
}

fn bundle(code: &str, count: usize) -> String {
    let mut out = format!(
        r#"{{"resourceType":"Bundle","id":"b1","meta":{{"lastUpdated":"2026-03-02T08:30:00.000Z"}},"type":"searchset","total":{count},"link":[{{"relation":"self","url":"http://127.0.0.1/fhir/Observation?code={code}"}}],"entry":["#
    );
    for n in 0..count {
        if n > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            r#"{{"fullUrl":"http://127.0.0.1/fhir/Observation/o{n}","resource":{{"resourceType":"Observation","id":"o{n}","meta":{{"versionId":"1","lastUpdated":"2026-03-02T08:30:00.000Z"}},"identifier":[{{"system":"https://hospital.example/observations","value":"OBS-{n:08}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"Blood pressure"}}],"text":"{SHOWN}"}},"subject":{{"reference":"Patient/p{n}"}},"encounter":{{"reference":"Encounter/e{n}"}},"effectiveDateTime":"2026-03-02T08:{minute:02}:00+01:00","issued":"2026-03-02T08:30:00.000Z","performer":[{{"reference":"Practitioner/pr1","display":"Dr. {HIDDEN}"}}],"valueQuantity":{{"value":{value}.5,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},"bodySite":{{"coding":[{{"system":"http://snomed.info/sct","code":"368209003"}}]}},"note":[{{"text":"Measured at home, told by {HIDDEN} on the telephone; to be repeated at the next visit."}}]}},"search":{{"mode":"match"}}}}"#,
            minute = n % 60,
            value = 100 + n % 60,
        );
    }
    out.push_str("]}");
    out
}

#[cfg(test)]
mod tests {
    use chartward_tests::client::holds;
    use serde_json::Value;

    use super::*;

    #[test]
    fn bodies_have_the_sizes_that_the_report_is_about() {
        for (row, about) in [
            (Row::Read, 904),
            (Row::Search, 20_000),
            (Row::Bundle, 219_000),
        ] {
            let body = row.body();
            let parsed: Value = serde_json::from_str(&body).expect("JSON");
            let rows = parsed["entry"].as_array().map_or(1, Vec::len);
            assert_eq!(
                (rows, body.matches(SHOWN).count()),
                (row.resources(), row.resources())
            );
            assert!(holds(body.as_bytes(), HIDDEN.as_bytes()));
            assert!(
                body.len().abs_diff(about) * 20 < about,
                "{row:?}: {} bytes",
                body.len()
            );
        }
    }
}
