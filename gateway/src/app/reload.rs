//! A reload: the files read, checked and built whole, then one swap; or nothing of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chartward_rules::proof::Entry;
use chartward_rules::record;
use chartward_rules::source::{Diagnostics, Source};
use tokio::runtime::Handle;

use super::Plan;
use crate::base::clock::now;
use crate::base::config::{Config, Secret, Server};
use crate::base::journal::Recorder;
use crate::control::reload::{Reload, Trigger};
use crate::data::identity::{Identity, SettingsError};
use crate::data::listen::Door;
use crate::data::pipeline::{Pipeline, State};

/// How long a reload waits for the keys of issuers that are new.
const KEYS: Duration = Duration::from_secs(10);

/// What came of the last reload, for others to look at.
pub(super) struct Status(Mutex<Said>);

#[derive(Clone)]
pub(super) struct Said {
    /// What is wrong, where it failed.
    pub(super) failure: Option<String>,
    /// What is in force.
    pub(super) server: Server,
}

impl Status {
    pub(super) fn new(server: Server) -> Self {
        Self(Mutex::new(Said {
            failure: None,
            server,
        }))
    }

    pub(super) fn said(&self) -> Said {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the files again, and puts what they say in force.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    /// What is in force.
    pub(super) plan: Plan,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) door: Door,
    pub(super) control: Handle,
    /// The key that page handles are sealed with.
    pub(super) handles: Secret,
    pub(super) recorder: Recorder,
    pub(super) status: Arc<Status>,
}

/// Why a reload changed nothing.
enum Failed {
    /// Each with its place.
    Files(Diagnostics),
    /// Nothing that stands in the files.
    Other(String),
}

impl Reload for Reloader {
    fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.path.clone()];
        if let Ok(text) = fs::read_to_string(&self.path) {
            let source = Source::new("", text);
            Config::read_noting(&source, folder(&self.path), &mut files);
        }
        files
    }

    fn poll(&self) -> Option<Duration> {
        self.plan.config.reload.poll
    }

    fn reload(&mut self, trigger: Trigger) {
        let _told = super::notify::reloading();
        let metrics = self.pipeline.metrics.clone();
        match self.apply(trigger) {
            Ok(generation) => {
                *self.status.held() = Said {
                    failure: None,
                    server: self.plan.config.server.clone(),
                };
                metrics.reload.applied(generation, now().seconds());
                tracing::info!(generation, trigger = trigger.word(), "reloaded");
            }
            Err(failed) => {
                let (short, long) = match failed {
                    Failed::Files(found) => (short(&found), found.render()),
                    Failed::Other(why) => (why.clone(), why),
                };
                self.status.held().failure = Some(short);
                metrics.reload.failed();
                let trigger = trigger.word();
                tracing::error!("not reloaded ({trigger}), nothing has changed:\n{long}");
                let generation = self.pipeline.live.glance().generation;
                let fields = serde_json::json!({
                    "outcome": "failed", "trigger": trigger, "generation": generation,
                });
                self.recorder.note(self.record(&fields));
            }
        }
    }
}

impl Reloader {
    fn apply(&mut self, trigger: Trigger) -> Result<u64, Failed> {
        let mut plan = Plan::load(&self.path).map_err(Failed::Files)?;
        let fixed = self.plan.config.restart_only(&plan.config, &self.handles);
        if !fixed.is_empty() {
            return Err(Failed::Files(fixed));
        }
        plan.keep_of(&self.plan);
        let before = self.pipeline.live.now();
        let state = self.state(&plan, &before.state)?;
        let packs = |state: &State| -> Vec<String> {
            let ids = state.services.iter().map(|s| s.program.id().to_string());
            ids.collect()
        };
        let generation = before.generation + 1;
        let fields = serde_json::json!({
            "outcome": "applied", "trigger": trigger.word(), "generation": generation,
            "packs": { "old": packs(&before), "new": packs(&state) },
        });
        // recorded first: no decision stands in the journal before the pack that it was made by
        let receipt = self
            .control
            .block_on(self.recorder.commit(self.record(&fields)));
        receipt.map_err(|error| Failed::Other(error.to_string()))?;
        let kept: Vec<_> = state.services.iter().map(|s| s.name.clone()).collect();
        let generation = self.pipeline.live.swap(state);
        let gone = before.services.iter().map(|s| &s.name);
        gone.filter(|name| !kept.contains(name)).for_each(|name| {
            self.pipeline.metrics.upstream_healthy(name, 0);
        });
        // after it: what a handshake lets in is judged by no older trust
        self.door
            .change(plan.config.limits.clone(), plan.tls.server.clone());
        self.plan = plan;
        Ok(generation)
    }

    fn state(&self, plan: &Plan, before: &State) -> Result<State, Failed> {
        let identity = Identity::new(&plan.settings, &self.control, Some(&before.identity));
        let identity = identity.map_err(|errors| {
            let all: Vec<String> = errors.iter().map(SettingsError::to_string).collect();
            Failed::Other(all.join("; "))
        })?;
        let keys = async { tokio::time::timeout(KEYS, identity.prepared()).await };
        if self.control.block_on(keys).is_err() {
            tracing::warn!("an issuer's keys are not there yet");
        }
        plan.state(identity, &self.pipeline.metrics, &self.control)
            .map_err(|error| Failed::Other(error.to_string()))
    }

    fn record(&self, fields: &serde_json::Value) -> Entry {
        let text = fields.to_string();
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        let fields = inner.unwrap_or_default();
        Entry::own(record::event(now(), "reload", &self.pipeline.node, fields))
    }
}

/// The folder that paths in a configuration start at.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The first error in a line, and how many more there are.
fn short(found: &Diagnostics) -> String {
    let first = found.iter().next().map(ToString::to_string);
    let first = first.unwrap_or_default();
    match found.len() {
        0 | 1 => first,
        all => format!("{first}, and {} more", all - 1),
    }
}
