//! What a service manager is told: a datagram to the socket that `NOTIFY_SOCKET` names, where
//! there is one (sd_notify(3)).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// The listeners are there.
pub(super) fn ready() {
    tell("READY=1");
}

/// The process is about to end.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

/// Files are read again, until the answer is dropped.
pub(super) fn reloading() -> Reloading {
    let time = clock_gettime(ClockId::Monotonic);
    let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    Reloading
}

/// See [`reloading`].
pub(super) struct Reloading;

impl Drop for Reloading {
    fn drop(&mut self) {
        ready();
    }
}

fn tell(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent = address(&path).and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "the service manager can't be told");
    }
}

fn address(path: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = path.as_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(path)
}
