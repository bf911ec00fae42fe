//! What a record costs: prints wall and CPU time for each awaited record of 755 bytes on one
//! core, with 1 and with 64 commits at a time.
//!
//! `cargo run --profile dist -p chartward --example journal -- DIRECTORY [write|fsync]`

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use chartward::base::journal::{Durability, Journal, Options, verify};
use chartward_rules::proof::Entry;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory: PathBuf = arguments.next().ok_or("name a directory to make")?.into();
    let (durability, total) = match arguments.next().as_deref() {
        None | Some("write") => (Durability::Write, 200_000),
        Some("fsync") => (Durability::Fsync, 2_000),
        Some(_) => return Err("durability is `write` or `fsync`".into()),
    };
    fs::create_dir(&directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    println!("durability {durability:?}, {total} records of 755 bytes");
    println!("at a time   µs/record   CPU µs/record   records/group");
    for width in [1, 64] {
        let journal = Journal::open(Options::new(
            directory.join(width.to_string()),
            durability,
            "cost",
        ))?;
        runtime.block_on(measure(&journal, width, total))?;
        if !journal.close(Duration::from_secs(10)) {
            return Err("the journal did not close".into());
        }
        let report = verify(&directory.join(width.to_string()))?;
        if report.records != (total / width * width) as u64 {
            return Err("INVALID: records are missing".into());
        }
    }
    fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn measure(journal: &Journal, width: usize, total: usize) -> Result<(), Box<dyn Error>> {
    let recorder = journal.recorder();
    let runner = tokio::spawn(recorder.run());
    let (began, cpu) = (Instant::now(), cpu()?);
    let tasks: Vec<_> = (0..width)
        .map(|_| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                for _ in 0..total / width {
                    recorder.commit(entry()).await?;
                }
                Ok::<_, chartward::base::journal::Unwritten>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let records = (total / width * width) as f64;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / records;
    println!(
        "{width:>9}   {:>9.2}   {:>13.2}   {:>13.1}",
        each(began.elapsed()),
        each(self::cpu()?.saturating_sub(cpu)),
        records / journal.counters().batches.load(Relaxed) as f64
    );
    runner.abort();
    Ok(())
}

fn entry() -> Entry {
    let mut json = Vec::with_capacity(755);
    json.extend_from_slice(br#"{"time":"2026-03-01T10:00:00.000Z","pad":""#);
    json.resize(753, b'x');
    json.extend_from_slice(b"\"}");
    Entry::own(json)
}

/// CPU time of all threads of this process, from the scheduler.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let running = text.split(' ').next().ok_or("schedstat is empty")?;
        sum += running.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}
