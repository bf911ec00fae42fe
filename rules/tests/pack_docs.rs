//! The examples of docs/pack.md are packs of this version, and its lists are complete.

use chartward_rules::pack::Program;
use chartward_rules::source::{Source, read};

const PAGE: &str = include_str!("../../docs/pack.md");
const HEAD: &str = "pack = \"x\"\nfhir = \"R4\"\n";

fn examples() -> Vec<&'static str> {
    PAGE.split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect()
}

#[test]
fn every_example_compiles() {
    let mut fragments = 0;
    for example in examples() {
        let text = if example.starts_with("[[role.grant]]") {
            fragments += 1;
            format!("{HEAD}[[role]]\nname = \"r\"\n{example}")
        } else {
            example.to_owned()
        };
        if let Err(errors) = Program::compile(&[Source::new("docs/pack.md", text)]) {
            panic!("{}", errors.render());
        }
    }
    assert!(fragments >= 3 && examples().len() > fragments);
}

/// What the page says isn't enforced is told as that, at every place it can stand.
#[test]
fn what_is_called_not_enforced_is_an_error() {
    let (_, list) = PAGE.split_once("## Not enforced yet").expect("a heading");
    let keys = list
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let mut checked = 0;
    for key in keys.filter(|key| *key != "can") {
        let grant = "[[role.grant]]\non = \"Patient\"\ncan = \"read\"\n";
        let role = format!("[[role]]\nname = \"r\"\n{grant}");
        let texts = [
            format!("{HEAD}{key} = [\"x\"]\n{role}"),
            format!(
                "{HEAD}{}",
                role.replace("name", &format!("{key} = [\"x\"]\nname"))
            ),
            format!("{HEAD}{role}{key} = [\"x\"]\n"),
            format!("{HEAD}[sensitive.c]\nlabels = [\"A\"]\n{key} = [\"x\"]\n{role}"),
            format!("{HEAD}{}", role.replace("\"read\"", &format!("\"{key}\""))),
        ];
        let told = texts.iter().any(|text| {
            let errors = Program::compile(&[Source::new("t", text.as_str())]).expect_err(key);
            let wanted = format!("`{key}` is not enforced by this version; remove it");
            errors.iter().any(|error| error.message == wanted)
        });
        assert!(told, "`{key}`");
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

/// Every key that a pack may have is on the page.
#[test]
fn no_key_is_left_out() {
    let pack = include_str!("../packs/outpatient.toml");
    let outcome = read(&Source::new("t", pack), |_| None::<()>);
    for key in outcome.schema.present.iter().chain(
        [
            "name",
            "about",
            "purposes",
            "on",
            "can",
            "show",
            "hide",
            "where",
            "sensitive",
            "labels",
        ]
        .map(str::to_owned)
        .iter(),
    ) {
        let quoted = [format!("`{key}`"), format!("`[{key}"), format!("`[[{key}")];
        assert!(quoted.iter().any(|q| PAGE.contains(q)), "`{key}`");
    }
}
