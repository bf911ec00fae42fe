//! What the reader promises, on small texts.

use std::time::Duration;

use super::*;

/// The lines of all findings of `body` on `text`, and its value.
fn check<T>(
    text: &str,
    body: impl FnOnce(&mut Table<'_>) -> Option<T>,
) -> (Option<T>, Vec<String>) {
    let outcome = read(&Source::new("x.toml", text), body);
    let lines = outcome.diagnostics.iter().map(|d| d.to_string()).collect();
    (outcome.value, lines)
}

#[test]
fn values_come_with_their_spans() {
    let text =
        "s = 'é'\nn = 0x10\nb = true\nd = \"15m\"\nz = \"4MiB\"\nl = ['a', 'b']\none = 'x'\n";
    let (value, lines) = check(text, |t| {
        assert_eq!(t.required_str("s")?.value, "é");
        assert_eq!(t.integer("n", 0..=16)?.value, 16);
        assert!(t.bool("b")?.value);
        let day = Duration::from_secs(86_400);
        let d = t.duration("d", Duration::ZERO..=day)?;
        assert_eq!(d.value, Duration::from_secs(900));
        assert_eq!(t.source().position(d.span.start), (4, 5));
        assert_eq!(t.size("z", 0..=1 << 30)?.value, 4 << 20);
        assert_eq!(t.strings("l")?.len(), 2);
        assert_eq!(t.string_or_list("one")?[0].value, "x");
        assert!(t.str("absent").is_none());
        Some(())
    });
    assert_eq!((value, lines), (Some(()), vec![]));
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_text() {
    let text = "hid = 1\n\"é\" = 1\nname = 3\nn = 99\nd = '5'\nz = '9GiB'\nmode = 'on'\nempty = ''\nl = ['a', 2, '']\nwhen = 1\nt = 1\nts = 2\n";
    let (_, lines) = check::<()>(text, |t| {
        t.required_str("name");
        t.strings("hide");
        t.integer("n", 0..=10);
        t.duration("d", Duration::ZERO..=Duration::from_secs(60));
        t.size("z", 1..=1 << 20);
        t.choice("mode", &[("one", 1), ("off", 0)]);
        t.str("empty");
        t.strings("l");
        t.not_enforced(&["when", "step_up"]);
        t.table("t");
        t.tables("ts");
        t.required_str("gone");
        None
    });
    let expected = [
        "x.toml:1:1: error: missing key `gone`",
        "x.toml:1:1: error: unknown key `hid` (did you mean `hide`?)",
        "x.toml:2:1: error: unknown key `é`",
        "x.toml:3:8: error: `name` must be a string, found an integer",
        "x.toml:4:5: error: `n` must be between 0 and 10",
        "x.toml:5:5: error: `d` must be a duration (a whole number and one of `ms`, `s`, `m`, `h`, `d`, such as `\"60s\"`)",
        "x.toml:6:5: error: `z` must be between 1B and 1MiB",
        "x.toml:7:8: error: `mode` must be one of `one`, `off` (did you mean `one`?)",
        "x.toml:8:9: error: `empty` is empty",
        "x.toml:9:11: error: `l` must be a list of strings, found an integer",
        "x.toml:9:14: error: `l` is empty",
        "x.toml:10:1: error: `when` is not enforced by this version; remove it",
        "x.toml:11:5: error: `t` must be a table, found an integer",
        "x.toml:12:6: error: `ts` must be an array of tables, found an integer (write `[[ts]]`)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn tables_of_every_spelling_are_read() {
    let text = "inline = { a = 'x' }\ndotted.a = 'y'\n[[item]]\na = 'z'\n[[item]]\n[item.inner]\nb = 'q'\n[named.care-team]\nquery = 'c'\n[named.encounter]\nquery = 'e'\n[lists]\nz = ['one']\na = 'two'\n";
    let (value, lines) = check(text, |t| {
        assert_eq!(t.table("inline")?.str("a")?.value, "x");
        assert_eq!(t.required_table("dotted")?.str("a")?.value, "y");
        for mut item in t.tables("item") {
            item.required_str("a");
            if let Some(mut inner) = item.table("inner") {
                inner.required_str("c");
            }
        }
        let named = t.named_tables("named");
        let names: Vec<_> = named.iter().map(|(name, _)| name.value.clone()).collect();
        assert_eq!(names, ["care-team", "encounter"]);
        for (_, mut table) in named {
            table.required_str("query");
        }
        let lists = t.map_of_lists("lists")?;
        let names: Vec<_> = lists.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["z", "a"]);
        assert!(t.table_or_empty("absent").str("x").is_none());
        Some(())
    });
    assert_eq!(value, Some(()));
    let expected = [
        "x.toml:5:1: error: missing key `a`",
        "x.toml:6:1: error: missing key `c`",
        "x.toml:7:1: error: unknown key `b`",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn required_tables_are_there_and_not_none() {
    for (text, expected) in [
        ("", "1:1: error: missing key `role` (write `[[role]]`)"),
        ("role = []", "1:8: error: `role` is empty"),
        (
            "role = [1]",
            "1:9: error: `role` must be an array of tables, found an integer",
        ),
    ] {
        let (_, lines) = check(text, |t| Some(t.required_tables("role").len()));
        assert_eq!(lines, [format!("x.toml:{expected}")]);
    }
}

#[test]
fn control_characters_of_a_text_never_reach_a_terminal() {
    let text = "\"\\u001b[31m\" = 1\n";
    let outcome = read(&Source::new("x.toml", text), |_| Some(()));
    for told in [
        outcome.diagnostics.render(),
        outcome.diagnostics.iter().map(|d| d.to_string()).collect(),
    ] {
        assert!(told.contains("unknown key"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told:?}");
    }
}

#[test]
fn maps_take_any_name_and_only_strings() {
    let (value, lines) = check("map = { RN = 'nurse', x = 1 }", |t| t.map("map"));
    let value = value.map(|map| map.value).unwrap_or_default();
    assert_eq!(value.len(), 1);
    assert_eq!((value[0].0.as_str(), value[0].1.as_str()), ("RN", "nurse"));
    assert_eq!(
        lines,
        ["x.toml:1:27: error: `x` must be a string, found an integer"]
    );
}

#[test]
fn syntax_errors_and_duplicate_keys_have_their_place_too() {
    let (value, lines) = check("a = 1\nb =\na = 2\n", |_| Some(()));
    assert_eq!(value, None);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("x.toml:2:"), "{lines:?}");
    assert_eq!(lines[1], "x.toml:3:1: error: duplicate key");
}

#[test]
fn a_finding_is_drawn_with_a_caret_and_its_help() {
    let source = Source::new("packs/x.toml", "[[a]]\n  'ü'.hid = 1\n");
    let outcome = read(&source, |t| {
        for mut a in t.tables("a") {
            a.table("ü")?.integer("hide", 0..=1);
        }
        Some(())
    });
    let drawn = "error: unknown key `hid`\n --> packs/x.toml:2:7\n  |\n2 |   'ü'.hid = 1\n  |       ^^^\n  |\nhelp: did you mean `hide`?";
    assert_eq!(outcome.diagnostics.render(), drawn);
    let json = "{\"severity\":\"error\",\"file\":\"packs/x.toml\",\"line\":2,\"column\":7,\"message\":\"unknown key `hid`\",\"help\":\"did you mean `hide`?\"}\n";
    assert_eq!(outcome.diagnostics.render_json(), json);
}

#[test]
fn an_empty_text_and_spans_at_the_end_can_be_drawn() {
    for text in ["", "\n", "é", "a = 'é\n", "a = [\r\n 1,\r\n"] {
        let outcome = read::<()>(&Source::new("x.toml", text), |t| {
            t.required_str("a");
            None
        });
        assert!(outcome.diagnostics.has_errors(), "{text:?}");
        assert!(outcome.diagnostics.render().contains("x.toml:"), "{text:?}");
    }
}

#[test]
fn the_schema_names_what_the_text_does_not_show() {
    let text = "[[item]]\na = 'x'\n[item.map]\nZ = 'y'\n";
    let outcome = read(&Source::new("x.toml", text), |t| {
        for mut item in t.tables("item") {
            item.str("a");
            item.str("b");
            item.map("map");
        }
        t.table_or_empty("limits").str("idle");
        Some(())
    });
    assert!(!outcome.diagnostics.has_errors());
    let expected = ["item.b", "limits", "limits.idle"];
    assert_eq!(outcome.schema.undocumented(), expected);
}
