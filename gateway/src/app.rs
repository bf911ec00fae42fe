//! The only wiring: from a configuration file to running tasks, and back to rest.
//!
//! [`Plan::load`] reads and checks everything that serving needs and starts nothing; `check` stops
//! there. [`Plan::start`] opens the journal, binds the listeners and says where they are. A reload
//! loads another plan and swaps what it gives for what is in force.

mod notify;
mod reload;
mod sockets;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chartward_rules::decide;
use chartward_rules::fhir::tables::r4;
use chartward_rules::pack::Program;
use chartward_rules::proof::Entry;
use chartward_rules::record;
use chartward_rules::source::{Diagnostics, Source, Spanned, nearest};
use tokio::runtime::{self, Runtime};

use crate::base::clock::now;
use crate::base::config::{self, Config};
use crate::base::journal::{self, Journal, Recorder};
use crate::base::live::Live;
use crate::base::metrics::{Metrics, raise};
use crate::control::health::{Health, Readiness};
use crate::control::reload::Watch;
use crate::data::identity::{Identity, Place, Settings, SettingsError};
use crate::data::listen::{self, Listening, listen, listen_on};
use crate::data::pages::Pages;
use crate::data::pipeline::{Pipeline, Service, State};
use crate::data::tls;
use crate::data::upstream::{self, Target};
use reload::{Reloader, Status};
use sockets::Handed;

/// Masked bytes that are held before an answer begins to stream.
const WINDOW: usize = 256 << 10;

/// A configuration with everything it names, read and checked.
pub struct Plan {
    path: PathBuf,
    config: Config,
    programs: Vec<Arc<Program>>,
    targets: Vec<Arc<Target>>,
    tls: tls::Offer,
    settings: Settings,
}

/// Why a checked configuration can't be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal can't be opened.
    #[error("`journal.directory` `{0}`: {1}")]
    Journal(String, journal::OpenError),
    /// The key of page handles can't be read or made.
    #[error("`secrets.handles`: {0}")]
    Handles(io::Error),
    /// A listener can't be bound.
    #[error("`listen.{0}` `{1}`: {2}")]
    Listen(&'static str, SocketAddr, io::Error),
    /// Identity refuses what the check let pass.
    #[error("{0}")]
    Identity(String),
    /// Threads, metrics.
    #[error("can't start: {0}")]
    Other(String),
}

