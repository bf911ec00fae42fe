//! Clinical codes: what people suffer from, take, are allergic to and get done.

/// A problem with what is given for it.
pub(crate) struct Problem {
    pub(crate) snomed: &'static str,
    pub(crate) icd10: &'static str,
    pub(crate) name: &'static str,
    pub(crate) drug: Option<Drug>,
}

/// An ingredient (RxNorm) and how it is taken.
#[derive(Clone, Copy)]
pub(crate) struct Drug {
    pub(crate) rxnorm: &'static str,
    pub(crate) name: &'static str,
    pub(crate) dose: &'static str,
}

/// A measurement: values between `low` and `high`, scaled by ten to the `places`.
pub(crate) struct Measure {
    pub(crate) loinc: &'static str,
    pub(crate) name: &'static str,
    pub(crate) low: i64,
    pub(crate) high: i64,
    pub(crate) places: u32,
    pub(crate) unit: &'static str,
    pub(crate) ucum: &'static str,
}

/// A laboratory panel.
pub(crate) struct Panel {
    pub(crate) loinc: &'static str,
    pub(crate) name: &'static str,
    pub(crate) measures: &'static [Measure],
}

const fn problem(
    snomed: &'static str,
    icd10: &'static str,
    name: &'static str,
    drug: Option<Drug>,
) -> Problem {
    Problem {
        snomed,
        icd10,
        name,
        drug,
    }
}

const fn drug(rxnorm: &'static str, name: &'static str, dose: &'static str) -> Drug {
    Drug { rxnorm, name, dose }
}

const fn measure(
    (loinc, name): (&'static str, &'static str),
    (low, high, places): (i64, i64, u32),
    (unit, ucum): (&'static str, &'static str),
) -> Measure {
    Measure {
        loinc,
        name,
        low,
        high,
        places,
        unit,
        ucum,
    }
}

/// Long-lasting: for the problem list.
pub(crate) const CHRONIC: &[Problem] = &[
    problem(
        "38341003",
        "I10",
        "Hypertensive disorder",
        Some(drug("29046", "lisinopril", "10 mg by mouth once a day")),
    ),
    problem(
        "44054006",
        "E11.9",
        "Diabetes mellitus type 2",
        Some(drug("6809", "metformin", "500 mg by mouth twice a day")),
    ),
    problem(
        "55822004",
        "E78.5",
        "Hyperlipidemia",
        Some(drug("83367", "atorvastatin", "20 mg by mouth at bedtime")),
    ),
    problem(
        "195967001",
        "J45.909",
        "Asthma",
        Some(drug("435", "albuterol", "2 puffs inhaled as needed")),
    ),
    problem(
        "235595009",
        "K21.9",
        "Gastroesophageal reflux disease",
        Some(drug(
            "7646",
            "omeprazole",
            "20 mg by mouth before breakfast",
        )),
    ),
    problem(
        "40930008",
        "E03.9",
        "Hypothyroidism",
        Some(drug(
            "10582",
            "levothyroxine",
            "50 mcg by mouth every morning",
        )),
    ),
    problem(
        "239873007",
        "M17.9",
        "Osteoarthritis of knee",
        Some(drug(
            "5640",
            "ibuprofen",
            "400 mg by mouth with meals as needed",
        )),
    ),
    problem(
        "49436004",
        "I48.91",
        "Atrial fibrillation",
        Some(drug("11289", "warfarin", "5 mg by mouth once a day")),
    ),
    problem(
        "13645005",
        "J44.9",
        "Chronic obstructive lung disease",
        Some(drug("435", "albuterol", "2 puffs inhaled every 6 hours")),
    ),
    problem(
        "433144002",
        "N18.30",
        "Chronic kidney disease stage 3",
        Some(drug("52175", "losartan", "50 mg by mouth once a day")),
    ),
    problem(
        "87522002",
        "D50.9",
        "Iron deficiency anemia",
        Some(drug(
            "24947",
            "ferrous sulfate",
            "325 mg by mouth once a day",
        )),
    ),
    problem(
        "37796009",
        "G43.909",
        "Migraine",
        Some(drug("37418", "sumatriptan", "50 mg by mouth at onset")),
    ),
    problem("414916001", "E66.9", "Obesity", None),
];

