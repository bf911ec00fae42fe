//! Security labels and purposes of use: the codes that decisions know, and how they contain one another.
//!
//! Codes are case-sensitive and mean nothing without their system. What isn't listed here is
//! unknown, and the caller decides what unknown means.

/// System of sensitivity codes.
pub const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
/// System of confidentiality codes.
pub const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
/// The same code systems by other names: their OIDs, and what they were called before R4.
const ALIASES: [(&str, &str); 6] = [
    ("http://hl7.org/fhir/v3/ActCode", ACT_CODE),
    ("urn:oid:2.16.840.1.113883.5.4", ACT_CODE),
    ("2.16.840.1.113883.5.4", ACT_CODE),
    ("http://hl7.org/fhir/v3/Confidentiality", CONFIDENTIALITY),
    ("urn:oid:2.16.840.1.113883.5.25", CONFIDENTIALITY),
    ("2.16.840.1.113883.5.25", CONFIDENTIALITY),
];
/// System of purposes of use.
pub const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// System of the marks `REDACTED`, `SUBSETTED` and `MASKED`.
pub const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// Mark: the view hides something of the type.
pub const REDACTED: &str = "REDACTED";
/// Mark: the caller asked for less than the whole.
pub const SUBSETTED: &str = "SUBSETTED";
/// Mark: the view transforms something of the type.
pub const MASKED: &str = "MASKED";

/// Extension on an element that carries a label of its own in `valueCoding` (DS4P).
pub const INLINE_LABEL: &str =
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";
/// Extension in place of a value, whose `valueCode` says why it is absent (`masked`).
pub const DATA_ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// Sensitivity codes of v3-ActCode, sorted.
pub const SENSITIVITY: [&str; 16] = [
    "BH", "CEL", "ETH", "GDIS", "HIV", "MH", "OPIOIDUD", "PSY", "PSYTHPN", "SCA", "SDV", "SEX",
    "SPI", "STD", "SUD", "VIO",
];

/// A label's system by the name that it has in R4.
pub fn system(said: &str) -> &str {
    let alias = ALIASES.iter().find(|(name, _)| *name == said);
    alias.map_or(said, |(_, system)| system)
}

/// Whether a code of v3-ActCode is a sensitivity code; the system has many others.
pub fn is_sensitivity(code: &str) -> bool {
    SENSITIVITY.binary_search(&code).is_ok()
}

/// Whether naming `broad` also names `code`: the same code, or `SPI` over `BH`, `MH`, `PSY`, `SUD`.
pub fn sensitivity_covers(broad: &str, code: &str) -> bool {
    broad == code || (broad == "SPI" && matches!(code, "BH" | "MH" | "PSY" | "SUD"))
}

/// How confidential a resource is, in rising order.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub enum Confidentiality {
    /// `U`
    Unrestricted,
    /// `L`
    Low,
    /// `M`
    Moderate,
    /// `N`
    Normal,
    /// `R`
    Restricted,
    /// `V`
    VeryRestricted,
}

impl Confidentiality {
    /// The level of a v3-Confidentiality code.
    pub fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "U" => Self::Unrestricted,
            "L" => Self::Low,
            "M" => Self::Moderate,
            "N" => Self::Normal,
            "R" => Self::Restricted,
            "V" => Self::VeryRestricted,
            _ => return None,
        })
    }

    /// The code of v3-Confidentiality.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unrestricted => "U",
            Self::Low => "L",
            Self::Moderate => "M",
            Self::Normal => "N",
            Self::Restricted => "R",
            Self::VeryRestricted => "V",
        }
    }

    /// Whether the level makes a row `restricted`: R or V (D4).
    pub fn is_restricted(self) -> bool {
        self >= Self::Restricted
    }
}

