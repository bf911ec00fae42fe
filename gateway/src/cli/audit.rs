//! `chartward audit`: reads a journal, offline or live.
//!
//! Exit codes: 0 the journal holds, 1 a record or segment is wrong, 2 it can't be read.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use crate::base::journal::{self, Wrong};

/// Everything holds.
pub const HOLDS: u8 = 0;
/// A record or a segment is wrong.
pub const WRONG: u8 = 1;
/// The input is no journal, or can't be read.
pub const UNUSABLE: u8 = 2;

/// `audit verify --journal DIR`: proves that nothing was changed, and says what is there.
pub fn verify(directory: &Path, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match journal::verify(directory) {
        Ok(report) => match print(&report, out) {
            Ok(()) => HOLDS,
            Err(error) => unprinted(&error, err),
        },
        Err(wrong) => complain(&wrong, err),
    }
}

/// `audit show --journal DIR`: one record a line, JSON, its `seq` first.
pub fn show(directory: &Path, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let records = match journal::show(directory) {
        Ok(records) => records,
        Err(wrong) => return complain(&wrong, err),
    };
    for record in records {
        match record {
            Ok(record) => {
                if let Err(error) = line(&record, out) {
                    return unprinted(&error, err);
                }
            }
            Err(wrong) => return complain(&wrong, err),
        }
    }
    match out.flush() {
        Ok(()) => HOLDS,
        Err(error) => unprinted(&error, err),
    }
}

fn print(report: &journal::Report, out: &mut dyn Write) -> io::Result<()> {
    let time = |t: &Option<String>| t.clone().unwrap_or_else(|| "-".into());
    writeln!(out, "journal holds")?;
    writeln!(out, "segments    {}", report.segments)?;
    writeln!(out, "records     {}", report.records)?;
    writeln!(out, "first seq   {}", report.first_seq)?;
    writeln!(out, "first time  {}", time(&report.first_time))?;
    writeln!(out, "last time   {}", time(&report.last_time))?;
    writeln!(out, "chain head  {}", report.head)?;
    if let Some(torn) = &report.torn {
        writeln!(
            out,
            "-- {} bytes of record {} at the end of {}: usual while the journal is written, or after a crash",
            torn.bytes,
            torn.seq,
            torn.segment.display()
        )?;
    }
    out.flush()
}

fn line(record: &journal::Shown, out: &mut dyn Write) -> io::Result<()> {
    let fields = record.json.strip_prefix(b"{").unwrap_or(&record.json);
    write!(out, "{{\"seq\":{}", record.seq)?;
    if !fields.starts_with(b"}") {
        out.write_all(b",")?;
    }
    out.write_all(fields)?;
    out.write_all(b"\n")
}

fn complain(wrong: &Wrong, err: &mut dyn Write) -> u8 {
    let cause = wrong.source().map(|c| format!(": {c}")).unwrap_or_default();
    // nobody left to tell if this fails; the exit code says it too
    let _ = writeln!(err, "error: {wrong}{cause}");
    match wrong {
        Wrong::Fault(_) => WRONG,
        Wrong::Unreadable { .. } | Wrong::NoJournal(_) => UNUSABLE,
    }
}

/// A reader that has seen enough (`… | head`) is no error.
fn unprinted(error: &io::Error, err: &mut dyn Write) -> u8 {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return HOLDS;
    }
    let _ = writeln!(err, "error: can't write the output: {error}");
    UNUSABLE
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use chartward_rules::proof::Entry;

    use super::*;
    use crate::base::journal::{Durability, Journal, Options};

    type Command = fn(&Path, &mut dyn Write, &mut dyn Write) -> u8;

    fn run(command: Command, directory: &Path) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = command(directory, &mut out, &mut err);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(out), text(err))
    }

    #[tokio::test]
    async fn audit_tells_what_holds_what_is_wrong_and_what_is_no_journal() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("journal");
        assert_eq!(run(verify, &directory).0, UNUSABLE);
        assert_eq!(run(show, &directory).0, UNUSABLE);

        let options = Options::new(&directory, Durability::Write, "test-node");
        let journal = Journal::open(options).unwrap();
        let recorder = journal.recorder();
        tokio::spawn(recorder.run());
        for json in [r#"{"time":"2026-03-01T10:00:00.000Z"}"#, "{}"] {
            let entry = Entry::own(json.as_bytes().to_vec());
            recorder.commit(entry).await.unwrap();
        }
        assert!(journal.close(Duration::from_secs(5)));

        let (code, out, err) = run(verify, &directory);
        assert_eq!((code, &*err), (HOLDS, ""));
        assert!(out.contains("records     2\n"), "{out}");
        assert!(out.contains("chain head  "), "{out}");
        let (code, out, _) = run(show, &directory);
        assert_eq!(code, HOLDS);
        let lines = "{\"seq\":0,\"time\":\"2026-03-01T10:00:00.000Z\"}\n{\"seq\":1}\n";
        assert_eq!(out, lines);

        let segment = directory.join("00000000000000000000.cwj");
        let mut bytes = fs::read(&segment).unwrap();
        let last = bytes.len() - 1;
        let torn = &bytes[..last];
        fs::write(&segment, torn).unwrap();
        let (code, out, err) = run(verify, &directory);
        assert_eq!((code, &*err), (HOLDS, ""));
        assert!(out.contains("\n-- 109 bytes of record 1 "), "{out}");

        bytes[last] ^= 1;
        fs::write(&segment, &bytes).unwrap();
        for command in [verify as Command, show as Command] {
            let (code, _, err) = run(command, &directory);
            assert_eq!(code, WRONG);
            assert!(err.ends_with("record 1: the record's content was changed\n"));
        }
    }
}
