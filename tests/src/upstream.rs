//! An upstream whose every byte a test scripts, and which remembers what reached it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::raw::chunked;

/// A request that reached the upstream.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// Method.
    pub method: String,
    /// Target as it stood in the request line.
    pub target: String,
    /// Header names (lower case) and values, in order.
    pub headers: Vec<(String, String)>,
    /// Body as it came, chunk framing included.
    pub body: Vec<u8>,
    /// Every byte of the head.
    pub head: Vec<u8>,
}

impl Seen {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What the upstream does for one request.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Closes the connection in order.
    Close,
    /// Resets the connection.
    Reset,
}

/// An answer, step by step.
#[derive(Debug, Clone, Default)]
pub struct Script(Vec<Step>);

impl Script {
    /// Nothing yet: with no further step the upstream stays silent.
    pub fn new() -> Self {
        Self::default()
    }

    /// A whole answer with a FHIR JSON body.
    pub fn json(status: u16, body: &str) -> Self {
        Self::whole(
            status,
            "Content-Type: application/fhir+json\r\n",
            body.as_bytes(),
        )
    }

    /// A whole answer; `headers` are lines that end in CRLF, Content-Length is added.
    pub fn whole(status: u16, headers: &str, body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        Self::new().send(head.as_bytes()).send(body)
    }

    /// A chunked answer with a FHIR JSON body, one chunk a part.
    pub fn chunks(status: u16, parts: &[&[u8]]) -> Self {
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let mut script = Self::new().send(head.as_bytes());
        for part in parts {
            let framed = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            script = script.send(&framed);
        }
        script.send(b"0\r\n\r\n")
    }

    /// Then these bytes.
    pub fn send(mut self, bytes: &[u8]) -> Self {
        self.0.push(Step::Send(bytes.to_vec()));
        self
    }

    /// Then a pause.
    pub fn wait(mut self, time: Duration) -> Self {
        self.0.push(Step::Wait(time));
        self
    }

    /// Then all of another script.
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Then an orderly close.
    pub fn close(mut self) -> Self {
        self.0.push(Step::Close);
        self
    }

    /// Then a reset.
    pub fn reset(mut self) -> Self {
        self.0.push(Step::Reset);
        self
    }
}

type Handler = dyn Fn(&Seen) -> Script + Send + Sync;

/// The scripted upstream; it listens until it is dropped.
pub struct Upstream {
    scheme: &'static str,
    port: u16,
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
}

/// What reached it.
#[derive(Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    /// Bytes of each connection that are no whole request (yet).
    rests: Mutex<BTreeMap<usize, Vec<u8>>>,
}

impl Upstream {
    /// Answers each request by `handler`, on a free loopback port.
    pub fn start(handler: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        Self::listen("http", move |stream, number, log| {
            let Ok(mut reader) = stream.try_clone() else {
                return;
            };
            serve(&mut reader, &stream, number, log, &handler);
        })
    }

    /// The same over TLS.
    pub fn tls(
        config: Arc<ServerConfig>,
        handler: impl Fn(&Seen) -> Script + Send + Sync + 'static,
    ) -> Self {
        Self::listen("https", move |stream, number, log| {
            let (Ok(session), Ok(inner)) = (
                ServerConnection::new(Arc::clone(&config)),
                stream.try_clone(),
            ) else {
                return;
            };
            let mut tls = StreamOwned::new(session, inner);
            serve(&mut tls, &stream, number, log, &handler);
        })
    }

    /// Follows a script on each connection, before a request comes and whether one comes or not.
    pub fn unasked(script: Script) -> Self {
        Self::listen("http", move |mut stream, _, _| {
            if let Ok(socket) = stream.try_clone() {
                follow(script.clone(), &mut stream, &socket);
            }
        })
    }