impl Plan {
    /// Loads all that serving needs. Every error at once, each with its place.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let (config, mut found) = read(path)?;
        let programs: Vec<Option<Arc<Program>>> = config
            .services
            .iter()
            .map(|service| compile(&config, service, &mut found))
            .collect();
        let targets: Vec<Option<Arc<Target>>> = config
            .services
            .iter()
            .map(|service| {
                keep(
                    Target::new(&config.source, service, &config.limits),
                    &mut found,
                )
            })
            .collect();
        let tls = keep(tls::Offer::read(&config), &mut found);
        let settings = Settings::of(&config, |name| r4().resource(name).is_some());
        for problem in crate::data::identity::problems(&settings) {
            report(&config, &problem, &mut found);
        }
        let programs: Option<Vec<_>> = programs.into_iter().collect();
        if let Some(programs) = &programs {
            check_roles(&config, programs, &mut found);
        }
        let targets: Option<Vec<_>> = targets.into_iter().collect();
        match (programs, targets, tls) {
            (Some(programs), Some(targets), Some(tls)) if !found.has_errors() => Ok(Self {
                path: path.to_owned(),
                config,
                programs,
                targets,
                tls,
                settings,
            }),
            _ => {
                found.sort();
                Err(found)
            }
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The packs of each service: its name, their names and hash, and how many grants they have.
    pub fn packs(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        let services = self.config.services.iter().zip(&self.programs);
        services.map(|(service, program)| {
            (
                service.name.value.as_str(),
                &**program.id(),
                program.grant_count(),
            )
        })
    }

    /// Goes on with what is the same in another plan: connections, sessions.
    fn keep_of(&mut self, before: &Self) {
        for target in &mut self.targets {
            *target = target.clone().or_kept(&before.targets);
        }
        self.tls.keep_of(&before.tls);
    }

    /// Opens the journal, binds the listeners, starts the threads.
    pub fn start(self) -> Result<Running, StartError> {
        let other = |error: &dyn std::fmt::Display| StartError::Other(error.to_string());
        let config = &self.config;
        let (https, scraped) = (config.listen.https, config.listen.metrics);
        let failed = |key, address| move |error| StartError::Listen(key, address, error);
        // the environment is read before there are threads
        let handed = Handed::take().map_err(failed("https", https))?;
        let node: Arc<str> = node().into();
        let journal = open_journal(config, &node)?;
        let handles = config.secrets.handles.open().map_err(StartError::Handles)?;
        let pages = Pages::new(handles.expose())
            .ok_or_else(|| StartError::Handles(io::Error::other("not a key of 32 bytes")))?;
        let names = config.services.iter().map(|s| s.name.value.as_str());
        let metrics = Metrics::new(names).map_err(|error| other(&error))?;
        let control = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("control")
            .enable_all()
            .build()
            .map_err(|error| other(&error))?;
        let identity = Identity::new(&self.settings, control.handle(), None).map_err(|errors| {
            let all: Vec<String> = errors.iter().map(SettingsError::to_string).collect();
            StartError::Identity(all.join("; "))
        })?;
        let state = self.state(identity, &metrics, control.handle())?;
        let pipeline = Arc::new(Pipeline {
            live: Live::new(state),
            pages,
            journal: journal.clone(),
            metrics: metrics.clone(),
            node: node.clone(),
        });
        metrics.reload.applied(1, now().seconds());
        let stopping = Arc::new(AtomicBool::new(false));
        let status = Arc::new(Status::new(config.server.clone()));
        let readiness = Readiness::default();
        register(&readiness, &metrics, &pipeline, &stopping, &status);
        let settings = listen::Settings {
            address: config.listen.https,
            workers: config.server.workers,
            limits: config.limits.clone(),
            tls: self.tls.server.clone(),
        };
        let listening = sockets::at(handed.https, https)
            .and_then(|handed| match handed {
                Some(socket) => listen_on(socket, settings, &pipeline, &metrics),
                None => listen(settings, &pipeline, &metrics),
            })
            .map_err(failed("https", https))?;
        let health = sockets::at(handed.metrics, scraped)
            .and_then(|handed| match handed {
                Some(socket) => Health::start_on(socket, metrics, readiness),
                None => Health::start(scraped, metrics, readiness),
            })
            .map_err(failed("metrics", scraped))?;
        let recorder = record_start(&control, &pipeline);
        let reloader = Reloader {
            path: self.path.clone(),
            pipeline,
            door: listening.door(),
            control: control.handle().clone(),
            handles,
            recorder,
            status: status.clone(),
            plan: self,
        };
        let watch = Watch::start(reloader).map_err(|error| other(&error))?;
        notify::ready();
        Ok(Running {
            watch,
            listening,
            health,
            journal,
            control,
            stopping,
            status,
        })
    }

    /// All that requests are served under.
    fn state(
        &self,
        identity: Identity,
        metrics: &Metrics,
        control: &runtime::Handle,
    ) -> Result<State, StartError> {
        let config = &self.config;
        let public = config.listen.public_url.text().trim_end_matches('/');
        let parts = config.services.iter().zip(&self.programs);
        let mut services = Vec::new();
        for ((service, program), target) in parts.zip(&self.targets) {
            let name = &service.name.value;
            upstream::watch(target, metrics, control);
            let lost = || StartError::Other(format!("the service `{name}` was lost"));
            services.push(Service {
                name: name.as_str().into(),
                path: service.path.value.clone(),
                rules: decide::Service {
                    base: format!("{public}{}", service.path.value).into(),
                    upstream_path: service.upstream.path().trim_end_matches('/').into(),
                    page_default: u32::try_from(service.page.default).unwrap_or(u32::MAX),
                    page_max: u32::try_from(service.page.max).unwrap_or(u32::MAX),
                    withheld_notice: service.withheld_notice,
                    row_max: config.limits.row_bytes,
                    body_max: config.limits.body_bytes,
                    window: WINDOW,
                },
                program: program.clone(),
                identity: identity.service(name).ok_or_else(lost)?,
                target: target.clone(),
                ceilings: config
                    .clients
                    .iter()
                    .map(|client| (Some(client.id.value.clone()), client.roles.clone()))
                    .chain([(None, service.default_client.clone())])
                    .collect(),
                metrics: metrics.service(name),
            });
        }
        Ok(State {
            services,
            identity,
            limits: config.limits.clone(),
            trust: self.tls.trust.clone(),
            quantum: config.listen.refusal_quantum,
        })
    }
}

/// A gateway at work.
pub struct Running {
    watch: Watch,
    listening: Listening,
    health: Health,
    journal: Arc<Journal>,
    control: Runtime,
    stopping: Arc<AtomicBool>,
    status: Arc<Status>,
}

impl Running {
    /// Where FHIR is served, with the real port.
    pub fn https(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Where metrics and health are, with the real port.
    pub fn metrics(&self) -> SocketAddr {
        self.health.address()
    }

    /// Reads the configuration and its files again, on another thread.
    pub fn reload(&self) {
        self.watch.now();
    }

    /// Readiness falls, balancers have their time, what waits is accepted and no more, requests
    /// end, the journal last.
    pub fn stop(self) {
        notify::stopping();
        self.stopping.store(true, Ordering::Relaxed);
        let server = self.status.said().server;
        thread::sleep(server.drain_delay);
        // a reload that is under way comes to its end, and none begins
        drop(self.watch);
        let cut = self.listening.stop(server.drain);
        if cut > 0 {
            tracing::warn!(
                connections = cut,
                "cut connections that did not end in time"
            );
        }
        drop(self.control);
        if !self.journal.close(Duration::from_secs(5)) {
            tracing::error!("the journal did not close in time");
        }
        drop(self.health);
    }
}

/// The configuration as far as it can be read, so that what it names is checked, too.
fn read(path: &Path) -> Result<(Config, Diagnostics), Diagnostics> {
    let Ok(text) = fs::read_to_string(path) else {
        // it says why
        return Config::load(path).map(|config| (config, Diagnostics::new()));
    };
    let source = Source::new(path.display().to_string(), text);
    let outcome = Config::read(&source, path.parent().unwrap_or(Path::new("")));
    match outcome.value {
        Some(config) => Ok((config, outcome.diagnostics)),
        None => Err(outcome.diagnostics),
    }
}

fn compile(
    config: &Config,
    service: &config::Service,
    found: &mut Diagnostics,
) -> Option<Arc<Program>> {
    let mut sources = Vec::new();
    for path in &service.packs {
        match fs::read_to_string(&path.value) {
            Ok(text) => sources.push(Source::new(path.value.display().to_string(), text)),
            Err(error) => {
                let message = format!(
                    "pack `{}` can't be read: {}",
                    path.value.display(),
                    error.kind()
                );
                found.error(&config.source, path.span, message);
            }
        }
    }
    if sources.len() != service.packs.len() {
        return None;
    }
    keep(Program::compile(&sources), found).map(Arc::new)
}

fn keep<T>(result: Result<T, Diagnostics>, found: &mut Diagnostics) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(errors) => {
            found.append(errors);
            None
        }
    }
}

