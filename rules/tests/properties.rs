//! Random rows under random packs: what leaves is what the oracle says, to the byte.
//!
//! `CHARTWARD_CASES` scales how many; a failure prints seed and count of its draws, and
//! `CHARTWARD_DRAWS=seed,count` runs that case alone.

mod generate;
mod oracle;
mod support;

use std::collections::HashSet;

use generate::{Dice, TYPES};
use oracle::{Model, Oracle};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError};
use serde_json::Value;
use support::{Asked, ask_with, pack, subject};

fn config(cases: u32) -> Config {
    let scale: f64 = std::env::var("CHARTWARD_CASES")
        .ok()
        .map_or(1.0, |v| v.parse().expect("a number"));
    Config {
        cases: (f64::from(cases) * scale).ceil() as u32,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    }
}

/// A seed, and how many numbers come from it: fewer make a smaller case.
fn draws(most: usize) -> BoxedStrategy<(u64, usize)> {
    match std::env::var("CHARTWARD_DRAWS") {
        Ok(draws) => {
            let (seed, count) = draws.split_once(',').expect("seed,count");
            Just((
                seed.parse().expect("a seed"),
                count.parse().expect("a count"),
            ))
            .boxed()
        }
        Err(_) => (any::<u64>().no_shrink(), 0..most).boxed(),
    }
}

/// One to three of the pack's roles.
fn roles(dice: &mut Dice) -> Vec<String> {
    let all = ["a", "b", "c"];
    let first = dice.below(3);
    (0..1 + dice.below(3))
        .map(|i| all[(first + i) % 3].to_owned())
        .collect()
}

struct Case {
    model: Model,
    roles: Vec<String>,
    program: std::sync::Arc<chartward_rules::pack::Program>,
}

impl Case {
    fn draw(dice: &mut Dice) -> Self {
        let model = generate::model(dice);
        let roles = roles(dice);
        let program = pack(&model.toml());
        Self {
            model,
            roles,
            program,
        }
    }

    fn oracle(&self, can: &'static str) -> Oracle<'_> {
        Oracle::new(&self.model, &self.roles, can)
    }

    fn read(&self, t: &str, text: &str, piece: usize) -> Asked {
        let names: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        ask_with(
            &self.program,
            subject(&names),
            &format!("/{t}/r1"),
            text,
            piece,
        )
    }

    fn search(&self, t: &str, text: &str, piece: usize) -> Asked {
        let names: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        ask_with(
            &self.program,
            subject(&names),
            &format!("/{t}"),
            text,
            piece,
        )
    }
}

/// A row's type, from those that a role of the case can read.
fn row_type(dice: &mut Dice, case: &Case, can: &str) -> &'static str {
    let granted: Vec<&str> = TYPES
        .into_iter()
        .filter(|t| {
            case.model
                .roles
                .iter()
                .filter(|r| case.roles.contains(&r.name))
                .flat_map(|r| &r.grants)
                .any(|g| g.can.contains(&can) && g.on.iter().any(|on| on == t))
        })
        .collect();
    let all = if granted.is_empty() || dice.chance(3) {
        TYPES.to_vec()
    } else {
        granted
    };
    dice.pick(&all)
}

/// Every `mk…z` of a text, however it is escaped.
fn markers(text: &str) -> HashSet<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        plain.push_str(&rest[..at]);
        let unit = rest
            .get(at + 2..at + 6)
            .and_then(|h| u32::from_str_radix(h, 16).ok());
        match unit.and_then(char::from_u32) {
            Some(c) => plain.push(c),
            None => plain.push(' '),
        }
        rest = rest.get(at + 6..).unwrap_or("");
    }
    plain.push_str(rest);
    let mut out = HashSet::new();
    for (at, _) in plain.match_indices("mk") {
        let digits: String = plain[at + 2..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        out.insert(format!("mk{digits}z"));
    }
    out
}

