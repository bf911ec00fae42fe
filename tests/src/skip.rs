//! What a test needs and may lack: a skip is said aloud, counted by `tests/run`, and a failure
//! where `CHARTWARD_REQUIRE=all`.

use std::env;
use std::path::PathBuf;

pub use crate::noted::skip;
use crate::{peers, synthea};

/// Whether `what` is here: `binary`, `python`, `node`, `synthea`, `sslyze`, `slowhttptest`,
/// `h2load` or `promtool`. Where it isn't, the skip is noted
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
        "sslyze" => sslyze().is_none().then_some("sslyze (CHARTWARD_SSLYZE)"),
        "slowhttptest" => lacks("slowhttptest").then_some("slowhttptest"),
        "h2load" => lacks("h2load").then_some("h2load"),
        "promtool" => lacks("promtool").then_some("promtool"),
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

/// The command of sslyze, in an environment of its own.
pub fn sslyze() -> Option<PathBuf> {
    env::var_os("CHARTWARD_SSLYZE")
        .map(PathBuf::from)
        .filter(|path| path.is_file())
}

fn lacks(command: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    !env::split_paths(&paths).any(|folder| folder.join(command).is_file())
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