/// Passing: what an encounter was for.
pub(crate) const ACUTE: &[Problem] = &[
    problem("10509002", "J20.9", "Acute bronchitis", None),
    problem(
        "363746003",
        "J02.9",
        "Acute pharyngitis",
        Some(drug("723", "amoxicillin", "500 mg by mouth every 8 hours")),
    ),
    problem(
        "68566005",
        "N39.0",
        "Urinary tract infectious disease",
        None,
    ),
    problem(
        "65363002",
        "H66.90",
        "Otitis media",
        Some(drug("723", "amoxicillin", "875 mg by mouth every 12 hours")),
    ),
    problem(
        "279039007",
        "M54.50",
        "Low back pain",
        Some(drug(
            "161",
            "acetaminophen",
            "500 mg by mouth every 6 hours as needed",
        )),
    ),
    problem(
        "44465007",
        "S93.409A",
        "Sprain of ankle",
        Some(drug(
            "5640",
            "ibuprofen",
            "400 mg by mouth every 8 hours as needed",
        )),
    ),
    problem("25064002", "R51.9", "Headache", None),
    problem("49727002", "R05.9", "Cough", None),
];

/// Behavioural health: the label that goes with each.
pub(crate) const BEHAVIOURAL: &[(&str, Problem)] = &[
    (
        "PSY",
        problem(
            "35489007",
            "F32.A",
            "Depressive disorder",
            Some(drug("36437", "sertraline", "50 mg by mouth once a day")),
        ),
    ),
    (
        "SUD",
        problem(
            "66590003",
            "F10.20",
            "Alcohol dependence",
            Some(drug("7243", "naltrexone", "50 mg by mouth once a day")),
        ),
    ),
    (
        "MH",
        problem(
            "21897009",
            "F41.1",
            "Generalized anxiety disorder",
            Some(drug("321988", "escitalopram", "10 mg by mouth once a day")),
        ),
    ),
    (
        "PSY",
        problem(
            "13746004",
            "F31.9",
            "Bipolar disorder",
            Some(drug("6448", "lithium", "300 mg by mouth twice a day")),
        ),
    ),
    (
        "SUD",
        problem(
            "75544000",
            "F11.20",
            "Opioid dependence",
            Some(drug(
                "1819",
                "buprenorphine",
                "8 mg under the tongue once a day",
            )),
        ),
    ),
    (
        "MH",
        problem(
            "47505003",
            "F43.10",
            "Posttraumatic stress disorder",
            Some(drug("36437", "sertraline", "100 mg by mouth once a day")),
        ),
    ),
];

/// A sensitivity that packs seldom name.
pub(crate) const HIV: Problem = problem(
    "86406008",
    "B20",
    "Human immunodeficiency virus infection",
    None,
);

/// SNOMED CT, what it is about, category, criticality.
pub(crate) const ALLERGIES: &[(&str, &str, &str, &str)] = &[
    ("91936005", "Allergy to penicillin", "medication", "high"),
    ("91935009", "Allergy to peanut", "food", "high"),
    ("91930004", "Allergy to egg", "food", "low"),
    ("300913006", "Allergy to shellfish", "food", "high"),
    ("419474003", "Allergy to mold", "environment", "low"),
    (
        "232347008",
        "Allergy to animal dander",
        "environment",
        "low",
    ),
];

/// SNOMED CT of a reaction.
pub(crate) const REACTIONS: &[(&str, &str)] = &[
    ("126485001", "Urticaria"),
    ("271807003", "Eruption of skin"),
    ("267036007", "Dyspnea"),
    ("422587007", "Nausea"),
];

