//! Every way in which a pack can be wrong, and the line that says so.

mod grants;

use chartward_rules::pack::Program;
use chartward_rules::source::Source;

/// What is told of the texts, a line each; `t.toml:` goes without saying.
fn told(texts: &[&str]) -> Vec<String> {
    let named = |text: &&str| Source::new("t.toml", *text);
    let sources: Vec<Source> = texts.iter().map(named).collect();
    match Program::compile(&sources) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .iter()
            .map(|e| e.to_string().trim_start_matches("t.toml:").to_owned())
            .collect(),
    }
}

fn check(before: &str, cases: &[(&str, &[&str])], after: &str) {
    for (body, expected) in cases {
        let text = format!("{before}{body}\n{after}");
        assert_eq!(told(&[&text]), *expected, "{text}");
    }
}

const PACK: &str = "pack = \"t\"\nfhir = \"R4\"\n";
const ROLE: &str = "[[role]]\nname = \"r\"\n[[role.grant]]\non = \"Patient\"\ncan = \"read\"\n";

#[test]
fn of_a_whole_file() {
    check(
        "",
        &[
            (
                r#"pack = "t"#,
                &[r#"1:10: error: invalid basic string, expected `"`"#],
            ),
            (
                "",
                &[
                    "1:1: error: missing key `pack`",
                    "1:1: error: missing key `fhir`",
                    "1:1: error: missing key `role` (write `[[role]]`)",
                ],
            ),
            (
                r#"pack = "t"
fhir = "R4""#,
                &["1:1: error: missing key `role` (write `[[role]]`)"],
            ),
            (
                r#"pack = ""
fhir = "R4"
role = []"#,
                &["1:8: error: `pack` is empty", "3:8: error: `role` is empty"],
            ),
            (
                r#"pack = "t"
fhir = "R4"
[role]
name = "r""#,
                &[
                    "3:1: error: `role` must be an array of tables, found a table (write `[[role]]`)",
                ],
            ),
            (
                r#"pack = 1
fhir = "R5"
[[role]]
name = "r"
[[role.grant]]
on = "Patient"
can = "read""#,
                &[
                    "1:8: error: `pack` must be a string, found an integer",
                    r#"2:8: error: this version reads FHIR `R4` only (write `fhir = "R4"`)"#,
                ],
            ),
        ],
        "",
    );
    assert_eq!(told(&[&format!("{PACK}{ROLE}")]), [""; 0]);
}

#[test]
fn at_the_top_of_a_pack() {
    check(
        PACK,
        &[
            (
                r#"fihr = "R4""#,
                &["3:1: error: unknown key `fihr` (did you mean `fhir`?)"],
            ),
            (
                r#"extensions = "http://x""#,
                &["3:14: error: `extensions` must be a list of strings, found a string"],
            ),
            (
                r#"[types]
scheduling = ["Appointment", "Slto"]"#,
                &["4:30: error: `Slto` is not a type of FHIR R4 (did you mean `Slot`?)"],
            ),
            (
                r#"[types]
a = ["Slot"]
b = ["a"]"#,
                &[
                    "5:6: error: `a` is not a type of FHIR R4 (a set can't hold a set: list its types)",
                ],
            ),
            (
                r#"[types]
Patient = ["Slot"]"#,
                &["4:1: error: `Patient` is a type of FHIR; a set needs another name"],
            ),
            (
                "[types]
a = []",
                &["4:5: error: `a` is empty"],
            ),
            (
                "[types]
a = 1",
                &["4:5: error: `a` must be a string or a list of strings, found an integer"],
            ),
            ("[sensitive.x]", &["3:1: error: missing key `labels`"]),
            (
                "[sensitive.x]
labels = []",
                &["4:10: error: `labels` is empty"],
            ),
            (
                r#"[sensitive.x]
labels = ["http://x|", "a b", "|c"]"#,
                &[
                    "4:11: error: `http://x|` is neither a code nor `system|code`",
                    "4:24: error: `a b` is neither a code nor `system|code`",
                    "4:31: error: `|c` is neither a code nor `system|code`",
                ],
            ),
            (
                r#"[sensitive.PSY]
labels = ["MH"]"#,
                &[
                    "3:12: error: `PSY` is a sensitivity code; a class of that name must have it among its labels",
                ],
            ),
            (
                r#"[sensitive."*"]
labels = ["MH"]"#,
                &["3:12: error: `*` stands for every class and can't name one"],
            ),
            (
                r#"[sensitive]
x = ["MH"]"#,
                &["4:5: error: `x` must be a table, found a list"],
            ),
            (
                r#"[sensitive.x]
labels = ["A"]
codes = ["B"]"#,
                &["5:1: error: `codes` is not enforced by this version; remove it"],
            ),
            (
                r#"[sensitive.x]
labels = ["A"]
types = ["B"]"#,
                &["5:1: error: `types` is not enforced by this version; remove it"],
            ),
            (
                r#"[sensitive.x]
labels = ["A"]
patients = ["B"]"#,
                &["5:1: error: `patients` is not enforced by this version; remove it"],
            ),
        ],
        ROLE,
    );
}

#[test]
fn of_a_role() {
    check(
        &format!("{PACK}[[role]]\n"),
        &[
            (
                r#"name = "a""#,
                &["3:1: error: missing key `grant` (write `[[role.grant]]`)"],
            ),
            (
                r#"[[role.grant]]
on = "Patient"
can = "read""#,
                &["3:1: error: missing key `name`"],
            ),
            (
                r#"nmae = "a"
[[role.grant]]
on = "Patient"
can = "read""#,
                &[
                    "3:1: error: missing key `name`",
                    "4:1: error: unknown key `nmae` (did you mean `name`?)",
                ],
            ),
            (
                r#"name = "a"
purposes = []
[[role.grant]]
on = "Patient"
can = "read""#,
                &["5:12: error: `purposes` is empty"],
            ),
            (
                r#"name = "a"
purposes = ["TREET", "care", "BTG"]
[[role.grant]]
on = "Patient"
can = "read""#,
                &[
                    "5:13: error: unknown purpose of use `TREET` (did you mean `TREAT`?)",
                    "5:22: error: unknown purpose of use `care` (one of `TREAT`, `COC`, `ETREAT`, `ERTREAT`, `HPAYMT`, `HOPERAT`, `HRESCH`, `PATRQT`, `PUBHLTH`)",
                    "5:30: error: break-glass is not enforced by this version; remove `BTG`",
                ],
            ),
            (
                r#"name = "a"
about = true
[[role.grant]]
on = "Patient"
can = "read""#,
                &["5:9: error: `about` must be a string, found a boolean"],
            ),
        ],
        "",
    );
}

/// Keys that the plan has and this version doesn't enforce: never ignored.
#[test]
fn keys_that_are_not_enforced_yet() {
    let no = |place: &str, key: &str| {
        [format!(
            "{place}: error: `{key}` is not enforced by this version; remove it"
        )]
    };
    for key in [
        "relationship",
        "break_glass",
        "elevation",
        "separate",
        "operations",
        "mode",
    ] {
        for (text, place) in [
            (format!("[{key}.x]\ny = 1\n"), "3:2"),
            (format!("[[{key}]]\ny = 1\n"), "3:3"),
        ] {
            assert_eq!(told(&[&format!("{PACK}{text}{ROLE}")]), no(place, key));
        }
    }
    for key in [
        "find_by",
        "hours",
        "from",
        "require",
        "mask",
        "operations",
        "mode",
        "message",
        "fallback",
    ] {
        let role = ROLE.replacen("name", &format!("{key} = \"x\"\nname"), 1);
        assert_eq!(told(&[&format!("{PACK}{role}")]), no("4:1", key));
    }
    for key in [
        "when",
        "step_up",
        "view",
        "mask",
        "find_by",
        "hours",
        "from",
        "require",
        "operations",
        "mode",
        "refer",
        "authority",
    ] {
        assert_eq!(
            told(&[&format!("{PACK}{ROLE}{key} = [\"x\"]\n")]),
            no("8:1", key)
        );
    }
}

/// Errors of all kinds and of all files come at once, in the order of the text.
#[test]
fn everything_wrong_is_told_at_once() {
    let text = r#"pack = "t"
fhir = "R4"
colour = "blue"
[types]
visits = ["Encountr"]
[[role]]
name = "a"
purposes = ["TREET"]
[[role.grant]]
on = "visits"
can = "raed"
[[role.grant]]
on = "Patient"
can = "read"
hide = ["birthdate"]
where = "activ=true"
when = ["care-team"]
"#;
    assert_eq!(
        told(&[text]),
        [
            "3:1: error: unknown key `colour`",
            "5:11: error: `Encountr` is not a type of FHIR R4 (did you mean `Encounter`?)",
            "8:13: error: unknown purpose of use `TREET` (did you mean `TREAT`?)",
            "11:7: error: unknown interaction `raed` (did you mean `read`?)",
            "15:9: error: `Patient` has no element `birthdate` (did you mean `birthDate`?)",
            "16:9: error: `Patient` has no search parameter `activ` (did you mean `active`?)",
            "17:1: error: `when` is not enforced by this version; remove it",
        ]
    );
}

/// The packs of one service share their names.
#[test]
fn of_several_packs_together() {
    let pack = |name: &str, rest: &str| format!("pack = \"{name}\"\nfhir = \"R4\"\n{rest}{ROLE}");
    let other = ROLE.replace("name = \"r\"", "name = \"s\"");
    assert_eq!(
        told(&[&pack("a", ""), &pack("b", "")]),
        ["4:8: error: the role `r` is there twice"]
    );
    assert_eq!(
        told(&[
            &pack("a", ""),
            &format!("pack = \"a\"\nfhir = \"R4\"\n{other}")
        ]),
        ["1:8: error: the pack `a` is there twice"]
    );
    let class = "[sensitive.x]\nlabels = [\"MH\"]\n";
    assert_eq!(
        told(&[
            &pack("a", class),
            &format!("pack = \"b\"\nfhir = \"R4\"\n{class}{other}")
        ]),
        ["3:12: error: the class `x` is there twice"]
    );
}

#[test]
fn more_than_can_be_told_apart() {
    let grants = "[[role.grant]]\non = \"Patient\"\ncan = \"read\"\n".repeat(129);
    assert_eq!(
        told(&[&format!("{PACK}[[role]]\nname = \"r\"\n{grants}")]),
        ["1:8: error: `Patient` has 129 grants; at most 128 of one type can be told apart"]
    );
    let classes: String = (0..112)
        .map(|i| format!("[sensitive.c{i}]\nlabels = [\"L{i}\"]\n"))
        .collect();
    assert_eq!(
        told(&[&format!("{PACK}{classes}{ROLE}")]),
        ["225:12: error: there are more than 111 classes"]
    );
}
