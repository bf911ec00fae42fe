//! The data listener: sockets, TLS handshakes, HTTP/1.1 and HTTP/2, deadlines and caps.
//!
//! In: connections. Out: requests, each with the [`Handler`]'s own idea of its caller. One thread
//! accepts and deals sockets to the cores in turn; each core is a thread with a current-thread
//! runtime, and a connection stays on its core from the handshake to its end.
//! **Never here:** a decision. What can't be read as a request is answered here, without a body:
//! 400, and 414 or 431 where it is far over its limits.

mod accept;
mod calls;
mod connection;
mod core;
mod frames;
mod heads;
mod pulse;
mod slots;
mod upload;
mod watched;

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{runtime, sync::watch, time::Instant};

use self::slots::Taken;

pub use self::{
    slots::Busy,
    upload::{Gathered, Upload, UploadError},
};
use crate::base::{config::Limits, metrics::Metrics};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Who is at the other end of a connection, as TLS left it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The certificate it showed, verified against `tls.client_ca`.
    pub certificate: Option<Arc<CertificateDer<'static>>>,
    /// All that it showed, that certificate first.
    pub chain: Arc<[CertificateDer<'static>]>,
    /// Whether it speaks HTTP/2.
    pub h2: bool,
}

/// What of a head is over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// `limits.url_bytes`: status 414.
    Target,
    /// `limits.header_count` or `limits.header_bytes`: status 431.
    Headers,
}

/// What is done with requests.
pub trait Handler: Send + Sync + 'static {
    /// A response's body. An error breaks the connection (HTTP/1.1) or resets the stream (HTTP/2).
    /// The default one is empty.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Default
        + Send
        + Unpin
        + 'static;
    /// What a core has for itself: pools, a recorder. Cloned for each request, so keep it small.
    type Core: Clone + Send + 'static;
    /// What is known of a caller for as long as a connection lasts.
    type Caller: Send + Sync + 'static;

    /// Makes a core's own. Called on its thread, inside its runtime: tasks may be spawned.
    fn core(self: &Arc<Self>, index: usize) -> Self::Core;

    /// Called once a connection, after the handshake.
    fn caller(core: &Self::Core, peer: Peer) -> Self::Caller;

    /// Answers a request. Dropped where the caller leaves.
    fn handle(
        core: Self::Core,
        caller: Arc<Self::Caller>,
        request: Request<Upload>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Refuses a request whose head is over a limit. Its body isn't read, and over HTTP/1 the
    /// connection ends.
    fn refuse_head(
        core: Self::Core,
        caller: Arc<Self::Caller>,
        head: Parts,
        excess: Excess,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Refuses a request that nobody has room for (`limits.requests`), at once.
    fn shed(core: &Self::Core, caller: &Self::Caller, head: &Parts) -> Response<Self::Body>;

    /// Called when the core's connections have ended or were cut, and their requests were answered
    /// or dropped; its runtime ends after it. By `until` it should end: what is left of the time to stop,
    /// and two seconds at least. Half a second later it is dropped.
    fn finish(_core: Self::Core, _until: Instant) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// How to listen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Port 0: any free one.
    pub address: SocketAddr,
    /// Data cores; 0: one for each core of the machine.
    pub workers: usize,
    /// Deadlines and caps.
    pub limits: Limits,
    /// See [`super::tls::server`].
    pub tls: Arc<ServerConfig>,
}

/// Binds, and starts the threads. Connections are accepted when this returns.
///
/// Fails where the address can't be bound or a thread can't be started.
pub fn listen<H: Handler>(
    settings: Settings,
    handler: &Arc<H>,
    metrics: &Arc<Metrics>,
) -> io::Result<Listening> {
    let listener = bind(settings.address)?;
    listen_on(listener, settings, handler, metrics)
}

/// The same on a socket that listens already and doesn't block; `settings.address` counts for
/// nothing.
pub fn listen_on<H: Handler>(
    listener: std::net::TcpListener,
    settings: Settings,
    handler: &Arc<H>,
    metrics: &Arc<Metrics>,
) -> io::Result<Listening> {
    let address = listener.local_addr()?;
    let workers = match settings.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let taken = Arc::new(Taken::default());
    let shared = Arc::new(ArcSwap::from_pointee(Shared {
        limits: settings.limits,
        tls: settings.tls.into(),
        metrics: metrics.clone(),
        taken: taken.clone(),
    }));
    let (stop, stopped) = watch::channel(None);
    let mut threads = Vec::with_capacity(workers + 1);
    let mut cores = Vec::with_capacity(workers);
    for index in 0..workers {
        let runtime = runtime()?;
        let (dealer, dealt) = tokio::sync::mpsc::unbounded_channel();
        let (handler, taken, stopped) = (handler.clone(), taken.clone(), stopped.clone());
        let run = move || core::run(runtime, index, &handler, &taken, dealt, &stopped);
        threads.push(
            thread::Builder::new()
                .name(format!("core-{index}"))
                .spawn(run)?,
        );
        cores.push(dealer);
    }
    let (runtime, dealing) = (runtime()?, shared.clone());
    let run = move || runtime.block_on(accept::deal(listener, cores, &dealing, stopped));
    threads.push(
        thread::Builder::new()
            .name("accept".to_owned())
            .spawn(run)?,
    );
    Ok(Listening {
        address,
        stop,
        threads,
        shared,
        taken,
    })
}

/// A listener at work. Dropped, it closes what it has, without waiting.
pub struct Listening {
    address: SocketAddr,
    stop: watch::Sender<Option<Instant>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<ArcSwap<Shared>>,
    taken: Arc<Taken>,
}

/// Changes what new connections are served under.
#[derive(Clone)]
pub struct Door(Arc<ArcSwap<Shared>>);

impl Door {
    /// From the next connection on. Those that are open keep what they were opened under.
    pub fn change(&self, limits: Limits, tls: Arc<ServerConfig>) {
        let now = self.0.load();
        self.0.store(Arc::new(Shared {
            limits,
            tls: tls.into(),
            metrics: now.metrics.clone(),
            taken: now.taken.clone(),
        }));
    }
}

impl Listening {
    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For a reload.
    pub fn door(&self) -> Door {
        Door(self.shared.clone())
    }

    /// Client connections that are open.
    pub fn connections(&self) -> usize {
        self.taken.connections.load(Ordering::Relaxed)
    }

    /// Accepts what waits, and no more; lets requests end, for at most `within`; ends the threads.
    /// Blocks. Returns how many connections were cut.
    pub fn stop(self, within: Duration) -> usize {
        self.stop.send_replace(Some(Instant::now() + within));
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the listener panicked");
            }
        }
        self.taken.cut.load(Ordering::Relaxed)
    }
}

/// What connections are served under.
struct Shared {
    limits: Limits,
    tls: tokio_rustls::TlsAcceptor,
    metrics: Arc<Metrics>,
    taken: Arc<Taken>,
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn runtime() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests;
