//! What a drain does with writes: they have its whole time, and each has its end in the journal.

use chartward_tests::need;

use super::*;

/// Longer than the listener needs for anything of its own.
const LONG: Duration = Duration::from_millis(3500);

fn slow(seen: &Seen) -> Script {
    let answer = chart(seen);
    match seen.method.as_str() {
        "PUT" => Script::new().wait(LONG).then(answer),
        _ => answer,
    }
}

#[test]
fn a_write_whose_caller_left_has_the_whole_drain() {
    if !need("binary") {
        return;
    }
    let mut stage = Stage::before("", slow);
    let mut raw = stage.gateway.raw();
    assert!(raw.send(&stage.put("long")));
    until("the write is sent", || stage.reached("PUT", "long") == 1);
    drop(raw);
    stage.gateway.process().signal("TERM");
    let status = stage.gateway.process().ended(PATIENCE);
    assert!(status.success(), "{status}");
    let closing = stage.closing("put-long");
    assert_eq!(closing["outcome"], "abandoned", "{closing}");
    assert_eq!(closing["upstream"]["status"], 200, "{closing}");
}

#[test]
fn a_write_that_outlasts_the_drain_is_closed_without_an_outcome() {
    if !need("binary") {
        return;
    }
    let upstream = Upstream::start(slow);
    let tokens = Tokens::start();
    let setup = Setup::new(PACK, upstream.url())
        .issuer(tokens.trusted(&ROLES))
        .server("drain = \"200ms\"");
    let mut stage = Stage {
        gateway: Gateway::start(setup),
        upstream,
        tokens,
    };
    let (mut stays, mut leaves) = (stage.gateway.raw(), stage.gateway.raw());
    assert!(stays.send(&stage.put("stays")) && leaves.send(&stage.put("leaves")));
    until("the writes are sent", || {
        stage.reached("PUT", "stays") + stage.reached("PUT", "leaves") == 2
    });
    drop(leaves);
    stage.gateway.process().signal("TERM");
    let status = stage.gateway.process().ended(PATIENCE);
    assert!(status.success(), "{status}");
    for id in ["put-stays", "put-leaves"] {
        let closing = stage.closing(id);
        assert_eq!(closing["outcome"], "abandoned", "{closing}");
        assert_eq!(closing["upstream"], Value::Null, "{closing}");
    }
    let (holds, said) = stage.gateway.verify();
    assert!(holds, "{said}");
}
