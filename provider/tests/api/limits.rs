//! Limits of bodies and connections.

use crate::client::{chat_body, scripted, scripted_with};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use provider::app::Serving;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes as they are and reads what comes until the connection closes.
async fn raw(addr: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_is_announced_too_long_is_refused_unread() {
    let small = |serving: &mut Serving| serving.requests.body_bytes = 1000;
    let (_running, client) = scripted_with(json!({}), 4, small).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        content-length: 1001\r\n\r\n";
    let answer = raw(client.addr, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("larger than 1000 bytes"), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_refused_where_it_passes_the_limit() {
    let small = |serving: &mut Serving| serving.requests.body_bytes = 1000;
    let (_running, client) = scripted_with(json!({}), 4, small).await;
    let piece = "x".repeat(600);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n258\r\n{piece}\r\n258\r\n{piece}\r\n0\r\n\r\n"
    );
    let answer = raw(client.addr, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_times_out() {
    let (_running, client) = scripted(json!({})).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        content-length: 100\r\n\r\n{\"model\":";
    let answer = raw(client.addr, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn connections_without_a_request_are_closed() {
    let (_running, client) = scripted(json!({})).await;
    for sent in ["", "P", "PRI * HTTP/2.0\r\n", "POST /v1/chat/completions HTTP/1.1\r\nhost:"] {
        let start = tokio::time::Instant::now();
        raw(client.addr, sent.as_bytes()).await;
        let took = start.elapsed();
        assert!((10..12).contains(&took.as_secs()), "{sent:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_outlives_the_first_request_timeout() {
    let (_running, client) = scripted(json!({"tokens": 1, "ttft_ms": 60_000})).await;
    assert_eq!(client.chat(json!({})).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn connections_over_the_limit_wait() {
    let one = |serving: &mut Serving| serving.connections.connections = 1;
    let (_running, client) = scripted_with(json!({"tokens": 1}), 4, one).await;
    let first = TcpStream::connect(client.addr).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut second = std::pin::pin!(client.chat(json!({})));
    tokio::select! {
        _ = &mut second => panic!("it should wait"),
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    drop(first);
    assert_eq!(second.await.status, 200);
}

#[tokio::test]
async fn header_floods_are_refused() {
    let (_running, client) = scripted(json!({})).await;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n", "a".repeat(70_000));
    let answer = raw(client.addr, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let (_running, client) = scripted(json!({"tokens": 2})).await;
    let socket = TcpStream::connect(client.addr).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(connection);
    let request = http::Request::post(format!("http://{}/v1/chat/completions", client.addr))
        .body(Full::new(Bytes::from(chat_body(json!({"stream": true})).to_string())))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn bodies_held_at_once_are_bounded_and_their_room_is_given_back() {
    let small = |serving: &mut Serving| serving.requests.bodies_bytes = 1000;
    let (_running, client) = scripted_with(json!({}), 4, small).await;
    for (letters, status) in [(600, 200), (1200, 503), (600, 200), (600, 200)] {
        let messages = json!([{"role": "user", "content": "x".repeat(letters)}]);
        let body = json!({"model": crate::client::MODEL, "messages": messages}).to_string();
        let request = client.request(http::Method::POST, "/v1/chat/completions");
        let answer = client.send(request.body(Full::from(body)).unwrap()).await;
        assert_eq!(answer.status, status, "{letters}: {}", answer.text);
    }
}
