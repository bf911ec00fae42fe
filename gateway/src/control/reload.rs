//! When the files are read again: at SIGHUP, and once their content changed and came to rest.
//!
//! In: what reloads, and which files it rests on. Out: calls of it, one at a time, on a thread of
//! its own. The content counts, not the time or the inode: a mounted volume swaps links under a
//! name. **Never here:** what is in the files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

/// What can be read again.
pub trait Reload: Send + 'static {
    /// The files that it would rest on now, there or not.
    fn files(&self) -> Vec<PathBuf>;

    /// How often to look at them; `None`: never.
    fn poll(&self) -> Option<Duration>;

    /// Reads them, and puts what they say in force, or nothing of it.
    fn reload(&mut self, trigger: Trigger);
}

/// Why the files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Somebody said so.
    Signal,
    /// Their content changed.
    Content,
}

impl Trigger {
    /// For records and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Content => "content",
        }
    }
}

/// The thread that watches. Dropped, it ends, after the reload that it may be at.
pub struct Watch {
    ask: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to watch what `subject` rests on. What the files hold now counts as known.
    pub fn start(subject: impl Reload) -> io::Result<Self> {
        let (ask, asked) = channel();
        let known = look(&subject.files());
        let thread = thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || watch(subject, known, &asked))?;
        Ok(Self {
            ask: Some(ask),
            thread: Some(thread),
        })
    }

    /// Asks for a reload now. Doesn't wait for it.
    pub fn now(&self) {
        if let Some(ask) = &self.ask {
            // an error: the thread is gone, and said why
            let _ = ask.send(());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.ask.take());
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the thread that reloads panicked");
        }
    }
}

/// By file: the hash of its content, or that it can't be read.
type Content = BTreeMap<PathBuf, Option<[u8; 32]>>;

fn watch(mut subject: impl Reload, mut known: Content, asked: &Receiver<()>) {
    let mut moved = None;
    loop {
        let trigger = match wait(asked, subject.poll()) {
            Waited::Asked => Trigger::Signal,
            Waited::Over => return,
            Waited::Long => {
                let found = look(&subject.files());
                if found == known {
                    moved = None;
                    continue;
                }
                // a file that is being written isn't read halfway: two looks find the same
                if moved.as_ref() != Some(&found) {
                    moved = Some(found);
                    continue;
                }
                Trigger::Content
            }
        };
        moved = None;
        // looked at before it is read: what changes from here on is found by the next look
        known = look(&subject.files());
        subject.reload(trigger);
    }
}

enum Waited {
    Asked,
    Long,
    Over,
}

fn wait(asked: &Receiver<()>, poll: Option<Duration>) -> Waited {
    let heard = match poll {
        Some(every) => asked.recv_timeout(every),
        None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    match heard {
        Ok(()) => {
            // who asked meanwhile is served by the same reload
            while asked.try_recv().is_ok() {}
            Waited::Asked
        }
        Err(RecvTimeoutError::Timeout) => Waited::Long,
        Err(RecvTimeoutError::Disconnected) => Waited::Over,
    }
}

fn look(files: &[PathBuf]) -> Content {
    let hash = |bytes: Vec<u8>| {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        out
    };
    let each = files.iter();
    each.map(|path| (path.clone(), fs::read(path).ok().map(hash)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;

    struct Subject {
        file: PathBuf,
        poll: Option<Duration>,
        heard: Sender<(Trigger, String)>,
    }

    impl Reload for Subject {
        fn files(&self) -> Vec<PathBuf> {
            vec![self.file.clone()]
        }

        fn poll(&self) -> Option<Duration> {
            self.poll
        }

        fn reload(&mut self, trigger: Trigger) {
            let text = fs::read_to_string(&self.file).unwrap_or_default();
            let _ = self.heard.send((trigger, text));
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    fn start(file: &Path, poll: Option<Duration>) -> (Watch, Receiver<(Trigger, String)>) {
        let (heard, hears) = mpsc::channel();
        let file = file.to_owned();
        (Watch::start(Subject { file, poll, heard }).unwrap(), hears)
    }

    #[test]
    fn a_change_is_read_once_and_what_is_as_it_was_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "one").unwrap();
        let every = Duration::from_millis(20);
        let (_watch, hears) = start(&file, Some(every));
        // written again as it was
        fs::write(&file, "one").unwrap();
        assert!(hears.recv_timeout(every * 10).is_err());
        fs::write(&file, "two").unwrap();
        let heard = hears.recv_timeout(LONG).unwrap();
        assert_eq!(heard, (Trigger::Content, "two".to_owned()));
        assert!(hears.recv_timeout(every * 10).is_err(), "read twice");
        fs::remove_file(&file).unwrap();
        let heard = hears.recv_timeout(LONG).unwrap();
        assert_eq!(heard, (Trigger::Content, String::new()));
    }

    #[test]
    fn a_file_that_keeps_changing_is_read_when_it_rests() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "").unwrap();
        let (_watch, hears) = start(&file, Some(Duration::from_millis(100)));
        for n in 0..40 {
            fs::write(&file, format!("part {n}")).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
        let heard = hears.recv_timeout(LONG).unwrap();
        assert_eq!(heard, (Trigger::Content, "part 39".to_owned()));
    }

    #[test]
    fn without_a_poll_only_the_signal_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        let (watch, hears) = start(&file, None);
        fs::write(&file, "new").unwrap();
        assert!(hears.recv_timeout(Duration::from_millis(200)).is_err());
        watch.now();
        let heard = hears.recv_timeout(LONG).unwrap();
        assert_eq!(heard, (Trigger::Signal, "new".to_owned()));
    }
}
