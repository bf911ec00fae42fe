//! The pool before a scripted upstream: what it sends, what it reuses, what it takes for a fault.

mod balance;
mod kept;
mod trust;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    base::metrics::Metrics,
    data::testing::{Place, TLS},
};

const LONG: Duration = Duration::from_secs(10);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// What the upstream does with a request.
#[derive(Clone, Copy)]
enum Act {
    /// Writes this, and waits for the next request.
    Say(&'static str),
    /// Writes this, and closes.
    Last(&'static str),
    /// Writes this, and never anything again.
    Hang(&'static str),
}

/// An upstream that follows a script, request by request, over all of its connections.
struct Script {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn new(acts: &[Act]) -> Self {
        Self::over(acts, None).await
    }

    async fn over(acts: &[Act], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let acts = Arc::new(Mutex::new(acts.iter().rev().copied().collect::<Vec<_>>()));
        let (connections, requests) = (script.connections.clone(), script.requests.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Relaxed);
                let (acts, requests, tls) = (acts.clone(), requests.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await {
                                follow(stream, &acts, &requests).await;
                            }
                        }
                        None => follow(socket, &acts, &requests).await,
                    }
                });
            }
        });
        script
    }

    fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn pool(&self) -> Pool {
        pool(&format!("http://{}/fhir", self.address), "", |_| {})
    }
}

async fn follow(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    acts: &Mutex<Vec<Act>>,
    requests: &Mutex<Vec<String>>,
) {
    while let Some(request) = request(&mut stream).await {
        requests.lock().unwrap().push(request);
        let act = acts.lock().unwrap().pop().expect("the script is over");
        let (Act::Say(said) | Act::Last(said) | Act::Hang(said)) = act;
        stream.write_all(said.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        match act {
            Act::Say(_) => {}
            Act::Last(_) => return,
            Act::Hang(_) => std::future::pending().await,
        }
    }
}

/// Head and body (by content-length) of a request.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8(read.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn pool(url: &str, keys: &str, change: impl FnOnce(&mut Target)) -> Pool {
    pool_at(&Place::new(), url, keys, change)
}

fn pool_at(place: &Place, url: &str, keys: &str, change: impl FnOnce(&mut Target)) -> Pool {
    let config = place.config(TLS, &format!("upstream = \"{url}\"\n{keys}"));
    let target = Target::new(&config.source, &config.services[0], &config.limits).unwrap();
    let mut target = Arc::into_inner(target).unwrap();
    change(&mut target);
    Pool::new(Arc::new(target), Metrics::new(["ehr"]).unwrap())
}

fn ask(method: Method) -> Ask {
    Ask {
        method,
        path_and_query: "/Patient/1".to_owned(),
        ..Ask::default()
    }
}

async fn whole(answer: Answer) -> Result<Vec<u8>, Fault> {
    let (mut body, mut read) = (answer.body, Vec::new());
    while let Some(piece) = body.next().await? {
        assert!(!piece.is_empty());
        read.extend_from_slice(&piece);
    }
    assert!(body.next().await.unwrap().is_none());
    Ok(read)
}

