//! A connection's limits and its end, over an in-memory socket, in paused time.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::super::signal::{Signal, Signals};
use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

/// `/` answers at once, `/stream` never ends, `/flood` is longer than any buffer, anything else
/// reads the body.
struct Paths(Limits);

impl Handler for Paths {
    fn refuse(&self, status: StatusCode) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from_static(b"{\"ours\":1}"));
        *response.status_mut() = status;
        response
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        match request.uri().path() {
            "/" => Response::new(Body::from("hello")),
            "/stream" => Response::new(Body::from_stream(futures_util::stream::unfold(
                0u8,
                |sent| async move {
                    if sent > 0 {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    Some((Ok::<_, io::Error>(Bytes::from_static(b"tick\n")), 1))
                },
            ))),
            "/flood" => Response::new(Body::from_stream(futures_util::stream::repeat_with(|| {
                Ok::<_, io::Error>(Bytes::from_static(&[b'x'; 65536]))
            }))),
            _ => match crate::http::body::read(request.map(Body::new).into_body(), &self.0).await {
                Ok(body) => Response::new(Body::from(body.len().to_string())),
                Err(error) => axum::response::IntoResponse::into_response(error),
            },
        }
    }
}

struct Client {
    socket: DuplexStream,
    served: JoinHandle<()>,
    signals: Arc<Signals>,
    metrics: Arc<Metrics>,
}

fn limits() -> Limits {
    Limits { body_bytes: 1000, ..Limits::default() }
}

fn connect() -> Client {
    let (socket, server) = tokio::io::duplex(4096);
    let signals = Arc::new(Signals::default());
    let metrics = Arc::new(Metrics::new());
    let tracker = TaskTracker::new();
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit");
    let connection = Connection {
        handler: Arc::new(Paths(limits())),
        limits: limits(),
        tracker: tracker.clone(),
        metrics: Arc::clone(&metrics),
        watch: signals.watch(),
        held: Held::new(&metrics.connections),
        permit,
    };
    let served = tracker.spawn(connection.run(server));
    Client { socket, served, signals, metrics }
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("the server reads");
    }

    /// Reads until the answer so far contains `until`.
    async fn read(&mut self, until: &str) -> String {
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains(until) {
            let mut buf = [0u8; 1024];
            match self.socket.read(&mut buf).await.expect("readable") {
                0 => panic!("ended before {until:?}: {}", String::from_utf8_lossy(&text)),
                n => text.extend_from_slice(&buf[..n]),
            }
        }
        String::from_utf8(text).expect("text")
    }

    /// Until the server closes: what it sent, and how long it took.
    async fn until_closed(&mut self) -> (String, Duration) {
        let start = Instant::now();
        let mut text = Vec::new();
        let _ = self.socket.read_to_end(&mut text).await;
        (String::from_utf8_lossy(&text).into_owned(), start.elapsed())
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed() {
    let mut client = connect();
    let (said, after) = client.until_closed().await;
    assert_eq!((said.as_str(), after), ("", limits().header_read));
    client.served.await.expect("ends");
    assert_eq!(client.metrics.connections.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_cut_off_in_time() {
    let mut client = connect();
    let start = Instant::now();
    for byte in GET.iter().cycle() {
        if client.socket.write_all(&[*byte]).await.is_err() || client.served.is_finished() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        if start.elapsed() > Duration::from_secs(60) {
            panic!("still open");
        }
    }
    // The head's time runs from its first byte, however the later ones come.
    assert!(start.elapsed() <= limits().header_read + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_and_then_closed() {
    let mut client = connect();
    for _ in 0..3 {
        client.send(GET).await;
        assert!(client.read("hello").await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(limits().keep_alive / 2).await;
    }
    let (_, after) = client.until_closed().await;
    assert!(after <= limits().keep_alive * 2, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_head_that_does_not_end_is_cut_off_too() {
    let mut client = connect();
    client.send(GET).await;
    client.read("hello").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    client.send(b"GET / HT").await;
    let (_, after) = client.until_closed().await;
    assert!(after <= limits().header_read + Duration::from_secs(1), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let mut client = connect();
    client.send(b"GET /flood HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let start = Instant::now();
    let served = &mut client.served;
    served.await.expect("ends");
    assert_eq!(start.elapsed(), limits().write_stall);
    assert_eq!(client.metrics.slow_clients.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_no_reason_to_close() {
    let mut client = connect();
    client.send(b"GET /stream HTTP/1.1\r\nhost: h\r\n\r\n").await;
    for _ in 0..(limits().keep_alive.as_secs() * 3) {
        client.read("tick").await;
    }
    assert!(!client.served.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_idle_connections_and_lets_answers_go_on() {
    let (mut idle, mut busy) = (connect(), connect());
    idle.send(GET).await;
    idle.read("hello").await;
    busy.send(b"GET /stream HTTP/1.1\r\nhost: h\r\n\r\n").await;
    busy.read("tick").await;
    idle.signals.raise(Signal::Drain);
    busy.signals.raise(Signal::Drain);
    assert_eq!(idle.until_closed().await.1, Duration::ZERO);
    for _ in 0..20 {
        busy.read("tick").await;
    }
    busy.signals.raise(Signal::Cut);
    let (_, after) = busy.until_closed().await;
    assert!(after <= CUT_GRACE, "{after:?}");
    busy.served.await.expect("ends");
    busy.signals.all_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_said_nothing_does_not_hold_the_drain() {
    let mut client = connect();
    tokio::task::yield_now().await;
    client.signals.raise(Signal::Drain);
    assert_eq!(client.until_closed().await.1, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_is_refused_before_it_is_sent() {
    let mut client = connect();
    client.send(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 1001\r\n\r\n").await;
    let answer = client.read("request_too_large").await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("1000 bytes"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_that_goes_on_sending_still_gets_its_answer() {
    let mut client = connect();
    client.send(b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").await;
    // Far more than any buffer holds: without somebody reading, this would block, and closing with
    // unread bytes would reset the connection.
    for _ in 0..1000 {
        let chunk = [b"3e8\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
        client.send(&chunk).await;
    }
    client.socket.shutdown().await.expect("half closed");
    let (answer, _) = client.until_closed().await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_answered_408() {
    let mut client = connect();
    client.send(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc").await;
    let start = Instant::now();
    let answer = client.read("request_timeout").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(start.elapsed(), limits().body_idle);
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let mut client = connect();
    client.send(&[GET, b"GET /stream HTTP/1.1\r\nhost: h\r\n\r\n"].concat()).await;
    let answer = client.read("tick").await;
    assert!(answer.find("hello") < answer.find("tick"), "{answer}");
}
