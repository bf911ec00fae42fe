//! Of grants, their element paths and their conditions.

use super::{PACK, ROLE, check, told};

#[test]
fn of_a_grant() {
    check(
        &format!("{PACK}[[role]]\nname = \"r\"\n[[role.grant]]\n"),
        &[
            (
                "",
                &[
                    "5:1: error: missing key `on`",
                    "5:1: error: missing key `can`",
                ],
            ),
            (
                "on = []
can = []",
                &["6:6: error: `on` is empty", "7:7: error: `can` is empty"],
            ),
            (
                r#"on = "Patient"
can = "read"
wehre = "active=true""#,
                &["8:1: error: unknown key `wehre` (did you mean `where`?)"],
            ),
            (
                r#"on = ["Patiemt", "Xyzzy"]
can = "read"
show = ["name"]"#,
                &[
                    "6:7: error: `Patiemt` is neither a type nor a set in `[types]` (did you mean `Patient`?)",
                    "6:18: error: `Xyzzy` is neither a type nor a set in `[types]`",
                ],
            ),
            (
                r#"on = ["Patient", "Patient"]
can = "read""#,
                &["6:18: error: `Patient` is in `on` twice"],
            ),
            (
                r#"on = "Patient"
can = ["serach", "write"]"#,
                &[
                    "7:8: error: unknown interaction `serach` (did you mean `search`?)",
                    "7:18: error: unknown interaction `write` (one of `read`, `search`, `history`, `create`, `update`, `patch`, `delete`)",
                ],
            ),
            (
                r#"on = "Patient"
can = "read"
sensitive = ["restrictd", "R", "PSYY", "blue"]"#,
                &[
                    "8:14: error: unknown class `restrictd` (did you mean `restricted`?)",
                    "8:27: error: unknown class `R` (it is a label of the class `restricted`: name the class)",
                    "8:32: error: unknown class `PSYY` (did you mean `PSY`?)",
                    "8:40: error: unknown class `blue` (define it as `[sensitive.blue]` with its `labels`)",
                ],
            ),
            (
                r#"on = "Patient"
can = "read"
show = ["name"]
hide = ["telecom"]"#,
                &["8:8: error: a grant has either `show` or `hide`, not both (keep one of them)"],
            ),
            (
                r#"on = "Patient"
can = "read"
show = []"#,
                &["8:8: error: `show` is empty"],
            ),
            (
                r#"on = ["Patient", "Slot", "Schedule"]
can = "read"
show = ["Patient.name"]"#,
                &[
                    "8:8: error: `show` names nothing of `Slot`, `Schedule` (grant apart what is shown whole, or take the type out of `on`)",
                ],
            ),
        ],
        "",
    );
}

