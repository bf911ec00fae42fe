//! Figures of what is behind each service. Servers are told apart by their place in the list.

use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Maker;

/// One service's upstream.
#[derive(Clone)]
pub struct UpstreamMetrics {
    /// Requests under way.
    pub in_flight: IntGauge,
    /// Requests that wait for a place among these.
    pub waiting: IntGauge,
    /// Requests that found none.
    pub refused: IntCounter,
    /// Requests made once more.
    pub retries: IntCounter,
    /// Requests not made once more, for too many were.
    pub retries_refused: IntCounter,
    /// How often a server was left alone for a while.
    pub ejections: IntCounter,
}

/// The figures of all services.
pub(super) struct Families {
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    refused: IntCounterVec,
    retries: IntCounterVec,
    ejections: IntCounterVec,
    healthy: IntGaugeVec,
}

impl Families {
    pub fn new(make: &Maker) -> Result<Self, Error> {
        let of = &["service"];
        Ok(Self {
            in_flight: make.gauges(
                "upstream_requests_in_flight",
                "requests to upstreams that are under way",
                of,
            )?,
            waiting: make.gauges(
                "upstream_requests_waiting",
                "requests that wait for a place among those under way",
                of,
            )?,
            refused: make.counters(
                "upstream_overloaded_total",
                "requests refused because too many were under way",
                of,
            )?,
            retries: make.counters(
                "upstream_retries_total",
                "failed requests, made once more or not for the budget is spent",
                &["service", "outcome"],
            )?,
            ejections: make.counters(
                "upstream_ejections_total",
                "servers left alone for a while, for requests failed there",
                of,
            )?,
            healthy: make.gauges(
                "upstream_healthy",
                "0 while checks find a server down, by its place in the list",
                &["service", "upstream"],
            )?,
        })
    }

    pub fn of(&self, service: &str) -> UpstreamMetrics {
        let of = &[service];
        UpstreamMetrics {
            in_flight: self.in_flight.with_label_values(of),
            waiting: self.waiting.with_label_values(of),
            refused: self.refused.with_label_values(of),
            retries: self.retries.with_label_values(&[service, "made"]),
            retries_refused: self.retries.with_label_values(&[service, "over-budget"]),
            ejections: self.ejections.with_label_values(of),
        }
    }

    /// By server: 0 while checks find it down. Made anew: who still holds one of before, of a server
    /// that a reload took away, says nothing of those that took its place.
    pub fn healthy(&self, service: &str, servers: usize) -> Vec<IntGauge> {
        let remove = |at: usize| {
            self.healthy
                .remove_label_values(&[service, &at.to_string()])
        };
        (0..).take_while(|at| remove(*at).is_ok()).for_each(drop);
        (0..servers)
            .map(|at| self.healthy.with_label_values(&[service, &at.to_string()]))
            .collect()
    }
}
