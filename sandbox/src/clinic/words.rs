//! Names and places.

pub(crate) const WOMEN: &[&str] = &[
    "Ada", "Amara", "Beatriz", "Camille", "Chidinma", "Daniela", "Dorothy", "Eleni", "Fatima",
    "Grace", "Hana", "Ines", "Ingrid", "Joan", "Keiko", "Leila", "Lucía", "Margaret", "Mei",
    "Nadia", "Olga", "Priya", "Rosa", "Ruth", "Salome", "Siobhan", "Tamara", "Thandiwe", "Ursula",
    "Vera", "Wanda", "Ximena", "Yara", "Zoë",
];
pub(crate) const MEN: &[&str] = &[
    "Aaron", "Ahmed", "Anders", "Boris", "Carlos", "Cheng", "Dafydd", "David", "Emeka", "Felix",
    "George", "Hassan", "Hiroshi", "Ivan", "Jamal", "José", "Kofi", "Lars", "Liam", "Marek",
    "Miguel", "Nikhil", "Omar", "Pavel", "Quentin", "Ravi", "Samuel", "Tariq", "Theodore",
    "Umberto", "Victor", "Walter", "Yusuf", "Zachary",
];
pub(crate) const FAMILIES: &[&str] = &[
    "Abernathy",
    "Adeyemi",
    "Alvarez",
    "Andersson",
    "Baptiste",
    "Bergström",
    "Birdsong",
    "Castellano",
    "Chandra",
    "Dubois",
    "Eriksen",
    "Fairweather",
    "Ferreira",
    "Galbraith",
    "Greenleaf",
    "Hakimi",
    "Halloran",
    "Hawthorne",
    "Ibarra",
    "Ishikawa",
    "Jankowski",
    "Kaplan",
    "Kowalczyk",
    "Lindqvist",
    "Lockhart",
    "MacAllister",
    "Mbeki",
    "Middleton",
    "Moreau",
    "Nakagawa",
    "Nwosu",
    "Núñez",
    "O'Brien",
    "O'Donnell",
    "Okonkwo",
    "Pemberton",
    "Petrov",
    "Quigley",
    "Ramaswamy",
    "Rasmussen",
    "Redfeather",
    "Rosenthal",
    "Sandoval",
    "Sørensen",
    "Takahashi",
    "Thistlewood",
    "Tremblay",
    "Underhill",
    "Vasquez",
    "Vukovic",
    "Whitaker",
    "Winterbourne",
    "Xiong",
    "Yamamoto",
    "Yilmaz",
    "Zielinski",
];
pub(crate) const STREETS: &[&str] = &[
    "Alder Street",
    "Birch Lane",
    "Canal Road",
    "Chestnut Avenue",
    "Elm Court",
    "Harbor Drive",
    "Juniper Way",
    "Lantern Hill Road",
    "Maple Street",
    "Mill Pond Lane",
    "Orchard Avenue",
    "Quarry Road",
    "Riverside Drive",
    "Sycamore Street",
    "Willow Bend",
];
/// City, state, postal code.
pub(crate) const CITIES: &[(&str, &str, &str)] = &[
    ("Millbrook", "MA", "01099"),
    ("Easthaven", "MA", "02199"),
    ("Cedar Falls", "MA", "01599"),
    ("Northgate", "NH", "03699"),
    ("Stonebridge", "VT", "05999"),
];
/// Code, name in the CDC race and ethnicity code system.
pub(crate) const RACES: &[(&str, &str)] = &[
    ("2106-3", "White"),
    ("2054-5", "Black or African American"),
    ("2028-9", "Asian"),
    ("1002-5", "American Indian or Alaska Native"),
    ("2131-1", "Other Race"),
];
/// Code, name in `urn:ietf:bcp:47`.
pub(crate) const LANGUAGES: &[(&str, &str)] = &[
    ("en", "English"),
    ("en", "English"),
    ("en", "English"),
    ("es", "Spanish"),
    ("fr", "French"),
    ("zh", "Chinese"),
];
/// Code, name in v3-MaritalStatus.
pub(crate) const MARITAL: &[(&str, &str)] = &[
    ("M", "Married"),
    ("S", "Never Married"),
    ("D", "Divorced"),
    ("W", "Widowed"),
];
/// Code, name in v3-RoleCode: who to call.
pub(crate) const KIN: &[(&str, &str)] = &[
    ("SPS", "spouse"),
    ("MTH", "mother"),
    ("FTH", "father"),
    ("SIB", "sibling"),
    ("CHILD", "child"),
];
