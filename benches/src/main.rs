//! CPU time for each request of the gateway beside nginx, nginx with njs, HAProxy and Envoy: same
//! upstream, one worker each, TLS 1.3 with kept connections, interleaved rounds.
//!
//! `benches/run` builds what ships and starts this. A line is INVALID unless sampled bodies lack the
//! hidden values (where the proxy is to hide them) and the journal grew by at least the requests
//! counted. Compare ratios within one run only.

mod load;
mod proxies;
mod report;
mod upstream;

use std::env;
use std::process::ExitCode;

use chartward_benches::bodies::Row;
use chartward_tests::Tokens;
use proxies::{Bench, Proxy};
use report::Line;
use upstream::Upstream;

/// The role of the token that every request carries.
const ROLE: &str = "nurse";

fn main() -> ExitCode {
    let rounds = number("BENCH_ROUNDS", 7).max(1);
    let seconds = number("BENCH_SECONDS", 2).max(1);
    let connections = number("BENCH_CONNECTIONS", 32).max(1);
    let tokens = Tokens::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let upstream = Upstream::start(folder.path());
    let bench = Bench::new(&tokens, upstream.port(), folder.path());
    report::preamble(&bench, rounds, seconds, connections);
    let mut valid = true;
    for row in Row::ALL {
        // A row has processes of its own, so that its journals hold its requests alone.
        let mut proxies = bench.start();
        let mut lines: Vec<Line> = proxies
            .iter()
            .map(|proxy| Line::new(proxy.name()))
            .collect();
        for proxy in &proxies {
            load::run(proxy, row, &bench, 1, connections);
        }
        let before: Vec<u64> = proxies
            .iter()
            .map(|proxy| proxy.disclosures().unwrap_or(0))
            .collect();
        for _ in 0..rounds {
            for (proxy, line) in proxies.iter().zip(&mut lines) {
                line.sample(proxy.check(row, &bench));
                line.round(load::run(proxy, row, &bench, seconds, connections));
                line.sample(proxy.check(row, &bench));
            }
        }
        for ((proxy, line), before) in proxies.iter_mut().zip(&mut lines).zip(before) {
            if let Some(records) = proxy.disclosures() {
                line.journal(records - before);
            }
        }
        valid &= report::table(row, &lines);
        proxies.iter_mut().for_each(Proxy::stop);
    }
    if valid {
        ExitCode::SUCCESS
    } else {
        println!("some lines are INVALID");
        ExitCode::FAILURE
    }
}

fn number(name: &str, default: usize) -> usize {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("`{name}` must be a number")),
        Err(_) => default,
    }
}