    fn listen(
        scheme: &'static str,
        serve: impl Fn(TcpStream, usize, &Log) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let log = Arc::new(Log::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped, serve) = (Arc::clone(&log), Arc::clone(&stop), Arc::new(serve));
        thread::spawn(move || {
            let count = AtomicUsize::new(0);
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (log, serve) = (Arc::clone(&shared), Arc::clone(&serve));
                thread::spawn(move || serve(stream, number, &log));
            }
        });
        Self {
            scheme,
            port,
            log,
            stop,
        }
    }

    /// Answers every request with the same FHIR JSON.
    pub fn fixed(body: &str) -> Self {
        let body = body.to_owned();
        Self::start(move |_| Script::json(200, &body))
    }

    /// Its FHIR base URL.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}/fhir", self.scheme, self.port)
    }

    /// What reached it so far, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.log.seen.lock();
        seen.expect("no panic while held").clone()
    }

    /// What came on each connection beyond whole requests, where anything did.
    pub fn rests(&self) -> BTreeMap<usize, Vec<u8>> {
        let rests = self.log.rests.lock();
        rests.expect("no panic while held").clone()
    }

    /// Forgets what reached it.
    pub fn forget(&self) {
        let seen = self.log.seen.lock();
        seen.expect("no panic while held").clear();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    stream: &mut (impl Read + Write),
    socket: &TcpStream,
    connection: usize,
    log: &Log,
    handler: &Handler,
) {
    let _ = socket.set_nodelay(true);
    let mut pending = Vec::new();
    while let Some(request) = receive(stream, &mut pending, connection, log) {
        log.seen
            .lock()
            .expect("no panic while held")
            .push(request.clone());
        if !follow(handler(&request), stream, socket) {
            return;
        }
    }
}

/// Whether the connection goes on.
fn follow(script: Script, stream: &mut impl Write, socket: &TcpStream) -> bool {
    for step in script.0 {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).is_err() || stream.flush().is_err() {
                    return false;
                }
            }
            Step::Wait(time) => thread::sleep(time),
            Step::Close => {
                let _ = socket.shutdown(Shutdown::Both);
                return false;
            }
            Step::Reset => {
                reset(socket);
                return false;
            }
        }
    }
    true
}

/// With no lingering the close is an RST.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn receive(
    stream: &mut impl Read,
    pending: &mut Vec<u8>,
    connection: usize,
    log: &Log,
) -> Option<Seen> {
    let mut buffer = [0; 16 * 1024];
    let rest = |bytes: Option<Vec<u8>>| {
        let mut rests = log.rests.lock().expect("no panic while held");
        match bytes {
            Some(bytes) => rests.insert(connection, bytes),
            None => rests.remove(&connection),
        };
    };
    loop {
        if let Some((request, length)) = parse(pending, connection) {
            pending.drain(..length);
            rest(None);
            return Some(request);
        }
        if !pending.is_empty() {
            rest(Some(pending.clone()));
        }
        match stream.read(&mut buffer) {
            Ok(n @ 1..) => pending.extend(&buffer[..n]),
            _ => return None,
        }
    }
}

fn parse(bytes: &[u8], connection: usize) -> Option<(Seen, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = bytes[..end].to_vec();
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (
        first.next()?.to_owned(),
        first.next().unwrap_or_default().to_owned(),
    );
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut seen = Seen {
        connection,
        method,
        target,
        headers,
        body: Vec::new(),
        head,
    };
    let length = if seen.header("transfer-encoding").is_some() {
        chunked(&bytes[end..])?
    } else {
        seen.header("content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0)
    };
    seen.body = bytes.get(end..end + length)?.to_vec();
    Some((seen, end + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_requests_in_one_packet_are_two() {
        let bytes = b"POST /fhir/Patient/_search HTTP/1.1\r\nContent-Length: 3\r\n\r\na=bGET /fhir/x HTTP/1.1\r\nHost: h\r\n\r\n";
        let (first, length) = parse(bytes, 0).expect("a request");
        assert_eq!(
            (first.method.as_str(), first.body.as_slice()),
            ("POST", &b"a=b"[..])
        );
        let (second, rest) = parse(&bytes[length..], 0).expect("a request");
        assert_eq!(
            (second.target.as_str(), length + rest),
            ("/fhir/x", bytes.len())
        );
    }

    #[test]
    fn what_is_scripted_is_what_is_sent() {
        let upstream = Upstream::start(|_| Script::chunks(200, &[b"{}", b"\n"]).close());
        let mut stream = TcpStream::connect(("127.0.0.1", upstream.port)).expect("a connection");
        stream
            .write_all(b"GET /fhir/Patient/1 HTTP/1.1\r\n\r\n")
            .expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.ends_with(b"2\r\n{}\r\n1\r\n\n\r\n0\r\n\r\n"));
        assert_eq!(upstream.seen()[0].target, "/fhir/Patient/1");
    }
}