/// What a request is for: the purposes of use of v3-ActReason that a pack can name.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Ord, PartialOrd, Debug)]
pub enum Purpose {
    /// `TREAT`: treatment.
    Treatment,
    /// `COC`: coordination of care.
    CoordinationOfCare,
    /// `ETREAT`: emergency treatment.
    EmergencyTreatment,
    /// `BTG`: break the glass.
    BreakTheGlass,
    /// `ERTREAT`: emergency room treatment.
    EmergencyRoomTreatment,
    /// `HPAYMT`: healthcare payment.
    Payment,
    /// `HOPERAT`: healthcare operations.
    Operations,
    /// `HRESCH`: healthcare research.
    Research,
    /// `PATRQT`: at the patient's request.
    PatientRequest,
    /// `PUBHLTH`: public health.
    PublicHealth,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 10] = [
        Self::Treatment,
        Self::CoordinationOfCare,
        Self::EmergencyTreatment,
        Self::BreakTheGlass,
        Self::EmergencyRoomTreatment,
        Self::Payment,
        Self::Operations,
        Self::Research,
        Self::PatientRequest,
        Self::PublicHealth,
    ];

    /// The purpose of a v3-ActReason code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.code() == code)
    }

    /// The code of v3-ActReason.
    pub fn code(self) -> &'static str {
        match self {
            Self::Treatment => "TREAT",
            Self::CoordinationOfCare => "COC",
            Self::EmergencyTreatment => "ETREAT",
            Self::BreakTheGlass => "BTG",
            Self::EmergencyRoomTreatment => "ERTREAT",
            Self::Payment => "HPAYMT",
            Self::Operations => "HOPERAT",
            Self::Research => "HRESCH",
            Self::PatientRequest => "PATRQT",
            Self::PublicHealth => "PUBHLTH",
        }
    }

    /// Whether a role that holds this purpose may be used for `asked`: the same, or one below it.
    /// `BTG` is covered by nothing but itself.
    pub fn covers(self, asked: Self) -> bool {
        if self == asked {
            return true;
        }
        asked != Self::BreakTheGlass && asked.parent().is_some_and(|p| self.covers(p))
    }

    fn parent(self) -> Option<Self> {
        match self {
            Self::CoordinationOfCare | Self::EmergencyTreatment => Some(Self::Treatment),
            Self::BreakTheGlass | Self::EmergencyRoomTreatment => Some(Self::EmergencyTreatment),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sensitivity_code_is_found_and_no_other() {
        assert!(SENSITIVITY.is_sorted());
        assert!(SENSITIVITY.iter().all(|code| is_sensitivity(code)));
        for code in ["", "psy", "R", "REDACTED", "TREAT"] {
            assert!(!is_sensitivity(code), "{code}");
        }
    }

    #[test]
    fn spi_covers_its_parts_and_is_covered_by_none_of_them() {
        for code in ["BH", "MH", "PSY", "SUD", "SPI"] {
            assert!(sensitivity_covers("SPI", code), "{code}");
            assert_eq!(sensitivity_covers(code, "SPI"), code == "SPI");
        }
        assert!(!sensitivity_covers("SPI", "HIV"));
        assert!(!sensitivity_covers("SUD", "OPIOIDUD"));
    }

    #[test]
    fn confidentiality_rises_from_u_to_v() {
        let levels = ["U", "L", "M", "N", "R", "V"].map(|c| Confidentiality::from_code(c).unwrap());
        assert!(levels.is_sorted_by(|a, b| a < b));
        assert_eq!(levels.map(Confidentiality::code).concat(), "ULMNRV");
        let restricted: Vec<_> = levels.into_iter().filter(|l| l.is_restricted()).collect();
        assert_eq!(restricted.len(), 2);
        assert_eq!(Confidentiality::from_code("r"), None);
    }

    #[test]
    fn treatment_covers_what_is_below_it_but_never_break_the_glass() {
        let covered = |broad: &str| {
            let broad = Purpose::from_code(broad).unwrap();
            let below = Purpose::ALL.into_iter().filter(|p| broad.covers(*p));
            below.map(Purpose::code).collect::<Vec<_>>()
        };
        assert_eq!(covered("TREAT"), ["TREAT", "COC", "ETREAT", "ERTREAT"]);
        assert_eq!(covered("ETREAT"), ["ETREAT", "ERTREAT"]);
        assert_eq!(covered("BTG"), ["BTG"]);
        assert_eq!(covered("HOPERAT"), ["HOPERAT"]);
        assert_eq!(Purpose::from_code("treat"), None);
    }
}
