//! A reload that can't be applied changes nothing, and says where it is wrong.

use chartward_tests::{Tokens, need, plain};

use super::*;

const MUTATIONS: usize = 200;

#[test]
fn what_needs_a_restart_is_named_all_at_once_and_nothing_changes() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let mut gateway = start(&tokens, &upstream, "");
    let (client, token) = (gateway.client(), token(&tokens));
    assert_eq!(client.get("/fhir/Patient/p1", &token).status, 200);
    let config = read(&gateway, "config.toml");
    let changed = config
        .replace("workers = 1", "workers = 2")
        .replace("durability = \"write\"", "durability = \"fsync\"")
        .replace("metrics = \"127.0.0.1:0\"", "metrics = \"127.0.0.1:1\"");
    write(&gateway, "config.toml", &changed);
    write(&gateway, "pack-0.toml", WITHOUT);
    gateway.process().signal("HUP");
    until("the reload fails", || failed(&gateway) == 1);
    assert_eq!((generation(&gateway), applied(&gateway)), (1, 0));
    assert_eq!(
        figure(&gateway, "chartward_config_last_reload_successful "),
        0
    );
    let ready = plain::get(gateway.metrics(), "/readyz");
    assert_eq!(ready.status, 200);
    let text = ready.text();
    assert!(
        text.contains("reload: the last one failed: config.toml:"),
        "{text}"
    );
    assert!(text.contains("and 2 more"), "{text}");
    let log = gateway.process().stderr();
    for key in ["workers", "durability", "metrics"] {
        let said = format!("`{key}` of `[");
        assert!(log.contains(&said), "no `{key}` in {log}");
    }
    assert!(log.contains("workers = 2"), "no line of the file in {log}");
    assert_eq!(client.get("/fhir/Patient/p1", &token).status, 200);
    // mended, it is applied
    write(&gateway, "config.toml", &config);
    reload(&mut gateway);
    assert_eq!(client.get("/fhir/Patient/p1", &token).status, 403);
    let text = plain::get(gateway.metrics(), "/readyz").text();
    assert_eq!(text, "ok\n");
    let outcomes: Vec<_> = gateway
        .records()
        .into_iter()
        .filter(|r| r["phase"] == "reload")
        .map(|r| (r["outcome"].clone(), r["generation"].clone()))
        .collect();
    assert_eq!(
        outcomes,
        [("failed".into(), 1.into()), ("applied".into(), 2.into())]
    );
}

#[test]
fn two_hundred_wrong_configurations_change_nothing_and_each_is_told_with_its_place() {
    if !need("binary") {
        return;
    }
    let (tokens, upstream) = (Tokens::start(), patient());
    let mut gateway = start(&tokens, &upstream, "");
    let (client, token) = (gateway.client(), token(&tokens));
    let files = ["config.toml", "pack-0.toml"].map(|file| (file, read(&gateway, file)));
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut wrong, mut right) = (0, 0);
    while wrong < MUTATIONS {
        let (file, text) = &files[usize::from(wrong % 3 == 0)];
        let Some(mutated) = mutate(text, &mut random) else {
            continue;
        };
        write(&gateway, file, &mutated);
        let (was_failed, was_applied) = (failed(&gateway), applied(&gateway));
        gateway.process().signal("HUP");
        until("the reload is over", || {
            failed(&gateway) > was_failed || applied(&gateway) > was_applied
        });
        if applied(&gateway) > was_applied {
            // what is still right is put in force, and taken back
            right += 1;
            write(&gateway, file, text);
            reload(&mut gateway);
            continue;
        }
        wrong += 1;
        assert_eq!(applied(&gateway), was_applied);
        let ready = plain::get(gateway.metrics(), "/readyz");
        assert_eq!(ready.status, 200, "{}", ready.text());
        let said = ready.text();
        assert!(has_place(&said), "no place in `{said}` for\n{mutated}");
        let answer = client.get("/fhir/Patient/p1", &token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("female") && !answer.text().contains("1970"));
        write(&gateway, file, text);
    }
    println!("{wrong} wrong configurations, {right} that were still right");
    reload(&mut gateway);
    assert_eq!(plain::get(gateway.metrics(), "/readyz").text(), "ok\n");
}

/// Whether a text says `file:line:column: error`.
fn has_place(text: &str) -> bool {
    let Some((before, _)) = text.split_once(": error: ") else {
        return false;
    };
    let mut parts = before.rsplit(':');
    let number = |part: Option<&str>| part.is_some_and(|p| p.parse::<u32>().is_ok_and(|n| n > 0));
    number(parts.next())
        && number(parts.next())
        && parts.next().is_some_and(|f| f.ends_with(".toml"))
}

/// One slip of a hand: a character lost, doubled or another, a line lost or doubled, a word
/// misspelt, an end cut off.
fn mutate(text: &str, random: &mut u64) -> Option<String> {
    let mut pick = |below: usize| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        usize::try_from(*random % below.max(1) as u64).unwrap_or_default()
    };
    let at = pick(text.len());
    let mut out = text.to_owned();
    match pick(6) {
        0 => drop(out.remove(at)),
        1 => out.insert(at, char::from(text.as_bytes()[at])),
        2 => out.replace_range(at..=at, ["\"", "x", "=", "]", "7"][pick(5)]),
        3 => out.truncate(at),
        4 => {
            let lines: Vec<&str> = text.lines().collect();
            let line = pick(lines.len());
            let kept = lines.iter().enumerate().filter(|(n, _)| *n != line);
            out = kept.map(|(_, line)| format!("{line}\n")).collect();
        }
        _ => {
            let lines: Vec<&str> = text.lines().collect();
            let line = pick(lines.len());
            let each = lines.iter().enumerate();
            out = each
                .map(|(n, text)| format!("{text}\n").repeat(1 + usize::from(n == line)))
                .collect();
        }
    }
    (out != text).then_some(out)
}
