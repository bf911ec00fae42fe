//! Support for black-box tests of the built binary.
//!
//! In: the path of the binary (`CHARTWARD_BIN`), data beside the checkout, the real parts that
//! `tests/run` installed. Out: running gateways, clients and upstreams that a test speaks to
//! without an async runtime of its own. Nothing here looks inside the gateway: only its
//! configuration, its listeners, its files and its command line.

pub mod client;
pub mod flood;
pub mod gateway;
pub mod h2;
pub mod load;
pub mod noted;
pub mod peers;
pub mod plain;
pub mod process;
pub mod raw;
pub mod skip;
pub mod synthea;
pub mod tokens;
pub mod upstream;

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

pub use client::{Client, Protocol, Request, Response};
pub use gateway::{Gateway, Issuer, Setup, Workload};
pub use load::Load;
pub use raw::Raw;
pub use skip::{need, need_all};
pub use tokens::Tokens;
pub use upstream::{Script, Seen, Upstream};

/// How long anything in a test may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a future to its end on the runtime that all support shares; what it spawns lives on.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

fn runtime() -> &'static Runtime {
    static SHARED: OnceLock<Runtime> = OnceLock::new();
    SHARED.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
    })
}
