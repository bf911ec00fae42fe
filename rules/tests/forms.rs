//! Rows of one form after each other: each leaves as it would alone, byte for byte, with the same
//! record, or is refused as it would be alone.
//!
//! `CHARTWARD_CASES` scales how many; a failure prints seed and count of its draws, and
//! `CHARTWARD_DRAWS=seed,count` runs that case alone.

mod generate;
mod oracle;
mod support;

use generate::{Dice, TYPES};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use serde_json::Value;
use support::{Asked, DISCLOSED, ask, ask_bytes, ask_with, pack, subject};

/// What may stand where a string stood.
const TEXTS: [&str; 24] = [
    r#""""#,
    r#""x""#,
    r#""r2""#,
    r#""final""#,
    r#""PSY""#,
    r#""R""#,
    r#""é""#,
    r#""\u00e9\n""#,
    r#""a \"quoted\" and longer text, \\ with { all } [ of ] , them : in it""#,
    r##""#""##,
    r##""#c1""##,
    r#""Patient/p1""#,
    r#""Patient/p2""#,
    r#""Patient/""#,
    r#""Patient\/p3""#,
    r#""Patient/\u0070""#,
    r#""Patient?x=Patient/1""#,
    r#""Patient/1/_history/2""#,
    r#""Practitioner/d1""#,
    r#""https://x/fhir/Patient/7""#,
    r#""urn:uuid:5f66ecbb""#,
    r#""http://x/race""#,
    r#""http://x/other""#,
    r#""Observation""#,
];

const NUMBERS: [&str; 8] = ["0", "-1", "12", "120", "1.50", "1E400", "true", "false"];

/// What changes the form.
const OTHERS: [&str; 7] = [
    "null",
    "12",
    "{}",
    "[]",
    r#""y""#,
    r#"{"id":"z"}"#,
    "[null]",
];

/// What no row may have. (Keys twice are looked for only where the view goes.)
const BROKEN: [&str; 7] = [
    "01",
    "nul",
    r#""\x""#,
    r#""\ud800""#,
    "\"a\nb\"",
    "[1,]",
    "\"unfinished",
];

