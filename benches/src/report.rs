//! The lines of the report: medians, ratios to nginx within each round, and why a line is INVALID.

use std::fs;
use std::process::Command;

use crate::load::Measured;
use crate::proxies::Bench;
use chartward_benches::bodies::Row;

/// What was measured of one proxy for one row.
pub struct Line {
    name: String,
    rounds: Vec<Measured>,
    faults: Vec<String>,
    grown: Option<u64>,
}

impl Line {
    /// Nothing yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            rounds: Vec::new(),
            faults: Vec::new(),
            grown: None,
        }
    }

    /// Takes a sampled body's judgement.
    pub fn sample(&mut self, judged: Result<(), String>) {
        if let Err(fault) = judged
            && !self.faults.contains(&fault)
        {
            self.faults.push(fault);
        }
    }

    /// Takes a round.
    pub fn round(&mut self, measured: Measured) {
        if measured.requests == 0 || measured.failures > 0 {
            self.faults.push(format!(
                "{} of {} requests failed",
                measured.failures, measured.requests
            ));
        }
        self.rounds.push(measured);
    }

    /// Takes how many disclosures the journal gained over all rounds.
    pub fn journal(&mut self, grown: u64) {
        let requests = self.requests();
        if grown < requests {
            self.faults.push(format!(
                "the journal grew by {grown} for {requests} requests"
            ));
        }
        self.grown = Some(grown);
    }

    fn requests(&self) -> u64 {
        self.rounds.iter().map(|round| round.requests).sum()
    }
}

/// Machine, versions and configuration.
pub fn preamble(bench: &Bench, rounds: usize, seconds: usize, connections: usize) {
    let model = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split(": ").nth(1)?.to_owned())
        })
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("machine: {cores} cores, {model}");
    println!(
        "load: wrk, 1 thread, {connections} kept connections, TLS 1.3, {rounds} interleaved rounds of {seconds} s; one worker each"
    );
    println!(
        "upstream: nginx, one worker, files; the gateway: {}",
        bench.binary.display()
    );
    for (program, argument) in [("nginx", "-v"), ("haproxy", "-v")] {
        let out = Command::new(program).arg(argument).output();
        let text = out
            .map(|out| [out.stdout, out.stderr].concat())
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        println!("  {}", text.lines().next().unwrap_or_default());
    }
    println!("  {}", bench.envoy_version());
    println!("the gateway's configuration (durability `write` and `fsync` side by side):");
    println!("  TLS 1.3, bearer token (ES256), pack with hidden elements, mask, journal; pack:");
    for line in chartward_benches::bodies::PACK.trim().lines() {
        println!("    {line}");
    }
}

/// Prints one row's table; whether all its lines are valid.
pub fn table(row: Row, lines: &[Line]) -> bool {
    println!("\n{}", row.title());
    println!(
        "{:<34} {:>9} {:>7} {:>15} {:>10} {:>9} {:>10}",
        "proxy", "CPU us", "ratio", "ratio min..max", "requests/s", "requests", "journal"
    );
    let Some(base) = lines.first() else {
        return false;
    };
    for line in lines {
        let ratios: Vec<f64> = line
            .rounds
            .iter()
            .zip(&base.rounds)
            .map(|(mine, nginx)| mine.micros() / nginx.micros())
            .collect();
        let (low, high) = ratios
            .iter()
            .fold((f64::MAX, 0.0_f64), |(low, high), &ratio| {
                (low.min(ratio), high.max(ratio))
            });
        println!(
            "{:<34} {:>9.1} {:>7.2} {:>15} {:>10.0} {:>9} {:>10}",
            line.name,
            median(line.rounds.iter().map(Measured::micros)),
            median(ratios.into_iter()),
            format!("{low:.2}..{high:.2}"),
            median(line.rounds.iter().map(Measured::rate)),
            line.requests(),
            line.grown
                .map_or("-".to_owned(), |grown| format!("+{grown}")),
        );
        for fault in &line.faults {
            println!("  INVALID: {fault}");
        }
    }
    lines.iter().all(|line| line.faults.is_empty())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_invalid_where_something_is_missing() {
        let round = Measured {
            requests: 10,
            failures: 0,
            cpu: 1_000_000,
            seconds: 1.0,
        };
        let mut good = Line::new("good");
        good.round(round);
        good.journal(10);
        good.sample(Ok(()));
        assert!(table(Row::Read, &[good]));
        let mut short = Line::new("short");
        short.round(round);
        short.journal(9);
        assert!(!table(Row::Read, &[short]));
        let mut leaky = Line::new("leaky");
        leaky.round(round);
        leaky.sample(Err("a hidden value left".to_owned()));
        assert!(!table(Row::Read, &[leaky]));
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0].into_iter()), 2.5);
    }
}