#[test]
fn of_an_element_path() {
    for (path, expected) in [
        (
            "birthdate",
            "`Patient` has no element `birthdate` (did you mean `birthDate`?)",
        ),
        (
            "contact.nam",
            "`Patient.contact` has no element `nam` (did you mean `name`?)",
        ),
        (
            "contact.name.famly",
            "`Patient.contact.name` has no element `famly` (did you mean `family`?)",
        ),
        (
            "birthDate[x]",
            "`Patient` has no element `birthDate[x]` (did you mean `birthDate`?)",
        ),
        (
            "birthDate.year",
            "`Patient.birthDate` has nothing inside (write `Patient.birthDate`)",
        ),
        ("Observation.code", "`Observation` is not in `on`"),
        (
            "Patien.name",
            "unknown type `Patien` (did you mean `Patient`?)",
        ),
        (
            "Patient",
            "`Patient` names no element (write `Patient.name`, say)",
        ),
        (
            "Patient.",
            "`Patient.` names no element (write `Patient.name`, say)",
        ),
        (
            "name.",
            "a name is missing after `Patient.name.` in `name.`",
        ),
        (
            "name..family",
            "a name is missing after `Patient.name.` in `name..family`",
        ),
        (
            "contained.id",
            "what is inside `Patient.contained` can't be listed here (each resource in it leaves under the grants of its own type)",
        ),
        (
            "*.note",
            "wildcards such as `*.note` are not enforced by this version (name each element)",
        ),
        (
            "contact.*",
            "wildcards such as `contact.*` are not enforced by this version (name each element)",
        ),
        (
            "identifier where system = 'x'",
            "slices such as `identifier where system = 'x'` are not enforced by this version (name the whole element)",
        ),
        (
            "identifier[*].value",
            "slices such as `identifier[*].value` are not enforced by this version (name the whole element)",
        ),
        (
            "identifier[0]",
            "slices such as `identifier[0]` are not enforced by this version (name the whole element)",
        ),
        (
            "_birthDate",
            "`Patient` has no element `_birthDate` (did you mean `birthDate`?)",
        ),
        ("resourceType", "`Patient` has no element `resourceType`"),
    ] {
        let text = format!("{PACK}{ROLE}hide = [\"{path}\"]\n");
        assert_eq!(
            told(&[&text]),
            [format!("8:9: error: {expected}")],
            "{path}"
        );
    }
    check(
        &format!("{PACK}[[role]]\nname = \"r\"\n[[role.grant]]\n"),
        &[
            (
                r#"on = "Observation"
can = "read"
hide = ["valueQuantity", "value[x].cod", "component.valueString"]"#,
                &[
                    "8:9: error: `Observation` has no element `valueQuantity` (write the choice by its stem: `value[x]`)",
                    "8:26: error: `Observation.value[x]` has no element `cod` (did you mean `code`?)",
                    "8:42: error: `Observation.component` has no element `valueString` (write the choice by its stem: `value[x]`)",
                ],
            ),
            (
                r#"on = ["Patient", "Observation"]
can = "read"
hide = ["code"]"#,
                &[
                    "8:9: error: `code` doesn't say of which type (`on` names several types: write `Type.code`)",
                ],
            ),
            (
                r#"on = "Patient"
can = "read"
show = ["text", "name.extension", "modifierExtension"]"#,
                &[
                    "8:9: error: a view that hides something can't show narrative (narrative repeats what other elements say; grant the type without `show` to keep it)",
                    "8:17: error: extensions are kept by their URL (list the URLs to keep in the pack's `extensions`)",
                    "8:35: error: extensions are kept by their URL (list the URLs to keep in the pack's `extensions`)",
                ],
            ),
            (
                r#"on = "Patient"
can = "read"
hide = ["id", "meta", "meta.versionId", "meta.lastUpdated"]"#,
                &[
                    "8:9: error: `id` is always shown",
                    "8:15: error: `meta` can't be hidden whole: version and time are always shown (name what of it to hide, as in `meta.tag`)",
                    "8:23: error: `meta.versionId` is always shown",
                    "8:41: error: `meta.lastUpdated` is always shown",
                ],
            ),
        ],
        "",
    );
}

#[test]
fn of_a_condition() {
    for (of, condition, expected) in [
        (
            "Condition",
            "categry=x",
            "`Condition` has no search parameter `categry` (did you mean `category`?)",
        ),
        (
            "Patient",
            "birthdate=1970",
            "`birthdate` of `Patient` is not a token parameter; `where` takes no others in this version",
        ),
        (
            "Condition",
            "category:not=x",
            "`category:not`: modifiers and chains are not allowed in `where`",
        ),
        (
            "Condition",
            "patient.name=x",
            "`patient.name`: modifiers and chains are not allowed in `where`",
        ),
        (
            "ServiceRequest",
            "status=http://x|active",
            "`status` of `ServiceRequest` has no system (write the code alone, without `|`)",
        ),
        (
            "Patient",
            "email=x",
            "`email` of `Patient` can't be evaluated on rows by this version",
        ),
        (
            "Patient",
            "deceased=true",
            "`deceased` of `Patient` can't be evaluated on rows by this version",
        ),
        ("ServiceRequest", "status=", "`status` has an empty value"),
        (
            "ServiceRequest",
            "status=a,,b",
            "`status` has an empty value",
        ),
        (
            "Condition",
            "category=a|b|c",
            "`category` has more than one `|` in a value",
        ),
        (
            "Condition",
            "category",
            "`category` is not a condition (write `parameter=value`, as in `status=active`)",
        ),
        (
            "Condition",
            "category=a&",
            "a condition is missing beside `&` (write `parameter=value`, as in `status=active`)",
        ),
    ] {
        let role = ROLE.replace("Patient", of);
        let text = format!("{PACK}{role}where = \"{condition}\"\n");
        assert_eq!(
            told(&[&text]),
            [format!("8:9: error: {expected}")],
            "{condition}"
        );
    }
    check(
        &format!("{PACK}[[role]]\nname = \"r\"\n[[role.grant]]\n"),
        &[
            (
                r#"on = "Condition"
can = "read"
where = "category=a\\""#,
                &[r#"8:9: error: `category` ends in a lone `\`"#],
            ),
            (
                r#"on = ["Patient", "ServiceRequest", "Condition"]
can = "read"
where = ["status=active", "category:not=x"]"#,
                &[
                    "8:10: error: `Patient` has no search parameter `status`",
                    "8:10: error: `Condition` has no search parameter `status`",
                    "8:27: error: `category:not`: modifiers and chains are not allowed in `where`",
                ],
            ),
            (
                r#"on = "Patient"
can = "read"
where = 1"#,
                &["8:9: error: `where` must be a string or a list of strings, found an integer"],
            ),
        ],
        "",
    );
}