/// `text` with other values in `share` of a hundred places, few of them of another kind.
fn alike(dice: &mut Dice, text: &str, share: usize, broken: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    let (scalars, _) = generate::scalars(text);
    for scalar in scalars {
        let at = rest.find(scalar).expect("in order");
        out.push_str(&rest[..at]);
        rest = &rest[at + scalar.len()..];
        let key = scalar.starts_with('"') && rest.trim_start().starts_with(':');
        if !dice.chance(share) || (key && !dice.chance(1)) {
            out.push_str(scalar);
            continue;
        }
        if key {
            out += &format!(r#""other{}""#, out.len());
        } else if broken && dice.chance(5) {
            out.push_str(dice.pick(&BROKEN));
        } else if dice.chance(1) {
            out.push_str(dice.pick(&OTHERS));
        } else if scalar.starts_with('"') {
            // sometimes the same beginning
            match dice.chance(30) {
                true => out += &format!(r#"{}9""#, &scalar[..scalar.len() - 1]),
                false => out.push_str(dice.pick(&TEXTS)),
            }
        } else if scalar == "null" {
            out.push_str(scalar);
        } else {
            match dice.chance(30) && scalar.ends_with(|c: char| c.is_ascii_digit()) {
                true => out += &format!("{scalar}.5"),
                false => out.push_str(dice.pick(&NUMBERS)),
            }
        }
    }
    out + rest
}

fn bundle(rows: &[String]) -> String {
    let entries: Vec<String> = rows
        .iter()
        .map(|row| format!(r#"{{"resource":{row},"search":{{"mode":"match"}}}}"#))
        .collect();
    format!(
        r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#,
        entries.join(",")
    )
}

/// The entries of an answer as they stand there, and what its record names; or what else it was.
fn entries(asked: Asked) -> Result<(String, Vec<Value>), String> {
    let Asked::Leaves(body) = asked else {
        return Err(format!("{asked:?}"));
    };
    let end = body.rfind(r#","link":[{"relation":"self""#);
    let body = &body[..end.expect("a link")];
    let entries = body
        .split_once(r#","entry":["#)
        .map_or("", |(_, rest)| &rest[..rest.len() - 1]);
    let disclosed = DISCLOSED.with_borrow(|all| {
        let rows = all.iter().map(|one| one["resources"].clone());
        rows.flat_map(|rows| rows.as_array().cloned().unwrap_or_default())
            .collect()
    });
    Ok((entries.to_owned(), disclosed))
}

/// Where the two begin to differ.
fn difference<E: std::fmt::Debug>(
    one: &Result<(String, Vec<Value>), E>,
    two: &Result<(String, Vec<Value>), E>,
) -> String {
    let (Ok((one, its)), Ok((two, others))) = (one, two) else {
        return format!("together {one:?}\nalone {two:?}");
    };
    let pairs = one.bytes().zip(two.bytes());
    let at = pairs.take_while(|(x, y)| x == y).count();
    let around = |text: &str| {
        let bytes = text.as_bytes();
        let to = bytes.len().min(at + 100);
        String::from_utf8_lossy(&bytes[at.saturating_sub(300)..to]).into_owned()
    };
    format!(
        "together …{}…\nalone …{}…\nrecords {}",
        around(one),
        around(two),
        match its == others {
            true => "the same".to_owned(),
            false => format!("{its:?}\n{others:?}"),
        }
    )
}

fn check((seed, count): (u64, usize)) -> Result<(), TestCaseError> {
    let mut dice = Dice::seeded(seed, count);
    let model = generate::model(&mut dice);
    let program = pack(&model.toml());
    let names: Vec<&str> = ["a", "b", "c"][..1 + dice.below(3)].to_vec();
    let granted = |name: &&&str| {
        let of = |role: &&oracle::Role| names.contains(&&*role.name);
        let grants = model.roles.iter().filter(of).flat_map(|role| &role.grants);
        grants
            .into_iter()
            .any(|g| g.can.contains(&"search") && g.on.iter().any(|on| on == **name))
    };
    let types: Vec<&str> = TYPES.iter().filter(granted).copied().collect();
    if types.is_empty() {
        return Ok(());
    }
    let t = dice.pick(&types);
    let broken = dice.chance(10);
    let share = dice.pick(&[2, 10, 30]);
    let mut rows = Vec::new();
    for _ in 0..1 + dice.below(3) {
        let drawn = generate::resource(&mut dice, t);
        let space = dice.pick(&[0, 0, 20]);
        let text = generate::render(&mut dice, &drawn, space);
        rows.push(text.trim().to_owned());
    }
    let forms = rows.len();
    for _ in 0..4 + dice.below(12) {
        let of = dice.below(forms);
        let row = alike(&mut dice, &rows[of].clone(), share, broken);
        rows.push(row);
    }
    let search = |rows: &[String], piece: usize| {
        let target = format!("/{t}");
        entries(ask_with(
            &program,
            subject(&names),
            &target,
            &bundle(rows),
            piece,
        ))
    };
    let (notice, _) = search(&[], usize::MAX).expect("nothing to refuse");
    let mut expected = Ok((vec![notice.clone()], Vec::new()));
    for row in &rows {
        let alone = search(std::slice::from_ref(row), usize::MAX);
        let (Ok((all, disclosed)), Ok((one, its))) = (&mut expected, alone) else {
            expected = Err(());
            break;
        };
        all.push(one[notice.len()..].trim_start_matches(',').to_owned());
        disclosed.extend(its);
    }
    let expected = expected.map(|(mut all, disclosed)| {
        all.retain(|one| !one.is_empty());
        (all.join(","), disclosed)
    });
    for piece in [usize::MAX, 1000, 17] {
        let together = search(&rows, piece).map_err(|_| ());
        prop_assert!(
            together == expected,
            "in pieces of {piece}\n{}\nroles {names:?} of {t}\n{}",
            model.toml(),
            difference(&together, &expected)
        );
    }
    Ok(())
}

/// A seed, and how many numbers come from it.
fn draws() -> BoxedStrategy<(u64, usize)> {
    match std::env::var("CHARTWARD_DRAWS") {
        Ok(draws) => {
            let (seed, count) = draws.split_once(',').expect("seed,count");
            let number = |text: &str| text.parse::<u64>().expect("a number");
            Just((number(seed), number(count) as usize)).boxed()
        }
        Err(_) => (any::<u64>().no_shrink(), 0..20_000usize).boxed(),
    }
}

proptest! {
    #![proptest_config(Config {
        cases: std::env::var("CHARTWARD_CASES")
            .map_or(500, |v| (500.0 * v.parse::<f64>().expect("a number")).ceil() as u32),
        failure_persistence: None,
        ..Config::default()
    })]
    #[test]
    fn rows_of_one_form_leave_as_each_would_alone(draws in draws()) {
        check(draws)?;
    }
}

const PACK: &str = r#"
pack = "forms"
fhir = "R4"
extensions = ["http://x/listed"]
[[role]]
name = "some"
purposes = ["TREAT"]
  [[role.grant]]
  on = "Observation"
  can = "search"
  hide = ["Observation.note"]
  [[role.grant]]
  on = "Patient"
  can = ["read", "search"]
"#;

/// Rows with the same keys, of which `$` is one value each: all that leaves of that value.
fn left(row: &str, values: &[&str]) -> Vec<bool> {
    let program = pack(PACK);
    let rows: Vec<String> = (values.iter().enumerate())
        .map(|(i, value)| {
            let row = row.replace('$', value);
            format!(r#"{{"resourceType":"Observation","id":"o{i}",{row}}}"#)
        })
        .collect();
    let Asked::Leaves(body) = ask(&program, "some", "/Observation", &bundle(&rows)) else {
        panic!("refused");
    };
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let entries = body["entry"].as_array().expect("entries");
    let left = entries.iter().filter(|e| e["search"]["mode"] == "match");
    let left: Vec<bool> = left.map(|e| e.to_string().contains("secret")).collect();
    assert_eq!(left.len(), values.len());
    left
}

#[test]
fn what_a_value_decides_is_decided_anew_in_each_row_of_a_form() {
    // display stays where the role shows what is pointed to, all of it: Patients, no others
    let subject = r#""subject":{"reference":"$","display":"secret"}"#;
    let references = [
        "Patient/1",
        "Patient/2",
        "Group/2",
        "Patient/3/_history/1",
        "Group/3/_history/1",
        "Patient?x=/1",
        "Patient/4",
        "Patient/",
        "Group\\/4",
        "#",
        "urn:uuid:1",
        "Patient/\\u0034",
        "Patient/5",
    ];
    let stays = [
        true, true, false, true, false, false, true, false, false, false, false, true, true,
    ];
    assert_eq!(left(subject, &references), stays);
    let declared = r#""subject":{"type":"$","display":"secret"}"#;
    let types = ["Patient", "Patient", "Group", "Patient"];
    assert_eq!(left(declared, &types), [true, true, false, true]);
    let extension = r#""extension":[{"url":"$","valueString":"secret"}]"#;
    let urls = ["http://x/listed", "http://x/listed", "http://x/other"];
    assert_eq!(left(extension, &urls), [true, true, false]);
}

#[test]
fn later_rows_of_a_form_are_refused_as_the_first_would_be() {
    let program = pack(PACK);
    let fault = |value: &[u8]| {
        let row = |value: &[u8]| {
            let before = br#"{"resourceType":"Observation","id":"o1","valueString":"#;
            [
                before,
                value,
                br#","valueInteger":12,"component":[{"id":"a"}]}"#,
            ]
            .concat()
        };
        let rows = [
            row(b"\"one\""),
            row(b"\"two\""),
            row(value),
            row(b"\"one\""),
        ];
        let entry = |row: &Vec<u8>| [br#"{"resource":"#, &row[..], b"}"].concat();
        let rows: Vec<_> = rows.iter().map(entry).collect();
        let open = br#"{"resourceType":"Bundle","type":"searchset","entry":["#;
        let bundle = [open, &rows.join(&b","[..])[..], b"]}"].concat();
        match ask_bytes(
            &program,
            subject(&["some"]),
            "/Observation",
            &bundle,
            usize::MAX,
        ) {
            Asked::Fault(fault) => Some(fault),
            _ => None,
        }
    };
    assert_eq!(fault(b"\"fine\""), None);
    for (value, what) in [
        (&b"\"\xff\""[..], "not utf-8"),
        (b"\"two\xc3\"", "not utf-8"),
        (b"\"\\ud800\"", "lone surrogate"),
        (b"\"o\\x\"", "unknown escape"),
        (b"\"o\n\"", "control character"),
        (b"01", "malformed number"),
        (b"\"one\",\"valueString\":\"two\"", "duplicate key"),
        (b"\"one\",\"valueInteger\":13", "duplicate key"),
        (b"\"one\"]", "unexpected character"),
    ] {
        let fault = fault(value).unwrap_or_default();
        assert!(fault.contains(what), "{what}: {fault}");
    }
}
