//! How many at once: connections, those of one address, handshakes, requests. Each is a guard that
//! gives its place back when it is dropped; nobody waits for one.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::Shared;
use crate::base::config::Limit;

/// What is taken, of all that [`Shared`] bounds, over all that a reload changed.
#[derive(Default)]
pub(super) struct Taken {
    pub connections: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    handshakes: AtomicUsize,
    requests: AtomicUsize,
    pub buffered: AtomicUsize,
    /// Connections that did not end in time.
    pub cut: AtomicUsize,
}

impl Taken {
    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds to a count what still fits under `most`.
pub(super) fn add(count: &AtomicUsize, more: usize, most: usize) -> bool {
    let fits = |now: usize| now.checked_add(more).filter(|sum| *sum <= most);
    count.fetch_update(Relaxed, Relaxed, fits).is_ok()
}

/// One of `limits.connections`, and of its address's.
pub(super) struct Slot {
    shared: Arc<Shared>,
    of: IpAddr,
}

impl Slot {
    /// Fails with the limit that is reached.
    pub fn take(shared: &Arc<Shared>, address: IpAddr) -> Result<Self, Limit> {
        let (taken, limits) = (&shared.taken, &shared.limits);
        let of = block(address);
        if !add(&taken.connections, 1, limits.connections) {
            return Err(Limit::Connections);
        }
        let mut all = taken.by_address();
        let own = all.entry(of).or_default();
        if *own >= limits.connections_per_address {
            taken.connections.fetch_sub(1, Relaxed);
            return Err(Limit::ConnectionsPerAddress);
        }
        *own += 1;
        drop(all);
        shared.metrics.connections_open.inc();
        let shared = shared.clone();
        Ok(Self { shared, of })
    }

    /// What its connection is served under.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let taken = &self.shared.taken;
        let mut all = taken.by_address();
        if let Some(own) = all.get_mut(&self.of) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.of);
            }
        }
        drop(all);
        taken.connections.fetch_sub(1, Relaxed);
        self.shared.metrics.connections_open.dec();
    }
}

/// What counts as one address: of IPv6 a /64, which one host is given whole.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// One of `limits.handshakes`.
pub(super) struct Shaking(Arc<Shared>);

impl Shaking {
    pub fn begin(shared: &Arc<Shared>) -> Result<Self, Limit> {
        if add(&shared.taken.handshakes, 1, shared.limits.handshakes) {
            Ok(Self(shared.clone()))
        } else {
            Err(Limit::Handshakes)
        }
    }
}

impl Drop for Shaking {
    fn drop(&mut self) {
        self.0.taken.handshakes.fetch_sub(1, Relaxed);
    }
}

/// One of `limits.requests`, until the last of those who share it drops it: the answer, or what goes
/// on without a caller.
pub struct Busy(Arc<Shared>);

impl Busy {
    pub(super) fn begin(shared: &Arc<Shared>) -> Option<Arc<Self>> {
        if !add(&shared.taken.requests, 1, shared.limits.requests) {
            return None;
        }
        shared.metrics.requests_open.inc();
        Some(Arc::new(Self(shared.clone())))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.taken.requests.fetch_sub(1, Relaxed);
        self.0.metrics.requests_open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv6_counts_by_its_network() {
        let block = |text: &str| block(text.parse().unwrap()).to_string();
        assert_eq!(block("192.0.2.7"), "192.0.2.7");
        assert_eq!(block("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(block("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    #[test]
    fn no_more_is_added_than_fits() {
        let count = AtomicUsize::new(3);
        assert!(add(&count, 2, 5) && !add(&count, 1, 5) && add(&count, 0, 5));
        assert!(!add(&count, usize::MAX, usize::MAX));
        assert_eq!(count.load(Relaxed), 5);
    }
}
