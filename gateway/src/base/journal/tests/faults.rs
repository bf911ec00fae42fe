//! A journal that can't be written says so in time, gives no receipt, and heals.

use std::io;
use std::process::Command;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::disk::{Disk, Files, Tape};
use super::*;

/// What the doubled file system does wrong, and what was seen of the writer.
#[derive(Default)]
struct Plan {
    fail_append: AtomicBool,
    fail_sync: AtomicBool,
    /// Appends wait while this is shut.
    gate: Gate,
    appends: AtomicU64,
    /// A tape was used again after it had failed.
    reused: AtomicBool,
}

#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn shut(&self) {
        *held(&self.shut) = true;
    }

    fn open(&self) {
        *held(&self.shut) = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        drop(self.opened.wait_while(held(&self.shut), |shut| *shut));
    }
}

struct Doubled(Arc<Plan>);

struct DoubledTape {
    real: Box<dyn Tape>,
    plan: Arc<Plan>,
    failed: bool,
}

impl Doubled {
    fn wrap(&self, real: Box<dyn Tape>) -> Box<dyn Tape> {
        let plan = self.0.clone();
        Box::new(DoubledTape {
            real,
            plan,
            failed: false,
        })
    }
}

impl Files for Doubled {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Tape>> {
        Ok(self.wrap(Disk.open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Tape>> {
        Ok(self.wrap(Disk.create(path)?))
    }
}

impl DoubledTape {
    fn check(&mut self, fail: bool) -> io::Result<()> {
        if self.failed {
            self.plan.reused.store(true, Relaxed);
        }
        if fail {
            self.failed = true;
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

impl Tape for DoubledTape {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.plan.gate.pass();
        self.plan.appends.fetch_add(1, Relaxed);
        let fail = self.plan.fail_append.load(Relaxed);
        if fail {
            // as a full disk does: a part is there
            self.real.append(&bytes[..bytes.len() / 2])?;
        }
        self.check(fail)?;
        self.real.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.check(self.plan.fail_sync.load(Relaxed))?;
        self.real.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.real.cut(length)
    }

    fn length(&self) -> io::Result<Option<u64>> {
        self.real.length()
    }

    fn is_at(&self, path: &Path) -> bool {
        self.real.is_at(path)
    }
}

fn doubled(options: Options) -> (Journal, Arc<Plan>) {
    let plan = Arc::new(Plan::default());
    let journal = Journal::open_on(options, Box::new(Doubled(plan.clone()))).unwrap();
    (journal, plan)
}

/// The records' `n`; a record of the journal's own failure is -1.
fn numbers(directory: &Path) -> Vec<i64> {
    show(directory)
        .unwrap()
        .map(|shown| {
            let json: serde_json::Value = serde_json::from_slice(&shown.unwrap().json).unwrap();
            match json["outcome"].as_str() {
                Some("recovered") => -1,
                _ => json["n"].as_i64().unwrap(),
            }
        })
        .collect()
}

#[tokio::test]
async fn a_receipt_comes_after_the_write() {
    let directory = temporary();
    let (journal, plan) = doubled(options(directory.path()));
    let recorder = running(&journal);
    plan.gate.shut();
    let mut commit = Box::pin(recorder.commit(record(0, 100)));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut commit).await;
    assert!(early.is_err(), "a receipt for a record that isn't written");
    assert_eq!(verify(directory.path()).unwrap().records, 0);
    plan.gate.open();
    commit.await.unwrap();
    assert_eq!(verify(directory.path()).unwrap().records, 1);
}

#[tokio::test]
async fn failed_writes_and_syncs_give_no_receipt_and_heal() {
    for sync in [false, true] {
        let directory = temporary();
        let mut options = options(directory.path());
        options.durability = Durability::Fsync;
        let (journal, plan) = doubled(options);
        let recorder = running(&journal);
        recorder.commit(record(0, 100)).await.unwrap();

        let fault = if sync {
            &plan.fail_sync
        } else {
            &plan.fail_append
        };
        fault.store(true, Relaxed);
        let waiting: Vec<_> = (1..20).map(|n| recorder.commit(record(n, 100))).collect();
        recorder.note(record(20, 100));
        for commit in waiting {
            assert_eq!(commit.await.unwrap_err(), Unwritten::Failed);
        }
        assert_eq!(journal.health(), Health::Failed);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1500) {
            let answer = recorder.commit(record(21, 100)).await;
            assert_eq!(answer.unwrap_err(), Unwritten::Failed);
            assert_eq!(journal.health(), Health::Failed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }

        fault.store(false, Relaxed);
        until(&journal, Health::Ready, Duration::from_secs(5)).await;
        recorder.commit(record(22, 100)).await.unwrap();
        assert!(journal.close(Duration::from_secs(5)));
        assert!(!plan.reused.load(Relaxed), "a failed descriptor was reused");
        assert_eq!(verify(directory.path()).unwrap().torn, None);
        assert_eq!(numbers(directory.path()), [0, -1, 22]);
        let last = show(directory.path()).unwrap().nth(1).unwrap().unwrap();
        let last: serde_json::Value = serde_json::from_slice(&last.json).unwrap();
        assert_eq!(last["notes_lost"], 1);
    }
}

#[tokio::test]
async fn a_disk_that_hangs_makes_commits_late_and_the_journal_not_ready() {
    let directory = temporary();
    let (journal, plan) = doubled(options(directory.path()));
    let recorder = running(&journal);
    recorder.commit(record(0, 100)).await.unwrap();
    plan.gate.shut();
    let began = Instant::now();
    let first = tokio::spawn(recorder.commit(record(1, 100)));
    let second = tokio::spawn({
        let recorder = recorder.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            let asked = Instant::now();
            (recorder.commit(record(2, 100)).await, asked.elapsed())
        }
    });
    until(&journal, Health::Stalled, Duration::from_secs(1)).await;
    assert_eq!(first.await.unwrap().unwrap_err(), Unwritten::Late);
    assert!(began.elapsed() < Duration::from_secs(2));
    let (second, took) = second.await.unwrap();
    assert_eq!(second.unwrap_err(), Unwritten::Late);
    assert!(took < Duration::from_secs(2), "{took:?}");
    plan.gate.open();
    until(&journal, Health::Ready, Duration::from_secs(1)).await;
    recorder.commit(record(3, 100)).await.unwrap();
    assert_eq!(numbers(directory.path()), [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_writer_too_far_behind_refuses_more() {
    let directory = temporary();
    let mut options = options(directory.path());
    options.queue_bytes = 10_000;
    let (journal, plan) = doubled(options);
    let recorder = running(&journal);
    plan.gate.shut();
    let mut waiting = Vec::new();
    for n in 0..9 {
        waiting.push(recorder.commit(record(n, 1000)));
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    let began = Instant::now();
    for n in 9..20 {
        let answer = recorder.commit(record(n, 2000)).await;
        assert_eq!(answer.unwrap_err(), Unwritten::Overloaded);
    }
    assert!(began.elapsed() < Duration::from_millis(500));
    plan.gate.open();
    for commit in waiting {
        commit.await.unwrap();
    }
    recorder.commit(record(20, 1000)).await.unwrap();
}

#[tokio::test]
async fn a_file_or_directory_gone_while_live_is_noticed_and_healed() {
    type Harm = fn(&Path);
    let harms: [(&str, bool, Harm); 4] = [
        ("file removed", false, |d| {
            fs::remove_file(&files(d)[0]).unwrap();
        }),
        ("file moved", true, |d| {
            fs::rename(&files(d)[0], d.join("moved")).unwrap();
        }),
        ("directory removed", false, |d| {
            fs::remove_dir_all(d).unwrap()
        }),
        ("directory moved", true, |d| {
            fs::rename(d, d.with_extension("moved")).unwrap();
        }),
    ];
    for (what, kept, harm) in harms {
        let parent = temporary();
        let directory = parent.path().join("journal");
        let journal = Journal::open(options(&directory)).unwrap();
        let recorder = running(&journal);
        recorder.commit(record(0, 100)).await.unwrap();
        harm(&directory);
        let removed = !kept;
        if removed {
            // not even before the idle writer looks
            let answer = recorder.commit(record(1, 100)).await;
            assert_eq!(answer.unwrap_err(), Unwritten::Failed, "{what}");
        }
        until(&journal, Health::Failed, Duration::from_secs(1)).await;
        until(&journal, Health::Ready, Duration::from_secs(5)).await;
        recorder.commit(record(2, 100)).await.unwrap();
        assert_eq!(numbers(&directory), [-1, 2], "{what}");
        let report = verify(&directory).unwrap();
        assert_eq!(report.first_seq, 1, "{what}");
        let again = Journal::open(options(&directory));
        assert!(matches!(again, Err(OpenError::Busy(_))), "{what}");
    }
}

#[tokio::test]
async fn a_file_cut_by_another_is_noticed_before_a_receipt() {
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    let recorder = running(&journal);
    recorder.commit(record(0, 100)).await.unwrap();
    // as `logrotate` does with `copytruncate`
    fs::write(&files(directory.path())[0], "").unwrap();
    let answer = recorder.commit(record(1, 100)).await;
    assert_eq!(answer.unwrap_err(), Unwritten::Failed);
    until(&journal, Health::Ready, Duration::from_secs(5)).await;
    recorder.commit(record(2, 100)).await.unwrap();
    // record 0 is gone, and that shows
    assert!(matches!(verify(directory.path()), Err(Wrong::Fault(_))));
}

#[tokio::test]
async fn a_full_disk_fails_and_heals() {
    for durability in [Durability::Write, Durability::Fsync] {
        let parent = temporary();
        let Some(disk) = Small::mount(&parent.path().join("disk")) else {
            return;
        };
        let mut options = options(&disk.0.join("journal"));
        options.durability = durability;
        let directory = options.directory.clone();
        let journal = Journal::open(options).unwrap();
        let recorder = running(&journal);
        recorder.commit(record(0, 100)).await.unwrap();
        let ballast = disk.0.join("ballast");
        fs::write(&ballast, vec![0; 200 << 10]).unwrap();
        let mut kept = 1;
        let failed = loop {
            let began = Instant::now();
            match recorder.commit(record(kept, 4000)).await {
                Ok(_) => kept += 1,
                Err(error) => break (error, began.elapsed()),
            }
        };
        assert_eq!(failed.0, Unwritten::Failed);
        assert!(failed.1 < Duration::from_secs(2));
        until(&journal, Health::Failed, Duration::from_secs(1)).await;
        let readable = verify(&directory);
        assert!(
            matches!(&readable, Ok(r) if r.records >= kept as u64),
            "{readable:?}"
        );
        fs::remove_file(&ballast).unwrap();
        until(&journal, Health::Ready, Duration::from_secs(5)).await;
        recorder.commit(record(kept, 4000)).await.unwrap();
        let found = numbers(&directory);
        let ours: Vec<_> = found.iter().copied().filter(|n| *n >= 0).collect();
        assert_eq!(ours, (0..=kept as i64).collect::<Vec<_>>());
        assert!(found.contains(&-1));
        assert_eq!(verify(&directory).unwrap().torn, None);
    }
}

/// A file system of 512 KiB in memory.
struct Small(PathBuf);

impl Small {
    /// `None`, said aloud, where this user may not mount; a failure if nothing may be skipped.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(at)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        crate::noted::skip("the right to mount a tmpfs");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
