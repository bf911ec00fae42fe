//! What a request is served under: everything that a reload replaces, and a core's view of it.

use std::sync::Arc;
use std::time::Duration;

use chartward_rules::decide;
use chartward_rules::pack::Program;

use super::super::identity::{Identity, ServiceId};
use super::super::tls::Trust;
use super::super::upstream::{Pool, Target};
use crate::base::config::{Ceiling, Limits};
use crate::base::live::Version;
use crate::base::metrics::{Metrics, ServiceMetrics};

/// One service, ready to serve.
pub struct Service {
    /// Its name in records and handles.
    pub name: Arc<str>,
    /// Its path under the public URL: `/fhir`.
    pub path: String,
    /// What deciding needs of it.
    pub rules: decide::Service,
    /// Its packs.
    pub program: Arc<Program>,
    /// Who its callers are.
    pub identity: ServiceId,
    /// Where its server is. A reload that leaves it as it is keeps this very one, and with it each
    /// core's connections.
    pub target: Arc<Target>,
    /// Ceilings of applications (D31), by client id; `None` stands for all others.
    pub ceilings: Vec<(Option<String>, Ceiling)>,
    /// Its figures.
    pub metrics: Arc<ServiceMetrics>,
}

/// What a reload replaces.
pub struct State {
    /// The services; their paths don't overlap.
    pub services: Vec<Service>,
    /// Tells callers.
    pub identity: Identity,
    /// Judges certificates of connections that are older than this.
    pub trust: Arc<Trust>,
    /// Caps and deadlines.
    pub limits: Limits,
    /// "Not found" leaves at a multiple of this (D15).
    pub quantum: Duration,
}

/// A version of the state with one core's connections for it. A request takes one at its start
/// and is served under it to its end.
pub(super) struct View {
    pub(super) version: Arc<Version<State>>,
    /// By service.
    pools: Vec<(Arc<Target>, Pool)>,
}

impl View {
    /// The view of a version; upstreams that `before` knew keep their connections. Called inside
    /// the core's runtime.
    pub(super) fn new(
        version: Arc<Version<State>>,
        before: Option<&Self>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let known = before.map_or(&[][..], |view| &view.pools);
        let pool = |target: &Arc<Target>| {
            let kept = known.iter().find(|(known, _)| Arc::ptr_eq(known, target));
            match kept {
                Some((_, pool)) => pool.clone(),
                None => Pool::new(target.clone(), metrics.clone()),
            }
        };
        let services = version.services.iter();
        let pools = services.map(|s| (s.target.clone(), pool(&s.target)));
        Self {
            pools: pools.collect(),
            version,
        }
    }

    /// The connections to a service's upstream.
    pub(super) fn pool(&self, place: usize) -> Option<&Pool> {
        self.pools.get(place).map(|(_, pool)| pool)
    }

    /// The place of the service whose path the target is under, and what follows.
    pub(super) fn route<'t>(&self, path: &'t str) -> Option<(usize, &Service, &'t str)> {
        let services = self.version.services.iter().enumerate();
        services
            .filter_map(|(place, service)| {
                let below = path.strip_prefix(&*service.path)?;
                let is = below.is_empty() || below.starts_with('/');
                is.then_some((place, service, below))
            })
            .next()
    }
}
