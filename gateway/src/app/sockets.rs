//! Listening sockets that a parent hands over, so that they outlive this process: systemd's socket
//! activation (sd_listen_fds(3)).

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

/// What was handed over, by listener.
#[derive(Default)]
pub(super) struct Handed {
    pub(super) https: Option<TcpListener>,
    pub(super) metrics: Option<TcpListener>,
}

impl Handed {
    /// Takes what `LISTEN_FDS` says is there: by name where `LISTEN_FDNAMES` says `https` or
    /// `metrics`, else in that order. None where nothing was meant for this process.
    pub(super) fn take() -> io::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        let places = places(&names, sockets.len()).map_err(io::Error::other)?;
        let mut handed = Self::default();
        for (at, place) in places.into_iter().enumerate() {
            let listener = sockets.take_tcp_listener(at)?;
            if let Some(listener) = &listener {
                listener.set_nonblocking(true)?;
            }
            match place {
                Listener::Https => handed.https = listener,
                Listener::Metrics => handed.metrics = listener,
            }
        }
        Ok(handed)
    }
}

/// The socket that was handed over, if its port is that of the configuration.
pub(super) fn at(
    listener: Option<TcpListener>,
    wanted: SocketAddr,
) -> io::Result<Option<TcpListener>> {
    let Some(listener) = listener else {
        return Ok(None);
    };
    let port = listener.local_addr()?.port();
    if wanted.port() != 0 && wanted.port() != port {
        let message = format!("the socket that was handed over has port {port}");
        return Err(io::Error::other(message));
    }
    Ok(Some(listener))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    Https,
    Metrics,
}

/// Which listener each of `count` sockets is for.
fn places(names: &str, count: usize) -> Result<Vec<Listener>, String> {
    const ORDER: [Listener; 2] = [Listener::Https, Listener::Metrics];
    let known = |name: &str| match name {
        "https" => Some(Listener::Https),
        "metrics" => Some(Listener::Metrics),
        _ => None,
    };
    let names: Vec<&str> = names.split(':').collect();
    // without `FileDescriptorName=` they have the name of their unit
    let named = names.iter().any(|name| known(name).is_some());
    let found: Vec<Listener> = if named {
        let each = names.iter().take(count);
        let read = each.map(|name| known(name).ok_or(format!("no listener is called `{name}`")));
        read.collect::<Result<_, _>>()?
    } else {
        ORDER.into_iter().take(count).collect()
    };
    let twice = matches!(found.as_slice(), [a, b] if a == b);
    if found.len() != count || twice {
        return Err("more sockets were handed over than there are listeners".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_told_by_name_or_by_order() {
        use Listener::{Https, Metrics};
        for (names, count, wanted) in [
            ("", 0, Some(vec![])),
            ("", 1, Some(vec![Https])),
            ("chartward.socket", 1, Some(vec![Https])),
            ("a.socket:b.socket", 2, Some(vec![Https, Metrics])),
            ("metrics:https", 2, Some(vec![Metrics, Https])),
            ("metrics", 1, Some(vec![Metrics])),
            ("https:admin", 2, None),
            ("https:https", 2, None),
            ("", 3, None),
            ("https", 2, None),
        ] {
            assert_eq!(places(names, count).ok(), wanted, "{names} {count}");
        }
    }
}
