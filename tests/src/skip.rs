//! What a test needs and may lack: a skip is said aloud, counted by `tests/run`, and a failure
//! where `CHARTWARD_REQUIRE=all`.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use crate::{peers, synthea};

/// Whether `what` is here: `binary`, `python`, `node` or `synthea`. Where it isn't, the skip is noted
/// and the test returns:
///
/// ```ignore
/// if !need("binary") { return; }
/// ```
pub fn need(what: &str) -> bool {
    let missing = match what {
        "binary" => binary()
            .is_none()
            .then_some("the gateway's binary (CHARTWARD_BIN)"),
        "python" => peers::python()
            .is_none()
            .then_some("the Python parts (CHARTWARD_PYTHON)"),
        "node" => peers::node_modules()
            .is_none()
            .then_some("the Node parts (CHARTWARD_NODE)"),
        "synthea" => synthea::folder()
            .is_none()
            .then_some("the Synthea data (CHARTWARD_SHARED)"),
        other => panic!("no such need: `{other}`"),
    };
    match missing {
        None => true,
        Some(what) => {
            skip(what);
            false
        }
    }
}

/// All of them; each that lacks is noted.
pub fn need_all(what: &[&str]) -> bool {
    let lacking = what.iter().filter(|one| !need(one)).count();
    lacking == 0
}

/// The binary under test.
pub fn binary() -> Option<PathBuf> {
    env::var_os("CHARTWARD_BIN")
        .map(PathBuf::from)
        .filter(|path| path.is_file())
}

/// Notes that the test is skipped for want of `what`.
pub fn skip(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        env::var("CHARTWARD_REQUIRE").as_deref() != Ok("all"),
        "`{test}` needs {what}, and CHARTWARD_REQUIRE=all forbids a skip"
    );
    // Written past the capture of passing tests.
    let _ = writeln!(std::io::stderr(), "SKIP {test}: needs {what}");
    if let Some(file) = env::var_os("CHARTWARD_SKIPS") {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .expect("the list of skips");
        writeln!(file, "{test}: needs {what}").expect("a line in the list of skips");
    }
}
