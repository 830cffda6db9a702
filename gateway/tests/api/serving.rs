//! A whole gateway on real sockets: its start, its ports, its drain.

use gateway::shutdown::Drained;
use gateway::{Running, ServeError, serve};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{KEY, settings};

async fn start(more: &str) -> (Running, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    (serve(settings(&data, more)).await.expect("serves"), data)
}

async fn get(addr: std::net::SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.expect("connected");
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("answered");
    answer
}

#[tokio::test]
async fn it_is_ready_with_every_provider_down() {
    let (running, _data) = start("").await;
    assert!(get(running.addr, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(running.admin_addr, "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get(running.addr, "/v1/models").await.contains("org/name:tag"));
    assert!(get(running.admin_addr, "/metrics").await.contains("quorate_connections"));
    assert_eq!(running.stop().await, Drained::Clean);
}

#[tokio::test]
async fn both_versions_of_http_are_served_on_one_port() {
    let (running, _data) = start("").await;
    let socket = TcpStream::connect(running.addr).await.expect("connected");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .expect("a handshake");
    let driver = running.app.shutdown.spawn(connection);
    let request = http::Request::get(format!("http://localhost:{}/v1/models", running.addr.port()))
        .header("authorization", format!("Bearer {KEY}"))
        .body(Empty::<bytes::Bytes>::new())
        .expect("a request");
    let answer = sender.send_request(request).await.expect("answered");
    assert_eq!((answer.status(), answer.version()), (http::StatusCode::OK, http::Version::HTTP_2));
    assert!(answer.headers().contains_key("x-request-id"));
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    assert!(body.starts_with(b"{\"object\":\"list\""));
    drop(sender);
    driver.await.expect("ends").expect("cleanly");
    assert!(get(running.addr, "/healthz").await.starts_with("HTTP/1.1 200"));
    running.stop().await;
}

#[tokio::test]
async fn a_drain_closes_the_port_and_idle_connections() {
    let (running, _data) = start("").await;
    let addr = running.addr;
    let mut idle = TcpStream::connect(addr).await.expect("connected");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("sent");
    let mut first = [0u8; 12];
    idle.read_exact(&mut first).await.expect("answered");
    assert_eq!(&first, b"HTTP/1.1 200");
    assert_eq!(running.stop().await, Drained::Clean);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.expect("closed by the gateway");
    assert!(TcpStream::connect(addr).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn while_draining_requests_are_sent_elsewhere_and_health_says_so() {
    let data = tempfile::tempdir().expect("a folder");
    let gateway = crate::support::from_settings(settings(&data, ""), data);
    gateway.app.shutdown.begin();
    let answer = crate::support::ask(&gateway.client, crate::support::get("/v1/models")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "draining"));
    assert_eq!((answer.header("x-should-retry"), answer.header("retry-after")), ("true", "1"));
    let ready = crate::support::ask(&gateway.client, crate::support::get("/readyz")).await;
    assert_eq!(ready.status.as_u16(), 503);
    let alive = crate::support::ask(&gateway.client, crate::support::get("/healthz")).await;
    assert_eq!(alive.status.as_u16(), 200);
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_member() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(&data, "");
    settings.server.admin_listen = taken.local_addr().expect("an address");
    let error = serve(settings).await.expect_err("taken");
    assert!(matches!(error, ServeError::Bind { member: "server.admin_listen", .. }), "{error}");
}

#[tokio::test]
async fn beyond_the_limit_connections_wait_their_turn() {
    let (running, _data) = start("[limits]\nconnections = 1").await;
    let mut first = TcpStream::connect(running.addr).await.expect("connected");
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("sent");
    let mut answer = [0u8; 12];
    first.read_exact(&mut answer).await.expect("answered");
    let mut second = TcpStream::connect(running.addr).await.expect("in the backlog");
    second.write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("sent");
    assert_eq!(running.app.metrics.connections.get(), 1, "the second is not served");
    drop(first);
    second.read_exact(&mut answer).await.expect("answered once the first is gone");
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(second);
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_http_harms_nobody() {
    let (running, _data) = start("").await;
    for junk in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot frames",
        b"POST /v1/models HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx: a\r\n b\r\n\r\n",
        b"\0\0\0\0",
    ] {
        let mut socket = TcpStream::connect(running.addr).await.expect("connected");
        let _ = socket.write_all(junk).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    }
    assert!(get(running.addr, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert_eq!(running.stop().await, Drained::Clean);
}

#[tokio::test]
async fn a_handler_that_panics_loses_only_its_own_request() {
    let data = tempfile::tempdir().expect("a folder");
    let upstream =
        "[[upstream]]\nid = \"p\"\nbase_url = \"http://192.0.2.1/v1\"\nmodels = [{ id = \"m\" }]";
    let mut app = gateway::app::App::new(settings(&data, upstream)).expect("a market");
    let broken = gateway::upstream::Context {
        random: || panic!("a fault put in by the test"),
        ..gateway::upstream::Context::clone(&app.upstream)
    };
    app.upstream = std::sync::Arc::new(broken);
    let running = gateway::serve_app(app).await.expect("serves");
    let answer = post_chat(running.addr).await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("req_"), "{answer}");
    assert!(!answer.contains("a fault put in"), "no detail reaches the client: {answer}");
    assert!(get(running.addr, "/v1/models/x").await.starts_with("HTTP/1.1 404"));
    let counted =
        r#"quorate_requests_total{endpoint="chat",status_class="5xx",outcome="internal"} 1"#;
    assert!(running.app.metrics.encode().contains(counted));
    running.stop().await;
}

async fn post_chat(addr: std::net::SocketAddr) -> String {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
         authorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(addr).await.expect("connected");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("answered");
    answer
}
