//! Whatever is changed in a journal is found, and the right record is named.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::*;
use crate::base::journal::format::{FRAME_HEADER, SEGMENT_HEADER};

/// Where each frame of a segment begins and ends.
fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = SEGMENT_HEADER;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        found.push(at..at + FRAME_HEADER + length);
        at += FRAME_HEADER + length;
    }
    found
}

fn fault(directory: &Path) -> Fault {
    match verify(directory) {
        Err(Wrong::Fault(fault)) => fault,
        other => panic!("not found: {other:?}"),
    }
}

#[test]
fn each_byte_flipped_is_found_and_its_record_named() {
    let directory = temporary();
    written(directory.path(), 100, 60, 8000);
    let segments = files(directory.path());
    assert!(segments.len() > 1);
    let mut seq = 0;
    for path in segments {
        let bytes = fs::read(&path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let frames = frames(&bytes);
        let first = seq;
        for (at, byte) in bytes.iter().enumerate() {
            let flipped = byte ^ (1 << (at % 8));
            file.write_all_at(&[flipped], at as u64).unwrap();
            let found = fault(directory.path());
            let within = frames.iter().position(|f| f.contains(&at)).unwrap_or(0);
            assert_eq!(found.seq, first + within as u64, "byte {at}");
            assert_eq!(found.segment, path, "byte {at}");
            file.write_all_at(&[*byte], at as u64).unwrap();
        }
        seq += frames.len() as u64;
    }
    assert_eq!(seq, 100);
    assert_eq!(verify(directory.path()).unwrap().records, 100);
}

#[test]
fn each_record_removed_doubled_or_moved_is_found() {
    let directory = temporary();
    written(directory.path(), 100, 60, 8000);
    let whole = verify(directory.path()).unwrap();
    let segments = files(directory.path());
    let mut seq = 0;
    for path in &segments {
        let bytes = fs::read(path).unwrap();
        let frames = frames(&bytes);
        for (i, frame) in frames.iter().enumerate() {
            let n = seq + i as u64;
            let without = [&bytes[..frame.start], &bytes[frame.end..]].concat();
            fs::write(path, without).unwrap();
            if n == 99 {
                // the end can't be proven from within, but two heads can be compared
                assert_ne!(verify(directory.path()).unwrap().head, whole.head);
            } else {
                assert_eq!(fault(directory.path()).seq, n);
            }

            let doubled = [&bytes[..frame.end], &bytes[frame.start..]].concat();
            fs::write(path, doubled).unwrap();
            assert_eq!(fault(directory.path()).seq, n + 1);

            if let Some(next) = frames.get(i + 1) {
                let swapped = [
                    &bytes[..frame.start],
                    &bytes[next.clone()],
                    &bytes[frame.clone()],
                    &bytes[next.end..],
                ];
                fs::write(path, swapped.concat()).unwrap();
                assert_eq!(fault(directory.path()).seq, n);
            }
        }
        fs::write(path, &bytes).unwrap();
        seq += frames.len() as u64;
    }
    assert_eq!(verify(directory.path()).unwrap(), whole);
}

#[test]
fn a_record_written_anew_with_fitting_sums_breaks_the_chain() {
    let directory = temporary();
    written(directory.path(), 10, 60, 1 << 20);
    let [path] = &files(directory.path())[..] else {
        panic!()
    };
    let bytes = fs::read(path).unwrap();
    let frame = frames(&bytes)[4].clone();
    let header: &[u8; FRAME_HEADER] = bytes[frame.start..][..FRAME_HEADER].try_into().unwrap();
    let mut header = format::FrameHeader::decode(header).unwrap();
    let mut body = bytes[frame.start + FRAME_HEADER..frame.end].to_vec();
    *body.last_mut().unwrap() ^= 1;
    header.commitment = format::sha256(&[&body]);
    let mut forged = bytes[..frame.start].to_vec();
    header.encode(&mut forged);
    forged.extend_from_slice(&body);
    forged.extend_from_slice(&bytes[frame.end..]);
    fs::write(path, forged).unwrap();
    let fault = fault(directory.path());
    assert_eq!((fault.seq, fault.what), (5, What::Chain));
}

#[test]
fn each_segment_removed_or_renamed_is_found() {
    let directory = temporary();
    written(directory.path(), 100, 60, 4000);
    let whole = verify(directory.path()).unwrap();
    let segments = files(directory.path());
    assert!(segments.len() >= 3);
    let aside = directory.path().join("aside");
    for (i, path) in segments.iter().enumerate() {
        fs::rename(path, &aside).unwrap();
        if i == 0 {
            // as after retention: what is left holds, and says where it begins
            assert!(verify(directory.path()).unwrap().first_seq > 0);
        } else if i + 1 == segments.len() {
            assert_ne!(verify(directory.path()).unwrap().head, whole.head);
        } else {
            assert!(matches!(
                fault(directory.path()).what,
                What::Sequence { .. }
            ));
        }
        fs::rename(&aside, path).unwrap();

        let other = directory.path().join("00000000000000000999.cwj");
        fs::rename(path, &other).unwrap();
        fault(directory.path());
        fs::rename(&other, path).unwrap();
    }
    assert_eq!(verify(directory.path()).unwrap(), whole);
}

#[test]
fn a_segment_of_another_journal_is_found() {
    let (ours, theirs) = (temporary(), temporary());
    written(ours.path(), 100, 60, 4000);
    written(theirs.path(), 100, 60, 4000);
    let name = files(ours.path())[1].file_name().unwrap().to_owned();
    fs::copy(theirs.path().join(&name), ours.path().join(&name)).unwrap();
    assert_eq!(fault(ours.path()).what, What::SegmentChain);
}

#[test]
fn a_segment_cut_short_before_the_last_one_is_found() {
    let directory = temporary();
    written(directory.path(), 100, 60, 4000);
    let first = &files(directory.path())[0];
    let length = fs::metadata(first).unwrap().len();
    for cut in [1, 50, length - 100, length] {
        let bytes = fs::read(first).unwrap();
        fs::write(first, &bytes[..(length - cut) as usize]).unwrap();
        fault(directory.path());
        fs::write(first, &bytes).unwrap();
    }
}

#[test]
fn no_journal_is_not_a_journal_that_holds() {
    let directory = temporary();
    assert!(matches!(verify(directory.path()), Err(Wrong::NoJournal(_))));
    assert!(matches!(
        verify(&directory.path().join("none")),
        Err(Wrong::Unreadable { .. })
    ));
}
