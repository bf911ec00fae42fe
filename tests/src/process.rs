//! A child process that says when it is ready, is listened to, and ends with the test.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::PATIENCE;

/// A running child; killed by its id when dropped.
pub struct Process {
    name: String,
    child: Child,
    lines: Mutex<Receiver<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `command` with its output captured.
    pub fn start(name: &str, mut command: Command) -> Self {
        // Parts that outlive a test (statics) end when this end of their input closes.
        command.stdin(Stdio::piped());
        Self::start_with(name, command)
    }

    /// The same with the input that the command has.
    pub fn start_with(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} doesn't start: {error}"));
        let (send, lines) = channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let (from, to) = (
            child.stderr.take().expect("stderr is piped"),
            Arc::clone(&stderr),
        );
        thread::spawn(move || drain(from, &to));
        Self {
            name: name.to_owned(),
            child,
            lines: Mutex::new(lines),
            stderr,
        }
    }

    /// Waits for the first line of standard output that starts with `prefix` and answers it.
    pub fn ready(&self, prefix: &str, within: Duration) -> String {
        let deadline = Instant::now() + within;
        let lines = self.lines.lock().expect("no panic while held");
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with(prefix) => return line,
                Ok(_) => {}
                Err(why) => {
                    // An exit closes stdout before the last of stderr is read.
                    if why == RecvTimeoutError::Disconnected {
                        thread::sleep(Duration::from_millis(50));
                    }
                    panic!(
                        "{} didn't say `{prefix}` ({why}); it said:\n{}",
                        self.name,
                        self.stderr()
                    );
                }
            }
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it ever had resident, in KiB.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))
            .expect("the process's status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            .expect("a peak of memory")
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no panic while held").clone()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by its name without the prefix (`TERM`, `HUP`).
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.id().to_string())
            .status()
            .expect("kill runs");
        assert!(sent.success(), "kill -{signal} of {}", self.name);
    }

    /// Waits for its end.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} still runs; it said:\n{}",
                self.name,
                self.stderr()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- {} (standard error) ---\n{}", self.name, self.stderr());
        }
    }
}

/// Standard output of a command that must succeed.
pub fn output(name: &str, command: &mut Command) -> String {
    let out = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{name} doesn't start: {error}"));
    assert!(
        out.status.success(),
        "{name} failed ({}):\n{}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout)
        .unwrap_or_else(|_| panic!("{name} wrote something that isn't UTF-8"))
}

/// Standard output of a command that is given `input` and must succeed.
pub fn filter(name: &str, command: &mut Command, input: &str) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("input");
    std::fs::write(&file, input).expect("the input");
    let out = command
        .stdin(std::fs::File::open(&file).expect("the input"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(|child| wait(child, PATIENCE * 4))
        .unwrap_or_else(|error| panic!("{name} doesn't run: {error}"));
    assert!(out.0.success(), "{name} failed ({}):\n{}", out.0, out.2);
    out.1
}

fn wait(mut child: Child, within: Duration) -> std::io::Result<(ExitStatus, String, String)> {
    let texts = [
        Arc::new(Mutex::new(String::new())),
        Arc::new(Mutex::new(String::new())),
    ];
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (to_out, to_err) = (Arc::clone(&texts[0]), Arc::clone(&texts[1]));
    let readers = [
        thread::spawn(move || out.into_iter().for_each(|pipe| drain(pipe, &to_out))),
        thread::spawn(move || err.into_iter().for_each(|pipe| drain(pipe, &to_err))),
    ];
    let deadline = Instant::now() + within;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            break child.wait()?;
        }
        thread::sleep(Duration::from_millis(10));
    };
    for reader in readers {
        let _ = reader.join();
    }
    let [out, err] = texts.map(|text| text.lock().expect("no panic while held").clone());
    Ok((status, out, err))
}

fn drain(mut from: impl Read, to: &Mutex<String>) {
    let mut buffer = [0; 8192];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        to.lock()
            .expect("no panic while held")
            .push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}
