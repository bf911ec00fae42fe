//! `chartward serve`: runs until it is told to stop.

use std::io::{self, Write};
use std::path::Path;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::UNUSABLE;
use crate::app::{Plan, Running};
use crate::base::config::{Level, Log, LogFormat};

/// Exit codes: 0 stopped as asked, 2 the configuration can't be served.
pub fn serve(path: &Path, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let plan = match Plan::load(path) {
        Ok(plan) => plan,
        Err(errors) => {
            let _ = writeln!(err, "{}\n\n{} to mend", errors.render(), errors.len());
            return UNUSABLE;
        }
    };
    start_log(&plan.config().log);
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => {
            let _ = writeln!(err, "error: signals can't be waited for: {error}");
            return UNUSABLE;
        }
    };
    let running = match plan.start() {
        Ok(running) => running,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            return UNUSABLE;
        }
    };
    let _ = ready(&running, out);
    signals.wait(|| running.reload());
    running.stop();
    0
}

/// The line that says where the listeners are.
pub(super) fn ready(running: &Running, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "chartward ready https={} metrics={}",
        running.https(),
        running.metrics()
    )?;
    out.flush()
}

/// What the process is told by signals. Caught from [`Signals::catch`] on: a SIGHUP that comes
/// early isn't the end.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (terminate, interrupt, hangup) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
            )
        };
        Ok(Self {
            runtime,
            terminate,
            interrupt,
            hangup,
        })
    }

    /// Returns at SIGTERM or SIGINT. `reload` is called at SIGHUP.
    pub(super) fn wait(mut self, reload: impl Fn()) {
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = self.terminate.recv() => return,
                    _ = self.interrupt.recv() => return,
                    _ = self.hangup.recv() => reload(),
                }
            }
        });
    }
}

/// Logs go to standard error. They hold no patient data: requests are in the journal.
pub(super) fn start_log(log: &Log) {
    let level = match log.level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(false);
    // a second subscriber in one process is no reason not to serve
    let _ = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
