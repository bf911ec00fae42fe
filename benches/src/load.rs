//! Load by `wrk`, and the CPU time that the proxy under load took.

use std::fs;
use std::process::Command;

use crate::proxies::{Bench, Proxy};
use chartward_benches::bodies::Row;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Whole answers that were counted.
    pub requests: u64,
    /// Answers that were no success, and broken connections.
    pub failures: u64,
    /// CPU time of the proxy's threads, nanoseconds.
    pub cpu: u64,
    /// Seconds that the load took.
    pub seconds: f64,
}

impl Measured {
    /// CPU microseconds for each request.
    pub fn micros(&self) -> f64 {
        self.cpu as f64 / 1_000.0 / self.requests.max(1) as f64
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// Loads a proxy for some seconds.
pub fn run(proxy: &Proxy, row: Row, bench: &Bench, seconds: usize, connections: usize) -> Measured {
    let before = cpu(proxy.pid());
    let out = Command::new("wrk")
        .args([
            "-t",
            "1",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{seconds}s"),
        ])
        .args(["-H", &format!("Authorization: Bearer {}", bench.token)])
        .args(["-H", "Accept: application/fhir+json"])
        .arg(format!("https://{}{}", proxy.address(), row.target()))
        .output()
        .expect("wrk runs");
    let after = cpu(proxy.pid());
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "wrk failed: {text}");
    let summary = text
        .lines()
        .find(|line| line.contains(" requests in "))
        .unwrap_or_else(|| panic!("wrk counted nothing: {text}"));
    let mut words = summary.split_whitespace();
    let requests = words
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a count");
    let time = words.nth(2).expect("a time").trim_end_matches(',');
    Measured {
        requests,
        failures: failures(&text),
        cpu: after - before,
        seconds: match time.strip_suffix("ms") {
            Some(millis) => millis.parse::<f64>().expect("milliseconds") / 1_000.0,
            None => time.trim_end_matches('s').parse().expect("seconds"),
        },
    }
}

/// Answers other than 2xx and 3xx, and socket errors, as wrk tells them.
fn failures(text: &str) -> u64 {
    let numbers = |line: &str| -> u64 {
        line.split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse::<u64>().ok())
            .sum()
    };
    text.lines()
        .filter_map(|line| {
            let (what, rest) = line.split_once(':')?;
            match what.trim() {
                "Non-2xx or 3xx responses" | "Socket errors" => Some(numbers(rest)),
                _ => None,
            }
        })
        .sum()
}

/// Time on a CPU of all threads of a process, nanoseconds (`schedstat`, first field).
fn cpu(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/task"))
        .expect("the process runs")
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted() {
        let text = "  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 17\n";
        assert_eq!(failures(text), 23);
        assert_eq!(
            failures("  1204 requests in 2.00s, 1.2MB read\nRequests/sec: 602\n"),
            0
        );
    }
}