async fn get(pool: &Pool) -> Result<Vec<u8>, Fault> {
    timeout(LONG, async {
        whole(pool.send(&ask(Method::GET)).await?).await
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_connection_serves_again_once_the_answer_was_read() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let script = Script::new(&[
        Act::Say(OK),
        Act::Say(chunked),
        Act::Say(empty),
        Act::Say(OK),
    ])
    .await;
    let pool = script.pool();
    for wanted in ["{}", "abc", "", "{}"] {
        assert_eq!(get(&pool).await.unwrap(), wanted.as_bytes());
        assert_eq!(pool.idle(), 1);
    }
    assert_eq!(script.connections(), 1);
}

#[tokio::test]
async fn answers_at_once_have_a_connection_each() {
    let script = Script::new(&[Act::Say(OK); 3]).await;
    let pool = script.pool();
    let (first, second) = (
        pool.send(&ask(Method::GET)).await.unwrap(),
        pool.send(&ask(Method::GET)).await.unwrap(),
    );
    // a small body is there with its head: the lease ends when it was read
    whole(first).await.unwrap();
    whole(second).await.unwrap();
    assert_eq!((script.connections(), pool.idle()), (2, 2));
}

#[tokio::test]
async fn what_is_sent_is_the_gateways_own() {
    let script = Script::new(&[Act::Say(OK), Act::Say(OK), Act::Say(OK)]).await;
    let place = Place::new();
    std::fs::write(place.path().join("token"), "s3cret\n").unwrap();
    let keys = "authorization = { bearer_file = \"token\" }";
    let pool = pool_at(
        &place,
        &format!("http://{}/fhir", script.address),
        keys,
        |_| {},
    );
    let mut read = ask(Method::GET);
    for (name, value) in [
        ("authorization", "Bearer callers"),
        ("connection", "x-y"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("host", "elsewhere"),
        ("accept", "text/html"),
        ("accept-encoding", "gzip"),
        ("x-request-id", "r1"),
    ] {
        let name = HeaderName::from_static(name);
        read.headers.push((name, HeaderValue::from_static(value)));
    }
    whole(pool.send(&read).await.unwrap()).await.unwrap();
    let mut search = ask(Method::POST);
    search.path_and_query = "/Patient/_search".to_owned();
    search.content_type = Some("application/x-www-form-urlencoded");
    search.body = Bytes::from_static(b"name=x");
    search.search = true;
    whole(pool.send(&search).await.unwrap()).await.unwrap();
    let mut base = ask(Method::GET);
    base.path_and_query = "?_type=Patient".to_owned();
    whole(pool.send(&base).await.unwrap()).await.unwrap();

    let requests = script.requests();
    let sorted = |n: usize| {
        let (head, body) = requests[n].split_once("\r\n\r\n").unwrap();
        let (line, headers) = head.split_once("\r\n").unwrap();
        let mut headers: Vec<_> = headers.split("\r\n").map(str::to_owned).collect();
        headers.sort_unstable();
        (line.to_owned(), headers, body.to_owned())
    };
    let host = format!("host: {}", script.address);
    let own = [
        "accept-encoding: identity",
        "accept: application/fhir+json",
        "authorization: Bearer s3cret",
    ];
    let (line, headers, _) = sorted(0);
    assert_eq!(line, "GET /fhir/Patient/1 HTTP/1.1");
    assert_eq!(headers, [own[0], own[1], own[2], &host, "x-request-id: r1"]);
    let (line, headers, body) = sorted(1);
    assert_eq!(
        (line.as_str(), body.as_str()),
        ("POST /fhir/Patient/_search HTTP/1.1", "name=x")
    );
    let form = [
        "content-length: 6",
        "content-type: application/x-www-form-urlencoded",
    ];
    let strict = "prefer: handling=strict";
    assert_eq!(
        headers,
        [own[0], own[1], own[2], form[0], form[1], &host, strict]
    );
    assert_eq!(sorted(2).0, "GET /fhir?_type=Patient HTTP/1.1");
}

#[tokio::test]
async fn a_write_says_what_it_rests_on_and_what_it_wants_back() {
    let created = "HTTP/1.1 201 Created\r\nlocation: http://h/fhir/Patient/7/_history/1\r\n\
                   etag: W/\"1\"\r\nlast-modified: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
                   content-length: 0\r\n\r\n";
    let gone =
        "HTTP/1.1 204 No Content\r\netag: W/\"2\"\r\netag: W/\"3\"\r\nlocation: \u{e9}\r\n\r\n";
    let script = Script::new(&[
        Act::Say(created),
        Act::Say(OK),
        Act::Say(OK),
        Act::Say(gone),
    ])
    .await;
    let pool = script.pool();
    let fhir = Some("application/fhir+json");
    let none_exist = Some(HeaderValue::from_static("identifier=a|b"));
    let matches = Some(HeaderValue::from_static("W/\"1\""));
    for (method, content_type, body, if_match, if_none_exist, wanted) in [
        (
            Method::POST,
            fhir,
            "{}",
            None,
            none_exist,
            "201|{}|/7|W/\"1\"|GMT",
        ),
        (Method::PUT, fhir, "{}", matches.clone(), None, "200|{}|||"),
        (
            Method::PATCH,
            Some("application/json-patch+json"),
            "[]",
            matches.clone(),
            None,
            "200|[]|||",
        ),
        // one header twice, and one that isn't text, count as none
        (Method::DELETE, None, "", matches, None, "204||||"),
    ] {
        let ask = Ask {
            content_type,
            body: Bytes::from_static(body.as_bytes()),
            representation: content_type == fhir,
            search: method == Method::PUT,
            if_match,
            if_none_exist,
            // what the ask says itself isn't said twice
            headers: vec![
                (header::IF_MATCH, HeaderValue::from_static("W/\"9\"")),
                (
                    HeaderName::from_static("prefer"),
                    HeaderValue::from_static("return=minimal"),
                ),
            ],
            ..ask(method)
        };
        let answer = pool.send(&ask).await.unwrap();
        let last = |text: Option<&str>, at: char| {
            text.map_or("", |t| &t[t.rfind(at).unwrap_or(0)..])
                .to_owned()
        };
        let location = answer.location().map_or(String::new(), |l| {
            l.replace("http://h/fhir/Patient", "")
                .replace("/_history/1", "")
        });
        let modified = last(answer.last_modified(), 'G');
        let etag = answer.etag().unwrap_or("").to_owned();
        let said = format!(
            "{}|{body}|{location}|{etag}|{modified}",
            answer.status.as_u16()
        );
        assert_eq!(said, wanted);
        whole(answer).await.unwrap();
    }
    assert_eq!((script.connections(), pool.idle()), (1, 1));
    let told: Vec<_> = script
        .requests()
        .iter()
        .map(|request| {
            let mut lines: Vec<_> = request.split("\r\n").collect();
            lines.retain(|line| {
                [
                    "POST", "PUT", "PATCH", "DELETE", "if-", "prefer", "content-",
                ]
                .iter()
                .any(|start| line.starts_with(start))
            });
            lines.sort_unstable();
            lines.join("\n")
        })
        .collect();
    assert_eq!(
        told,
        [
            "POST /fhir/Patient/1 HTTP/1.1\ncontent-length: 2\n\
             content-type: application/fhir+json\nif-none-exist: identifier=a|b\n\
             prefer: return=representation",
            "PUT /fhir/Patient/1 HTTP/1.1\ncontent-length: 2\n\
             content-type: application/fhir+json\nif-match: W/\"1\"\n\
             prefer: handling=strict, return=representation",
            "PATCH /fhir/Patient/1 HTTP/1.1\ncontent-length: 2\n\
             content-type: application/json-patch+json\nif-match: W/\"1\"",
            "DELETE /fhir/Patient/1 HTTP/1.1\nif-match: W/\"1\"",
        ]
    );
}

#[tokio::test]
async fn faults_are_told_apart() {
    let small = |target: &mut Target| target.times.response = Duration::from_millis(150);
    for (act, wanted) in [
        (Act::Hang(""), "timeout"),
        (Act::Hang("HTTP/1.1 200 OK\r\n"), "timeout"),
        (
            Act::Hang("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
            "timeout",
        ),
        (
            Act::Last("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
            "closed",
        ),
        (
            Act::Last("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            "closed",
        ),
        (
            Act::Last("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            "closed",
        ),
        (Act::Last("nonsense\r\n\r\n"), "malformed"),
        (
            Act::Last("HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n"),
            "malformed",
        ),
        (
            Act::Last("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n"),
            "encoded",
        ),
        (
            Act::Last(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            ),
            "not final",
        ),
        (Act::Last(""), "closed"),
    ] {
        let script = Script::new(&[act; 2]).await;
        let pool = pool(&format!("http://{}", script.address), "", small);
        let fault = get(&pool).await.unwrap_err();
        let found = match fault {
            Fault::Timeout => "timeout",
            Fault::Closed(_) => "closed",
            Fault::Malformed(_) => "malformed",
            Fault::Encoded => "encoded",
            Fault::NotFinal => "not final",
            ref other => panic!("{other}"),
        };
        let (Act::Say(said) | Act::Last(said) | Act::Hang(said)) = act;
        assert_eq!(found, wanted, "{said:?}: {fault}");
        assert_eq!(pool.idle(), 0);
    }
}

#[tokio::test]
async fn no_connection_is_a_fault_of_its_own() {
    // a port that was just given back
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let fault = get(&pool(&format!("http://{free}"), "", |_| {}))
        .await
        .unwrap_err();
    assert!(
        matches!(fault, Fault::Connect(_)) && !fault.is_timeout(),
        "{fault}"
    );

    // it accepts, and never shakes hands
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let keys = "upstream_tls = { ca = \"ca.pem\" }";
    let pool = pool(&url, keys, |target| {
        target.times.connect = Duration::from_millis(150)
    });
    let fault = get(&pool).await.unwrap_err();
    assert!(fault.is_timeout() && fault.is_unreachable(), "{fault}");
}

#[test]
fn fhir_json_in_utf8_is_json_and_nothing_else() {
    for (values, is) in [
        (vec!["application/fhir+json"], true),
        (vec!["application/json"], true),
        (vec!["Application/FHIR+JSON; charset=UTF-8"], true),
        (
            vec!["application/fhir+json;charset=\"utf-8\"; fhirVersion=4.0"],
            true,
        ),
        (vec!["application/fhir+json; charset=utf-16"], false),
        (vec!["application/fhir+xml"], false),
        (vec!["text/html"], false),
        (vec!["application/json+fhir"], false),
        (vec!["application/jsonx"], false),
        (vec![""], false),
        (vec![], false),
        (vec!["application/json", "application/json"], false),
    ] {
        let mut headers = HeaderMap::new();
        for value in &values {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_static(value));
        }
        assert_eq!(is_json(&headers), is, "{values:?}");
    }
}