/// Roles that the configuration names exist in a pack.
fn check_roles(config: &Config, programs: &[Arc<Program>], found: &mut Diagnostics) {
    let known: Vec<&str> = programs.iter().flat_map(|p| p.roles()).collect();
    let mapped = config
        .issuers
        .iter()
        .flat_map(|issuer| issuer.map.iter().map(|(_, role)| role));
    let held = config.workloads.iter().flat_map(|workload| &workload.roles);
    let ceilings = config.clients.iter().map(|client| &client.roles);
    let ceilings = ceilings.chain(
        config
            .services
            .iter()
            .map(|service| &service.default_client),
    );
    let listed = ceilings.flat_map(|ceiling| match ceiling {
        config::Ceiling::Any => &[][..],
        config::Ceiling::Roles(roles) => roles,
    });
    let all: Vec<&Spanned<String>> = mapped.chain(held).chain(listed).collect();
    for role in all {
        if known.contains(&role.as_str()) {
            continue;
        }
        let message = format!("no pack has a role `{}`", role.value);
        match nearest(role, known.iter().copied()) {
            Some(near) => {
                found.error_with_help(
                    &config.source,
                    role.span,
                    message,
                    format!("did you mean `{near}`?"),
                );
            }
            None => found.error(&config.source, role.span, message),
        }
    }
}

fn report(config: &Config, problem: &SettingsError, found: &mut Diagnostics) {
    let span = match problem.place {
        Place::Service(at) => config.services.get(at).map(|s| s.name.span),
        Place::Issuer(at) => config.issuers.get(at).map(|i| i.span),
        Place::Workload(at) => config.workloads.get(at).map(|w| w.certificate.span),
    };
    let message = format!("`{}`: {}", problem.key, problem.problem);
    found.error(&config.source, span.unwrap_or_default(), message);
}

