//! What the journal promises, each promise by its name.

mod faults;
mod recovery;
mod tampering;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use chartward_rules::proof::Entry;
use tempfile::TempDir;

use super::*;

/// In memory where there is such a place: thousands of syncs.
pub(super) fn temporary() -> TempDir {
    match Path::new("/dev/shm") {
        shm if shm.is_dir() => tempfile::tempdir_in(shm),
        _ => tempfile::tempdir(),
    }
    .unwrap()
}

pub(super) fn options(directory: &Path) -> Options {
    Options::new(directory, Durability::Write, "test-node")
}

/// A record of about `length` bytes.
pub(super) fn record(n: usize, length: usize) -> Entry {
    let json = format!(
        r#"{{"time":"2026-03-01T10:00:{:02}.000Z","n":{n},"pad":"{}"}}"#,
        n % 60,
        "x".repeat(length.saturating_sub(60))
    );
    Entry::own(json.into_bytes())
}

/// A recorder whose [`Recorder::run`] runs on this test's runtime.
pub(super) fn running(journal: &Journal) -> Recorder {
    let recorder = journal.recorder();
    tokio::spawn(recorder.run());
    recorder
}

/// Writes `count` records of about `length` bytes and closes; segments roll at `segment_bytes`.
pub(super) fn written(directory: &Path, count: usize, length: usize, segment_bytes: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut options = options(directory);
        options.segment_bytes = segment_bytes;
        let journal = Journal::open(options).unwrap();
        let recorder = running(&journal);
        for n in 0..count {
            recorder.commit(record(n, length)).await.unwrap();
        }
        assert!(journal.close(Duration::from_secs(5)));
    });
}

pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let found = scan::segments(directory).unwrap();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Waits until the journal is in that state; how long it took.
pub(super) async fn until(journal: &Journal, health: Health, within: Duration) -> Duration {
    let began = Instant::now();
    while journal.health() != health {
        assert!(began.elapsed() < within, "never became {health:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn what_is_committed_is_there_in_order() {
    for durability in [Durability::Write, Durability::Fsync] {
        let directory = temporary();
        let mut options = options(directory.path());
        options.durability = durability;
        let journal = Journal::open(options).unwrap();
        let recorder = running(&journal);
        for n in 0..10 {
            recorder.note(record(n, 100));
        }
        recorder.commit(record(10, 100)).await.unwrap();
        // readable at once, while the journal is live
        let report = verify(directory.path()).unwrap();
        assert_eq!(
            (report.records, report.segments, report.first_seq),
            (11, 1, 0)
        );
        assert_eq!(
            report.first_time.as_deref(),
            Some("2026-03-01T10:00:00.000Z")
        );
        assert_eq!(
            report.last_time.as_deref(),
            Some("2026-03-01T10:00:10.000Z")
        );
        assert_eq!(report.torn, None);
        for (n, shown) in show(directory.path()).unwrap().enumerate() {
            let shown = shown.unwrap();
            assert_eq!(shown.seq, n as u64);
            assert_eq!(shown.json, record(n, 100).json());
        }
        assert_eq!(journal.counters().records.load(Relaxed), 11);
    }
}

#[tokio::test]
async fn a_journal_goes_on_where_it_ended_and_over_segments() {
    let directory = temporary();
    for _ in 0..5 {
        tokio::task::spawn_blocking({
            let path = directory.path().to_owned();
            move || written(&path, 20, 200, 2000)
        })
        .await
        .unwrap();
    }
    let report = verify(directory.path()).unwrap();
    assert_eq!(report.records, 100);
    assert!(report.segments > 10, "{}", report.segments);
}

#[tokio::test]
async fn concurrent_commits_are_written_in_groups() {
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    let recorder = running(&journal);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                for n in 0..100 {
                    recorder.commit(record(n, 700)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let batches = journal.counters().batches.load(Relaxed);
    assert!(batches <= 6400 / 16, "{batches} batches for 6400 records");
    assert_eq!(verify(directory.path()).unwrap().records, 6400);
}

#[test]
fn many_cores_write_one_chain() {
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let recorder = running(&journal);
                    for n in 0..200 {
                        recorder.note(record(n, 100));
                        recorder.commit(record(n, 100)).await.unwrap();
                    }
                });
            });
        }
    });
    assert!(journal.close(Duration::from_secs(5)));
    assert_eq!(verify(directory.path()).unwrap().records, 1600);
}

#[tokio::test]
async fn closing_writes_what_was_handed_over() {
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    let recorder = running(&journal);
    for n in 0..1000 {
        recorder.note(record(n, 100));
    }
    let last = recorder.commit(record(1000, 100));
    // nothing was polled yet: all of it is still in the core's batch
    assert!(journal.close(Duration::from_secs(5)));
    last.await.unwrap();
    assert_eq!(verify(directory.path()).unwrap().records, 1001);
    let after = recorder.commit(record(1001, 100)).await;
    assert_eq!(after.unwrap_err(), Unwritten::Closed);
    assert_eq!(journal.health(), Health::Closed);
}

#[tokio::test]
async fn what_a_dying_core_collected_is_written() {
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    let recorder = journal.recorder();
    let run = recorder.run();
    recorder.note(record(0, 100));
    let waiting = recorder.commit(record(1, 100));
    drop(run);
    assert_eq!(waiting.await.unwrap_err(), Unwritten::Closed);
    assert!(journal.close(Duration::from_secs(5)));
    assert_eq!(verify(directory.path()).unwrap().records, 2);
}

#[tokio::test]
async fn without_its_runner_a_recorder_refuses_at_once() {
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    let answer = journal.recorder().commit(record(0, 100)).await;
    assert_eq!(answer.unwrap_err(), Unwritten::Closed);
    journal.recorder().note(record(0, 100));
    assert_eq!(journal.counters().notes_lost.load(Relaxed), 1);
}

#[tokio::test]
async fn a_second_writer_is_refused() {
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    let second = Journal::open(options(directory.path()));
    assert!(matches!(second, Err(OpenError::Busy(_))));
    journal.close(Duration::from_secs(5));
    Journal::open(options(directory.path())).unwrap();
}

#[tokio::test]
async fn a_record_too_long_is_refused_and_the_longest_is_read_again() {
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    let recorder = running(&journal);
    let longest = format::MAX_BODY - format::SALT;
    let text = |n| Entry::own(vec![b'x'; n]);
    let answer = recorder.commit(text(longest + 1)).await;
    assert_eq!(answer.unwrap_err(), Unwritten::TooLong);
    recorder.commit(text(longest)).await.unwrap();
    assert_eq!(verify(directory.path()).unwrap().records, 1);
}

#[test]
fn equal_records_have_commitments_unlike() {
    let mut salts = recorder::Salts::default();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let line = recorder::Line::new(b"{}".to_vec(), &mut salts).unwrap();
        assert!(seen.insert(line.commitment));
    }
}

#[test]
fn futures_may_cross_threads() {
    fn send<T: Send>(_: &T) {}
    let directory = temporary();
    let journal = Journal::open(options(directory.path())).unwrap();
    let recorder = journal.recorder();
    send(&recorder.run());
    send(&recorder.commit(record(0, 100)));
    assert!(fs::metadata(directory.path()).is_ok());
}