/// CVX.
pub(crate) const VACCINES: &[(&str, &str)] = &[
    ("140", "Influenza, seasonal, injectable, preservative free"),
    ("115", "Tdap"),
    ("208", "COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose"),
    ("133", "Pneumococcal conjugate PCV 13"),
    ("187", "Zoster recombinant"),
    ("43", "Hep B, adult"),
];

/// SNOMED CT of a procedure.
pub(crate) const PROCEDURES: &[(&str, &str)] = &[
    ("73761001", "Colonoscopy"),
    ("80146002", "Appendectomy"),
    ("40701008", "Echocardiography"),
    ("127783003", "Spirometry"),
    ("29303009", "Electrocardiographic procedure"),
];

pub(crate) const VITALS: &[Measure] = &[
    measure(
        ("8867-4", "Heart rate"),
        (58, 98, 0),
        ("beats/minute", "/min"),
    ),
    measure(
        ("9279-1", "Respiratory rate"),
        (12, 20, 0),
        ("breaths/minute", "/min"),
    ),
    measure(("8310-5", "Body temperature"), (361, 378, 1), ("C", "Cel")),
    measure(
        (
            "59408-5",
            "Oxygen saturation in Arterial blood by Pulse oximetry",
        ),
        (94, 100, 0),
        ("%", "%"),
    ),
    measure(("29463-7", "Body weight"), (5200, 11500, 2), ("kg", "kg")),
    measure(("8302-2", "Body height"), (1520, 1930, 1), ("cm", "cm")),
];

pub(crate) const PANELS: &[Panel] = &[
    Panel {
        loinc: "24323-8",
        name: "Comprehensive metabolic 2000 panel - Serum or Plasma",
        measures: &[
            measure(
                ("2345-7", "Glucose [Mass/volume] in Serum or Plasma"),
                (72, 168, 0),
                ("mg/dL", "mg/dL"),
            ),
            measure(
                ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma"),
                (60, 160, 2),
                ("mg/dL", "mg/dL"),
            ),
            measure(
                ("2951-2", "Sodium [Moles/volume] in Serum or Plasma"),
                (134, 146, 0),
                ("mmol/L", "mmol/L"),
            ),
            measure(
                ("2823-3", "Potassium [Moles/volume] in Serum or Plasma"),
                (34, 52, 1),
                ("mmol/L", "mmol/L"),
            ),
        ],
    },
    Panel {
        loinc: "24331-1",
        name: "Lipid 1996 panel - Serum or Plasma",
        measures: &[
            measure(
                ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma"),
                (140, 260, 0),
                ("mg/dL", "mg/dL"),
            ),
            measure(
                (
                    "2085-9",
                    "Cholesterol in HDL [Mass/volume] in Serum or Plasma",
                ),
                (35, 80, 0),
                ("mg/dL", "mg/dL"),
            ),
            measure(
                (
                    "13457-7",
                    "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation",
                ),
                (60, 180, 0),
                ("mg/dL", "mg/dL"),
            ),
            measure(
                ("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma"),
                (60, 250, 0),
                ("mg/dL", "mg/dL"),
            ),
        ],
    },
    Panel {
        loinc: "58410-2",
        name: "CBC panel - Blood by Automated count",
        measures: &[
            measure(
                (
                    "6690-2",
                    "Leukocytes [#/volume] in Blood by Automated count",
                ),
                (380, 1120, 2),
                ("10*3/uL", "10*3/uL"),
            ),
            measure(
                ("718-7", "Hemoglobin [Mass/volume] in Blood"),
                (105, 172, 1),
                ("g/dL", "g/dL"),
            ),
            measure(
                ("777-3", "Platelets [#/volume] in Blood by Automated count"),
                (150, 410, 0),
                ("10*3/uL", "10*3/uL"),
            ),
        ],
    },
    Panel {
        loinc: "4548-4",
        name: "Hemoglobin A1c/Hemoglobin.total in Blood",
        measures: &[measure(
            ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
            (50, 94, 1),
            ("%", "%"),
        )],
    },
];
