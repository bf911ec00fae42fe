//! A skip, said aloud and counted. Other crates' tests include this file by its path.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;

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
