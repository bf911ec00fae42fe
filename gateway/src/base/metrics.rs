//! The gateway's figures, all of them, with the prefix `chartward_`.
//!
//! Labelled children are made here, once: counting a request looks no name up. No label may hold
//! a person, a patient or a path.

mod upstream;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::base::config::Limit;
use chartward_rules::{fhir::interaction::Interaction, refusal::Reason};
use prometheus::{
    Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub use upstream::UpstreamMetrics;

/// Seconds: from half a millisecond to half a minute.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered as decided.
    Answered,
    /// Refused; `chartward_refusals_total` says why.
    Refused,
    /// Broken off by a fault after the answer began.
    Broken,
    /// The caller left first.
    Abandoned,
}

impl Outcome {
    const WORDS: [&str; 4] = ["answered", "refused", "broken", "abandoned"];
}

/// How a request to an upstream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamOutcome {
    /// The head of an answer came.
    Answered,
    /// No connection.
    Unreachable,
    /// Nothing in time.
    Timeout,
    /// The connection broke, or what came isn't HTTP.
    Broken,
}

impl UpstreamOutcome {
    const WORDS: [&str; 4] = ["answered", "unreachable", "timeout", "broken"];
}

/// The word for what wasn't understood.
const UNKNOWN: &str = "unknown";

/// One service's requests.
#[derive(Clone)]
pub struct ServiceMetrics {
    /// By interaction, then by outcome.
    requests: Vec<(&'static str, [IntCounter; 4])>,
}

impl ServiceMetrics {
    fn new(requests: &IntCounterVec, name: &str) -> Self {
        let child =
            |interaction, outcome| requests.with_label_values(&[name, interaction, outcome]);
        Self {
            requests: Interaction::WORDS
                .into_iter()
                .chain([UNKNOWN])
                .map(|word| (word, Outcome::WORDS.map(|outcome| child(word, outcome))))
                .collect(),
        }
    }

