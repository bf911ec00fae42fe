//! What building the clinic shares: the store, chance, the calendar, and the shapes of FHIR data types.

use serde_json::{Value, json};
use time::{Date, Duration, Month};

use super::rng::Rng;
use crate::fhir::Store;

pub(crate) const SNOMED: &str = "http://snomed.info/sct";
pub(crate) const LOINC: &str = "http://loinc.org";
pub(crate) const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
pub(crate) const ICD10: &str = "http://hl7.org/fhir/sid/icd-10-cm";
pub(crate) const UCUM: &str = "http://unitsofmeasure.org";
/// Where HL7's own code systems are.
pub(crate) const TERMINOLOGY: &str = "http://terminology.hl7.org/CodeSystem";

/// The clinic being built.
pub(crate) struct Build {
    pub(crate) store: Store,
    pub(crate) rng: Rng,
}

/// Somebody or something that others refer to.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// `Type/id`.
    pub(crate) place: String,
    /// What a reference displays.
    pub(crate) display: String,
}

impl Build {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            store: Store::new(),
            rng: Rng::new(seed),
        }
    }

    /// Stores a resource that was last changed `day` days from today.
    pub(crate) fn put(&mut self, mut resource: Value, day: i64) {
        let (hour, minute) = (self.rng.between(8, 17), self.rng.between(0, 59));
        let updated = at(day.min(-1), hour, minute);
        resource["meta"]["lastUpdated"] = updated.into();
        if let Err(unfit) = self.store.insert(resource) {
            unreachable!("the clinic makes what the store takes: {unfit}");
        }
    }
}

impl Named {
    pub(crate) fn new(place: impl Into<String>, display: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            display: display.into(),
        }
    }

    /// A Reference to it.
    pub(crate) fn refer(&self) -> Value {
        json!({"reference": self.place, "display": self.display})
    }
}

/// The date `offset` days from the clinic's today.
pub(crate) fn day(offset: i64) -> String {
    let today = Date::from_calendar_date(2026, Month::March, 2).unwrap_or(Date::MIN);
    let date = today.saturating_add(Duration::days(offset));
    format!(
        "{:04}-{:02}-{:02}",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}

/// An instant `offset` days from today.
pub(crate) fn at(offset: i64, hour: i64, minute: i64) -> String {
    format!("{}T{hour:02}:{minute:02}:00Z", day(offset))
}

pub(crate) fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({"system": system, "code": code, "display": display})
}

/// A CodeableConcept of one coding, whose display is its text too.
pub(crate) fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [coding(system, code, display)], "text": display})
}

/// The same from one of HL7's own code systems.
pub(crate) fn hl7(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [coding(&format!("{TERMINOLOGY}/{system}"), code, display)]})
}

/// A decimal with `places` digits after the point, written out: `12.50`.
pub(crate) fn decimal(scaled: i64, places: u32) -> Value {
    let unit = 10_i64.pow(places);
    let width = places as usize;
    let text = if places == 0 {
        scaled.to_string()
    } else {
        format!("{}.{:0width$}", scaled / unit, scaled % unit)
    };
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// A Quantity in UCUM.
pub(crate) fn quantity(value: Value, unit: &str, code: &str) -> Value {
    json!({"value": value, "unit": unit, "system": UCUM, "code": code})
}

/// A generated narrative.
pub(crate) fn narrative(text: &str) -> Value {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{text}</p></div>")})
}
