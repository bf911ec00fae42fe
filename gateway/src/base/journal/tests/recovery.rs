//! What a crash may leave is put right, and nothing whole is lost.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::*;
use crate::base::journal::format::{FRAME_HEADER, SALT, SEGMENT_HEADER};

fn only(directory: &Path) -> PathBuf {
    let found = files(directory);
    assert_eq!(found.len(), 1);
    found[0].clone()
}

#[test]
fn a_tail_cut_at_each_of_the_last_64_kib_recovers_to_the_last_whole_record() {
    let directory = temporary();
    let length = 1800;
    written(directory.path(), 37, length, 1 << 30);
    let path = only(directory.path());
    let bytes = fs::read(&path).unwrap();
    let frame = FRAME_HEADER + SALT + record(10, length).json().len();
    let short = FRAME_HEADER + SALT + record(1, length).json().len();
    // the first ten records have a digit less in `n`
    let starts: Vec<usize> = (0..=37)
        .map(|n: usize| SEGMENT_HEADER + n.min(10) * short + n.saturating_sub(10) * frame)
        .collect();
    assert_eq!(starts.last(), Some(&bytes.len()));
    let from = bytes.len() - (64 << 10);
    assert!(from > SEGMENT_HEADER);
    for cut in from..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let found = recover::recover(directory.path()).unwrap().recovery;
        let whole = starts.iter().rposition(|s| *s <= cut).unwrap();
        assert_eq!(found.next_seq, whole as u64, "cut at {cut}");
        assert_eq!(found.damage, None);
        let torn = cut - starts[whole];
        match found.cut {
            None => assert_eq!(torn, 0),
            Some(was) => {
                assert_eq!((was.bytes, was.seq), (torn as u64, whole as u64));
                assert!(fs::read(&was.kept).unwrap() == bytes[starts[whole]..cut]);
                fs::remove_file(&was.kept).unwrap();
            }
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), starts[whole] as u64);
    }
    let report = verify(directory.path()).unwrap();
    assert_eq!((report.records, report.torn), (36, None));
}

#[test]
fn a_torn_tail_is_reported_apart_and_gone_after_opening() {
    let directory = temporary();
    written(directory.path(), 10, 300, 1 << 30);
    let path = only(directory.path());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    let report = verify(directory.path()).unwrap();
    assert_eq!(report.records, 9);
    let torn = report.torn.unwrap();
    assert_eq!(torn.seq, 9);

    let journal = Journal::open(options(directory.path())).unwrap();
    let cut = journal.recovery().cut.clone().unwrap();
    assert_eq!((cut.seq, cut.bytes), (9, torn.bytes));
    drop(journal);
    written(directory.path(), 5, 300, 1 << 30);
    let report = verify(directory.path()).unwrap();
    assert_eq!((report.records, report.torn), (14, None));
}

#[test]
fn a_crash_while_a_segment_is_begun_recovers() {
    for length in [0, 1, 100, SEGMENT_HEADER - 1, SEGMENT_HEADER] {
        let directory = temporary();
        written(directory.path(), 100, 60, 8000);
        let found = files(directory.path());
        let last = found.last().unwrap();
        let bytes = fs::read(last).unwrap();
        fs::write(last, &bytes[..length]).unwrap();
        let before = verify(directory.path()).unwrap();
        assert_eq!(before.torn.is_some(), length < SEGMENT_HEADER);
        written(directory.path(), 10, 60, 8000);
        let after = verify(directory.path()).unwrap();
        assert_eq!((after.records, after.torn), (before.records + 10, None));
    }
}

#[test]
fn a_damaged_record_is_no_torn_tail_and_costs_no_other() {
    let directory = temporary();
    written(directory.path(), 100, 300, 1 << 30);
    let path = only(directory.path());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    file.write_all_at(b"?", length / 2).unwrap();
    let fault = match verify(directory.path()) {
        Err(Wrong::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    };

    let journal = Journal::open(options(directory.path())).unwrap();
    let recovery = journal.recovery();
    assert_eq!(recovery.next_seq, 100);
    assert_eq!(recovery.cut, None);
    assert_eq!(recovery.damage.as_ref(), Some(&fault));
    drop(journal);
    written(directory.path(), 5, 300, 1 << 30);
    assert!(fs::metadata(&path).unwrap().len() > length);
    match verify(directory.path()) {
        Err(Wrong::Fault(still)) => assert_eq!(still, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_segment_header_is_not_written_on() {
    let directory = temporary();
    written(directory.path(), 10, 300, 1 << 30);
    let path = only(directory.path());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"?", 20).unwrap();
    assert!(matches!(
        Journal::open(options(directory.path())),
        Err(OpenError::Damaged(_))
    ));
}