    /// Counts a request; `None` where it wasn't understood.
    pub fn count(&self, interaction: Option<&Interaction>, outcome: Outcome) {
        let word = interaction.map_or(UNKNOWN, Interaction::word);
        let row = self.requests.iter().find(|(known, _)| *known == word);
        if let Some(counter) = row.and_then(|(_, row)| row.get(outcome as usize)) {
            counter.inc();
        }
    }
}

/// Figures of the journal: its own counters, brought here by [`Metrics::before_scrape`].
pub struct JournalMetrics {
    /// Records written.
    pub records: IntCounter,
    /// Bytes written.
    pub bytes: IntCounter,
    /// Groups written.
    pub batches: IntCounter,
    /// Errors.
    pub failures: IntCounter,
    /// Records that nobody waited for and that were not written.
    pub notes_lost: IntCounter,
    /// 1 while it can be written.
    pub healthy: IntGauge,
}

/// Figures of reloads.
pub struct ReloadMetrics {
    /// By outcome: applied, failed.
    reloads: [IntCounter; 2],
    /// 1 while the last one was applied, or none was tried.
    pub successful: IntGauge,
    /// When what is in force was put in force: seconds since the epoch.
    pub success_time: IntGauge,
    /// How many were in force, this one counted.
    pub generation: IntGauge,
}

impl ReloadMetrics {
    /// Counts what is in force since now, in seconds since the epoch.
    pub fn applied(&self, generation: u64, now: i64) {
        if generation > 1 {
            self.reloads[0].inc();
        }
        self.successful.set(1);
        self.success_time.set(now);
        self.generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// Counts a reload that changed nothing.
    pub fn failed(&self) {
        self.reloads[1].inc();
        self.successful.set(0);
    }
}

type Bringer = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Every figure. One for a process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    refusals: Vec<(Reason, IntCounter)>,
    upstream: [IntCounter; 4],
    upstreams: upstream::Families,
    jwks: [IntCounter; 2],
    limits: [IntCounter; Limit::ALL.len()],
    bringers: Mutex<Vec<Bringer>>,
    /// From a request's head to the end of its answer.
    pub request_seconds: Histogram,
    /// Resources that left.
    pub rows_released: IntCounter,
    /// Resources that came from an upstream and did not leave.
    pub rows_withheld: IntCounter,
    /// From a request to an upstream to the head of its answer.
    pub upstream_seconds: Histogram,
    /// Client connections that are open.
    pub connections_open: IntGauge,
    /// Requests that are being answered.
    pub requests_open: IntGauge,
    /// Bytes of requests' bodies that are held in memory.
    pub buffered_bytes: IntGauge,
    /// Requests that could not be read as HTTP/1.
    pub malformed_heads: IntCounter,
    /// Connections closed at once, for too many were open.
    pub connections_refused: IntCounter,
    /// TLS handshakes that failed or took too long.
    pub handshake_failures: IntCounter,
    /// The journal's.
    pub journal: JournalMetrics,
    /// Reloads.
    pub reload: ReloadMetrics,
    /// Verified tokens found in the cache.
    pub token_cache_hits: IntCounter,
    /// Tokens that had to be verified.
    pub token_cache_misses: IntCounter,
}

impl Metrics {
    /// Makes them, those of these services with them: figures that are there from the start. Fails
    /// where two have one name.
    pub fn new<'a>(services: impl IntoIterator<Item = &'a str>) -> Result<Arc<Self>, Error> {
        let make = Maker(Registry::new_custom(Some("chartward".to_owned()), None)?);
        let requests = make.counters(
            "requests_total",
            "requests by how they ended",
            &["service", "interaction", "outcome"],
        )?;
        let refusals = make.counters("refusals_total", "refusals by reason", &["reason"])?;
        let upstream = make.counters(
            "upstream_requests_total",
            "requests to upstreams by how they ended",
            &["outcome"],
        )?;
        let jwks = make.counters(
            "jwks_fetches_total",
            "fetches of issuers' keys",
            &["outcome"],
        )?;
        let reloads = make.counters(
            "config_reloads_total",
            "reloads by what came of them",
            &["outcome"],
        )?;
        let limits = make.counters(
            "limit_exceeded_total",
            "how often a limit bit, by its key",
            &["limit"],
        )?;
        let build = make.gauges("build_info", "which version runs", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for name in services {
            ServiceMetrics::new(&requests, name);
        }
        Ok(Arc::new(Self {
            requests,
            refusals: Reason::ALL
                .map(|reason| (reason, refusals.with_label_values(&[reason.code()])))
                .into(),
            upstreams: upstream::Families::new(&make)?,
            upstream: UpstreamOutcome::WORDS.map(|word| upstream.with_label_values(&[word])),
            jwks: ["fetched", "failed"].map(|word| jwks.with_label_values(&[word])),
            limits: Limit::ALL.map(|(_, key)| limits.with_label_values(&[key])),
            bringers: Mutex::default(),
            request_seconds: make.seconds(
                "request_duration_seconds",
                "from a request's head to the end of its answer",
            )?,
            rows_released: make.counter("rows_released_total", "resources that left")?,
            rows_withheld: make.counter(
                "rows_withheld_total",
                "resources that came from an upstream and did not leave",
            )?,
            upstream_seconds: make.seconds(
                "upstream_duration_seconds",
                "from a request to an upstream to the head of its answer",
            )?,
            connections_open: make.gauge("connections_open", "client connections")?,
            requests_open: make.gauge("requests_open", "requests that are being answered")?,
            buffered_bytes: make.gauge(
                "buffered_bytes",
                "bytes of requests' bodies that are held in memory",
            )?,
            malformed_heads: make.counter(
                "malformed_heads_total",
                "requests that could not be read as HTTP/1",
            )?,
            connections_refused: make.counter(
                "connections_refused_total",
                "connections closed at once, too many being open",
            )?,
            handshake_failures: make.counter(
                "handshake_failures_total",
                "TLS handshakes that failed or took too long",
            )?,
            journal: JournalMetrics {
                records: make.counter("journal_records_total", "records written")?,
                bytes: make.counter("journal_bytes_total", "bytes written")?,
                batches: make.counter("journal_batches_total", "groups of records written")?,
                failures: make.counter("journal_failures_total", "errors of the journal")?,
                notes_lost: make.counter(
                    "journal_notes_lost_total",
                    "records nobody waited for that were not written",
                )?,
                healthy: make.gauge("journal_healthy", "1 while records can be written")?,
            },
            reload: ReloadMetrics {
                reloads: ["applied", "failed"].map(|word| reloads.with_label_values(&[word])),
                successful: make.gauge(
                    "config_last_reload_successful",
                    "1 unless the last reload failed",
                )?,
                success_time: make.gauge(
                    "config_last_reload_success_timestamp_seconds",
                    "when the configuration in force was put in force",
                )?,
                generation: make.gauge(
                    "config_generation",
                    "configurations that were in force, this one counted",
                )?,
            },
            token_cache_hits: make.counter("token_cache_hits_total", "verified tokens known")?,
            token_cache_misses: make.counter("token_cache_misses_total", "tokens to verify")?,
            registry: make.0,
        }))
    }

    /// The figures of a service, by its name; those of a name are the same ones again.
    pub fn service(&self, name: &str) -> Arc<ServiceMetrics> {
        Arc::new(ServiceMetrics::new(&self.requests, name))
    }

    /// Counts a refusal.
    pub fn refused(&self, reason: Reason) {
        if let Some((_, counter)) = self.refusals.iter().find(|(known, _)| *known == reason) {
            counter.inc();
        }
    }

    /// Counts that a limit bit.
    pub fn exceeded(&self, limit: Limit) {
        if let Some(counter) = self.limits.get(limit as usize) {
            counter.inc();
        }
    }

    /// Counts a request to an upstream.
    pub fn upstream(&self, outcome: UpstreamOutcome) {
        if let Some(counter) = self.upstream.get(outcome as usize) {
            counter.inc();
        }
    }

    /// The figures of a service's upstream. The same for the same name.
    pub fn upstream_of(&self, service: &str) -> UpstreamMetrics {
        self.upstreams.of(service)
    }

    /// Of each of a service's servers, 0 while checks find it down; in place of what there was of
    /// that service.
    pub fn upstream_healthy(&self, service: &str, servers: usize) -> Vec<IntGauge> {
        self.upstreams.healthy(service, servers)
    }

    /// Brings the number of fetches of keys up to these totals.
    pub fn jwks_fetches(&self, fetched: u64, failed: u64) {
        let [of_fetched, of_failed] = &self.jwks;
        raise(of_fetched, fetched);
        raise(of_failed, failed);
    }

    /// Calls this before each scrape: for figures that are kept elsewhere ([`raise`] brings a
    /// counter up to a total).
    pub fn before_scrape(&self, bring: impl Fn(&Self) + Send + Sync + 'static) {
        self.bringers().push(Box::new(bring));
    }

    /// The text format, version 0.0.4.
    pub fn text(&self) -> Result<String, Error> {
        {
            let bringers = self.bringers();
            bringers.iter().for_each(|bring| bring(self));
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn bringers(&self) -> std::sync::MutexGuard<'_, Vec<Bringer>> {
        self.bringers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Brings a counter up to a total that is kept elsewhere.
pub fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

struct Maker(Registry);

impl Maker {
    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        let made = IntCounter::new(name, help)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        let made = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        let made = IntGauge::new(name, help)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        let made = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn seconds(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        let made = Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.into()))?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_there_from_the_start_and_counts() {
        let metrics = Metrics::new(["ehr"]).unwrap();
        metrics
            .service("ehr")
            .count(Some(&Interaction::Capabilities), Outcome::Abandoned);
        metrics.service("ehr").count(None, Outcome::Refused);
        metrics.refused(Reason::UpstreamRejected);
        metrics.upstream(UpstreamOutcome::Broken);
        Limit::ALL
            .iter()
            .for_each(|(limit, _)| metrics.exceeded(*limit));
        metrics.before_scrape(|metrics| raise(&metrics.journal.records, 7));
        metrics.before_scrape(|metrics| metrics.jwks_fetches(3, 1));
        metrics.text().unwrap();
        let text = metrics.text().unwrap();
        for line in [
            r#"chartward_requests_total{interaction="capabilities",outcome="abandoned",service="ehr"} 1"#,
            r#"chartward_requests_total{interaction="unknown",outcome="refused",service="ehr"} 1"#,
            r#"chartward_requests_total{interaction="read",outcome="answered",service="ehr"} 0"#,
            r#"chartward_refusals_total{reason="upstream-rejected"} 1"#,
            r#"chartward_refusals_total{reason="not-found"} 0"#,
            r#"chartward_upstream_requests_total{outcome="broken"} 1"#,
            r#"chartward_jwks_fetches_total{outcome="fetched"} 3"#,
            "chartward_journal_records_total 7",
            "chartward_request_duration_seconds_count 0",
            "chartward_connections_open 0",
            r#"chartward_config_reloads_total{outcome="failed"} 0"#,
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
        for (_, key) in Limit::ALL {
            let line = format!("chartward_limit_exceeded_total{{limit=\"{key}\"}} 1");
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
        assert!(text.contains("chartward_build_info{version=\""));
    }
}
