//! Accepting, and dealing sockets to the cores in turn.

use std::{io, net::SocketAddr, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    net::TcpListener,
    sync::{mpsc::UnboundedSender, watch},
    time::{self, Instant},
};

use super::{
    Shared,
    slots::{Shaking, Slot},
};

/// How long to leave the kernel alone when it has no file or memory for a connection.
const BREATHER: Duration = Duration::from_millis(50);

/// A connection on its way to its core.
pub(super) struct Arrival {
    pub socket: std::net::TcpStream,
    pub address: SocketAddr,
    pub at: Instant,
    pub slot: Slot,
    pub shaking: Shaking,
}

/// Accepts until `stop` is set (or its sender gone), then what waits, and closes the listener.
/// Dropping `cores` tells the cores that nothing more comes.
pub(super) async fn deal(
    listener: std::net::TcpListener,
    cores: Vec<UnboundedSender<Arrival>>,
    shared: &ArcSwap<Shared>,
    mut stop: watch::Receiver<Option<Instant>>,
) {
    let mut dealer = Dealer {
        cores,
        next: 0,
        shared,
    };
    if let Err(error) = accept(listener, &mut dealer, &mut stop).await {
        tracing::error!(%error, "the listener failed");
    }
}

async fn accept(
    listener: std::net::TcpListener,
    dealer: &mut Dealer<'_>,
    stop: &mut watch::Receiver<Option<Instant>>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(socket, address)| Ok((socket.into_std()?, address))) {
            Ok((socket, address)) => dealer.deal(socket, address),
            // the caller left before it was accepted
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection can't be accepted");
                time::sleep(BREATHER).await;
            }
        }
    }
    let listener = listener.into_std()?;
    while let Ok((socket, address)) = listener.accept() {
        socket.set_nonblocking(true)?;
        dealer.deal(socket, address);
    }
    Ok(())
}

struct Dealer<'a> {
    cores: Vec<UnboundedSender<Arrival>>,
    next: usize,
    shared: &'a ArcSwap<Shared>,
}

impl Dealer<'_> {
    fn deal(&mut self, socket: std::net::TcpStream, address: SocketAddr) {
        let shared = self.shared.load_full();
        let taken =
            Slot::take(&shared, address.ip()).and_then(|slot| Ok((slot, Shaking::begin(&shared)?)));
        let (slot, shaking) = match taken {
            Ok(taken) => taken,
            Err(limit) => {
                shared.metrics.connections_refused.inc();
                shared.metrics.exceeded(limit);
                return;
            }
        };
        let mut arrival = Arrival {
            socket,
            address,
            at: Instant::now(),
            slot,
            shaking,
        };
        for _ in 0..self.cores.len() {
            self.next = (self.next + 1) % self.cores.len();
            match self.cores.get(self.next).map(|core| core.send(arrival)) {
                Some(Err(dead)) => arrival = dead.0,
                _ => return,
            }
        }
    }
}