fn check_row((seed, count): (u64, usize)) -> Result<(), TestCaseError> {
    let mut dice = Dice::seeded(seed, count);
    let case = Case::draw(&mut dice);
    let t = row_type(&mut dice, &case, "read");
    let drawn = generate::resource(&mut dice, t);
    let space = dice.pick(&[0, 10, 40]);
    let text = generate::render(&mut dice, &drawn, space);
    let text = text.trim();
    let row: Value = serde_json::from_str(text).expect("what was rendered");
    let toml = || format!("{}\nroles {:?}\n{text}", case.model.toml(), case.roles);
    let oracle = case.oracle("read");
    let expected = oracle.row(&row);
    let asked = case.read(t, text, usize::MAX);
    let body = match (asked, &expected) {
        (Asked::Leaves(body), Some(_)) => body,
        (Asked::Missing | Asked::Refused("not-granted", _), None) => return Ok(()),
        (other, expected) => {
            return Err(TestCaseError::fail(format!(
                "{other:?}\nexpected {}\n{}",
                expected.as_ref().map_or("nothing".into(), Value::to_string),
                toml()
            )));
        }
    };
    let expected = expected.expect("checked");
    let left: Value = serde_json::from_str(&body)
        .map_err(|e| TestCaseError::fail(format!("{e}: {body}\n{}", toml())))?;
    prop_assert_eq!(left.to_string(), expected.to_string(), "{}", toml());

    // nothing hidden is there, not even escaped; what is there is verbatim
    let shown = markers(&expected.to_string());
    let leaked: Vec<_> = markers(&body).difference(&shown).cloned().collect();
    prop_assert!(leaked.is_empty(), "{leaked:?} in {body}\n{}", toml());
    let (before, _) = generate::scalars(text);
    let before: HashSet<&str> = before.into_iter().collect();
    let (after, spaced) = generate::scalars(&body);
    let once = left.to_string();
    prop_assert_eq!(
        after.len(),
        generate::scalars(&once).0.len(),
        "a key twice: {}",
        body
    );
    let own = [
        "\"meta\"",
        "\"security\"",
        "\"system\"",
        "\"code\"",
        "\"REDACTED\"",
        "\"extension\"",
        "\"url\"",
        "\"valueCode\"",
        "\"masked\"",
        "null",
        "\"http://terminology.hl7.org/CodeSystem/v3-ObservationValue\"",
        "\"http://hl7.org/fhir/StructureDefinition/data-absent-reason\"",
    ];
    let marks = body.contains("data-absent-reason");
    for scalar in after {
        let known =
            before.contains(scalar) || own.contains(&scalar) || (marks && scalar.starts_with('"'));
        prop_assert!(known, "{scalar} is not verbatim\n{body}\n{}", toml());
    }
    let whole = oracle.is_whole(&row);
    let plain = row.to_string();
    // no resource inside, nor what stands where one should
    let alone = !["contained", "resource", "outcome"]
        .iter()
        .any(|key| plain.contains(&format!("\"{key}\":")));
    // a view that hides nothing leaves every byte, but for copies that references lose (D8)
    let same = serde_json::from_str::<Value>(&body).is_ok_and(|left| left == row);
    if whole && alone && same && !plain.contains("\"#c") {
        prop_assert_eq!(&body, text);
    }
    if !whole && alone {
        prop_assert!(!spaced, "white space in {body}\n{}", toml());
    }

    // however it is cut
    for piece in [1, 7, 64] {
        match case.read(t, text, piece) {
            Asked::Leaves(again) => prop_assert_eq!(&again, &body),
            other => {
                return Err(TestCaseError::fail(format!(
                    "{other:?} in pieces of {piece}"
                )));
            }
        }
    }

    // D7: what is hidden may be anything
    let mut changed = text.to_owned();
    for hidden in markers(text).difference(&shown) {
        changed = changed.replace(hidden, "other \\u00e9\\n\\\"}{][,:");
    }
    match case.read(t, &changed, usize::MAX) {
        Asked::Leaves(again) => prop_assert_eq!(&again, &body, "changed: {}\n{}", changed, toml()),
        other => {
            return Err(TestCaseError::fail(format!(
                "{other:?} for {changed}\n{}",
                toml()
            )));
        }
    }
    // or not there, where it doesn't decide
    if toml().contains("where =") {
        return Ok(());
    }
    let without = oracle.without_hidden(&row).expect("it leaves");
    let without = without.to_string();
    let (Asked::Leaves(plain), Asked::Leaves(stripped)) = (
        case.read(t, &plain, usize::MAX),
        case.read(t, &without, usize::MAX),
    ) else {
        return Err(TestCaseError::fail(format!(
            "without: {without}\n{}",
            toml()
        )));
    };
    prop_assert_eq!(plain, stripped, "without: {}\n{}", without, toml());
    Ok(())
}

fn check_bundle((seed, count): (u64, usize)) -> Result<(), TestCaseError> {
    let mut dice = Dice::seeded(seed, count);
    let case = Case::draw(&mut dice);
    let t = row_type(&mut dice, &case, "search");
    let mut rows = Vec::new();
    let mut text =
        String::from(r#"{"resourceType":"Bundle","type":"searchset","total":9,"entry":["#);
    for i in 0..1 + dice.below(4) {
        let kind = if dice.chance(15) {
            dice.pick(&TYPES)
        } else {
            t
        };
        let row = generate::resource(&mut dice, kind);
        let space = dice.pick(&[0, 20]);
        let rendered = generate::render(&mut dice, &row, space);
        if i > 0 {
            text.push(',');
        }
        text += &format!(r#" {{"search":{{"mode":"match"}}, "resource" :{rendered}}}"#);
        let row: Value = serde_json::from_str(&rendered).expect("what was rendered");
        if kind == t {
            rows.extend(case.oracle("search").row(&row));
        }
    }
    text += "]}";
    let toml = || format!("{}\nroles {:?}\n{text}", case.model.toml(), case.roles);
    let body = match case.search(t, &text, usize::MAX) {
        Asked::Leaves(body) => body,
        Asked::Refused("not-granted", _) if rows.is_empty() => return Ok(()),
        other => return Err(TestCaseError::fail(format!("{other:?}\n{}", toml()))),
    };
    let left: Value = serde_json::from_str(&body)
        .map_err(|e| TestCaseError::fail(format!("{e}: {body}\n{}", toml())))?;
    let left: Vec<String> = left["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|e| e["search"]["mode"] == "match")
        .map(|e| e["resource"].to_string())
        .collect();
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    prop_assert_eq!(left, rows, "{}", toml());
    for piece in [1, 3, 61, 500] {
        match case.search(t, &text, piece) {
            Asked::Leaves(again) => prop_assert_eq!(&again, &body),
            other => {
                return Err(TestCaseError::fail(format!(
                    "{other:?} in pieces of {piece}"
                )));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(4000))]
    #[test]
    fn rows_leave_as_the_oracle_says_and_tell_nothing_of_what_is_hidden(draws in draws(2500)) {
        check_row(draws)?;
    }
}

proptest! {
    #![proptest_config(config(1200))]
    #[test]
    fn search_sets_leave_as_the_oracle_says_however_they_are_cut(draws in draws(4000)) {
        check_bundle(draws)?;
    }
}