fn open_journal(config: &Config, node: &Arc<str>) -> Result<Arc<Journal>, StartError> {
    let directory = &config.journal.directory;
    let durability = match config.journal.durability {
        config::Durability::Fsync => journal::Durability::Fsync,
        config::Durability::Write => journal::Durability::Write,
    };
    let options = journal::Options::new(directory, durability, node.clone());
    let journal = Journal::open(options)
        .map_err(|error| StartError::Journal(directory.display().to_string(), error))?;
    let recovery = journal.recovery();
    if let Some(cut) = &recovery.cut {
        tracing::warn!(
            bytes = cut.bytes,
            seq = cut.seq,
            "cut a torn tail of the journal"
        );
    }
    if let Some(damage) = &recovery.damage {
        tracing::error!(%damage, "the journal is damaged; `chartward audit verify` names the record");
    }
    Ok(Arc::new(journal))
}

/// What `/readyz` asks and what a scrape brings up to date.
fn register(
    readiness: &Readiness,
    metrics: &Metrics,
    pipeline: &Arc<Pipeline>,
    stopping: &Arc<AtomicBool>,
    status: &Arc<Status>,
) {
    let stopping = stopping.clone();
    readiness.add("process", move || {
        if stopping.load(Ordering::Relaxed) {
            Err("stopping".to_owned())
        } else {
            Ok(())
        }
    });
    let status = status.clone();
    readiness.mention("reload", move || match status.said().failure {
        Some(failure) => Err(format!("the last one failed: {failure}")),
        None => Ok(()),
    });
    let journal = pipeline.journal.clone();
    readiness.add("journal", move || match journal.health() {
        journal::Health::Ready => Ok(()),
        health => Err(format!("{health:?}").to_lowercase()),
    });
    let of_identity = pipeline.clone();
    readiness.add("identity", move || {
        let issuers = of_identity.live.glance().identity.ready();
        let waiting = issuers.into_iter().filter(|issuer| !issuer.ready);
        let names: Vec<String> = waiting
            .map(|issuer| format!("no keys of `{}`", issuer.issuer))
            .collect();
        if names.is_empty() {
            Ok(())
        } else {
            Err(names.join(", "))
        }
    });
    // other services, and other gateways' callers, are no better off if this one isn't ready
    let of_upstreams = pipeline.clone();
    readiness.mention("upstream", move || {
        let state = of_upstreams.live.now();
        let down = state.services.iter().filter_map(|service| {
            let (all, up) = service.target.standing();
            (up == 0).then(|| format!("none of {all} of `{}` is up", service.name))
        });
        let down: Vec<String> = down.collect();
        if down.is_empty() {
            Ok(())
        } else {
            Err(down.join(", "))
        }
    });
    let of_figures = pipeline.clone();
    metrics.before_scrape(move |metrics| {
        let counters = of_figures.journal.counters();
        raise(
            &metrics.journal.records,
            counters.records.load(Ordering::Relaxed),
        );
        raise(
            &metrics.journal.bytes,
            counters.bytes.load(Ordering::Relaxed),
        );
        raise(
            &metrics.journal.batches,
            counters.batches.load(Ordering::Relaxed),
        );
        raise(
            &metrics.journal.failures,
            counters.failures.load(Ordering::Relaxed),
        );
        raise(
            &metrics.journal.notes_lost,
            counters.notes_lost.load(Ordering::Relaxed),
        );
        metrics.journal.healthy.set(i64::from(
            of_figures.journal.health() == journal::Health::Ready,
        ));
        let live = of_figures.live.now();
        let (hits, misses) = live.identity.cached();
        raise(&metrics.token_cache_hits, hits);
        raise(&metrics.token_cache_misses, misses);
        let (begun, failed) = live.identity.fetches();
        metrics.jwks_fetches(begun.saturating_sub(failed), failed);
    });
}

/// The journal says when a process began, under which packs.
fn record_start(control: &Runtime, pipeline: &Arc<Pipeline>) -> Recorder {
    let live = pipeline.live.now();
    let packs: Vec<&str> = live.services.iter().map(|s| &**s.program.id()).collect();
    let fields = format!(
        r#""version":"{}","packs":{}"#,
        env!("CARGO_PKG_VERSION"),
        serde_json::json!(packs)
    );
    let record = record::event(now(), "start", &pipeline.node, &fields);
    let recorder = pipeline.journal.recorder();
    control.spawn(recorder.run());
    recorder.note(Entry::own(record));
    recorder
}

/// The machine's name, for records.
fn node() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "chartward".to_owned()
    } else {
        name.chars().take(60).collect()
    }
}
