//! Smuggling: bytes that two readers would cut into requests in two ways. Each payload hides a
//! request, `hidden`, in or behind another, `outer`. Whatever the gateway makes of it, the hidden
//! one reaches no upstream, what does reach it was decided and is written in one way only, and a
//! good request that follows gets its own answer or a closed connection.

mod chunks;
mod fields;
mod frames;
mod framing;
mod heads;
mod ledger;
mod lines;
mod payload;
mod talk;

use chartward_tests::{Gateway, Setup, Tokens, Upstream, need};

use ledger::{Ledger, Way};
use payload::{Maker, Payload};

const PACK: &str = include_str!("packs/ward.toml");

/// The gateway in front of an upstream that answers with what it was asked for.
struct Stage {
    gateway: Gateway,
    upstream: Upstream,
    maker: Maker,
    _tokens: Tokens,
}

impl Stage {
    fn open() -> Self {
        let upstream = Upstream::start(ledger::echo);
        let tokens = Tokens::start();
        let token = tokens.token("dr", &["physician"], "user/*.rs");
        let setup = Setup::new(PACK, upstream.url())
            .issuer(tokens.trusted(&["physician"]))
            .workers(2)
            // payloads that promise more than they bring are given up soon
            .section("[limits]\nheaders = \"2s\"\nbody = \"2s\"\n");
        let gateway = Gateway::start(setup);
        let maker = Maker {
            host: gateway.address().to_string(),
            token,
        };
        Self {
            gateway,
            upstream,
            maker,
            _tokens: tokens,
        }
    }

    /// Lets every payload run in every way that `ways` knows, and checks what came of all of them.
    fn run(&self, payloads: &[Payload], ways: &[Way], at_least: usize) {
        let ledger = Ledger::of(&self.gateway, &self.upstream, &self.maker, payloads, ways);
        ledger.check(at_least);
    }
}

#[test]
fn nothing_hidden_in_http_1_reaches_the_upstream_and_no_answer_is_anothers() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open();
    let maker = &stage.maker;
    let payloads: Vec<Payload> = [
        framing::lengths(maker),
        framing::codings(maker),
        framing::bytes_around(maker),
        chunks::all(maker),
        lines::ends(maker),
        lines::requests(maker),
        heads::all(maker),
    ]
    .concat();
    stage.run(&payloads, &[talk::in_turn, talk::at_once], 500);
}

#[test]
fn nothing_hidden_in_http_2_reaches_the_upstream_and_no_answer_is_anothers() {
    if !need("binary") {
        return;
    }
    let stage = Stage::open();
    let maker = &stage.maker;
    let payloads = [fields::all(maker), frames::all(maker)].concat();
    stage.run(&payloads, &[talk::over_h2], 200);
}
