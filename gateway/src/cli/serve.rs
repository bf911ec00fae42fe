//! `chartward serve`: runs until it is told to stop.

use std::io::{self, Write};
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

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
    let running = match plan.start() {
        Ok(running) => running,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            return UNUSABLE;
        }
    };
    let _ = ready(&running, out);
    match wait_for_signal() {
        Ok(()) => {}
        Err(error) => {
            let _ = writeln!(err, "error: signals can't be waited for: {error}");
        }
    }
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

/// Returns at SIGTERM or SIGINT.
pub(super) fn wait_for_signal() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
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
