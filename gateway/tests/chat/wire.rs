//! Bytes on the wire: a raw upstream writes them, the client must get the same; connections are
//! used again, and stale ones are noticed.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{
    MODEL, ask, chat, content, events, gateway, json_of, read_request, send, stream,
};

/// An upstream that answers every request with the same bytes, written in `pieces` bytes at a time.
struct Raw {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

async fn raw(answer: Vec<u8>, piece: usize, requests_per_connection: usize) -> Raw {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("an address");
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::task::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.expect("accepts");
            socket.set_nodelay(true).expect("nodelay");
            count.fetch_add(1, Relaxed);
            tokio::task::spawn(answer_all(socket, answer.clone(), piece, requests_per_connection));
        }
    });
    Raw { addr, connections }
}

async fn answer_all(mut socket: TcpStream, answer: Vec<u8>, piece: usize, requests: usize) {
    for _ in 0..requests {
        if read_request(&mut socket).await.is_none() {
            return;
        }
        for part in answer.chunks(piece) {
            if socket.write_all(part).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn sse_answer(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn sse_chunked(body: &str) -> Vec<u8> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes()
}

/// Odd but right: comments, CRLF, no blank after `data:`, unknown members, huge numbers, escapes.
fn odd_stream() -> String {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "{{\"id\":\"x-1\",\"object\":\"chat.completion.chunk\", \"created\":1700000000,\"model\":{MODEL:?},\
             \"big\":123456789012345678901234567890.10e-400,\"choices\":[{{\"index\":0,\"delta\":{delta},\
             \"finish_reason\":{finish},\"odd\":[1.0,{{\"z\":null}}]}}],\"system_fingerprint\":\"fp\"}}"
        )
    };
    format!(
        ": hello\n\ndata: {}\n\n: mid\ndata:{}\r\n\r\ndata: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
        chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
        chunk("{\"content\":\"na\\u00efve \u{1F600}\"}", "null"),
        chunk("{\"content\":\" end\"}", "null"),
        chunk("{}", "\"stop\""),
    )
}

#[tokio::test]
async fn a_stream_that_needs_no_change_arrives_byte_by_byte() {
    let body = odd_stream();
    for answer in [sse_answer(&body), sse_chunked(&body)] {
        for piece in [usize::MAX, 1, 7, 1000] {
            let upstream = raw(answer.clone(), piece, 1).await;
            let (gateway, _data) = gateway("", &[upstream.addr], MODEL).await;
            let (status, _, bytes) = ask(gateway.addr, &stream(json!({}))).await;
            assert_eq!(status, 200);
            assert_eq!(String::from_utf8_lossy(&bytes), body, "pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn a_connection_carries_one_request_after_another() {
    for answer in [sse_answer(&odd_stream()), sse_chunked(&odd_stream())] {
        let upstream = raw(answer, 11, usize::MAX).await;
        let (gateway, _data) = gateway("", &[upstream.addr], MODEL).await;
        for round in 0..10 {
            let body = if round % 2 == 0 { stream(json!({})) } else { chat(json!({})) };
            let (status, _, bytes) = ask(gateway.addr, &body).await;
            assert_eq!(status, 200, "{bytes:?}");
            let pool = &gateway.app.market.snapshot().endpoints()[0].clone();
            crate::harness::until(|| pool.pool().is_some_and(|pool| pool.len() == 1)).await;
        }
        assert_eq!(upstream.connections.load(Relaxed), 1);
    }
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_meanwhile_costs_no_attempt() {
    // One answer a connection: the pooled one is always stale by the time it is wanted.
    let upstream = raw(sse_answer(&odd_stream()), usize::MAX, 1).await;
    let (gateway, _data) = gateway("attempts = 1", &[upstream.addr], MODEL).await;
    for _ in 0..20 {
        let (status, headers, bytes) = ask(gateway.addr, &chat(json!({}))).await;
        assert_eq!(status, 200, "{bytes:?}");
        assert_eq!(headers["x-quorate-attempts"], "1");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_stream_is_served_whole() {
    let answer = "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"theirs\",\"choices\":[{\"index\":0,\"message\":\
         {\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\"big\":1e400}";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n";
    let bytes = format!("{head}content-length: {}\r\n\r\n{answer}", answer.len()).into_bytes();
    let upstream = raw(bytes, usize::MAX, usize::MAX).await;
    let (gateway, _data) = gateway("", &[upstream.addr], "theirs").await;
    let (status, _, bytes) = ask(gateway.addr, &chat(json!({}))).await;
    assert_eq!(status, 200);
    let want = answer.replace("\"theirs\"", &format!("{MODEL:?}"));
    assert_eq!(String::from_utf8_lossy(&bytes), want);
    let (status, _, bytes) = ask(gateway.addr, &stream(json!({}))).await;
    assert_eq!(
        (status.as_u16(), json_of(&bytes)["error"]["code"].clone()),
        (502, json!("provider_error"))
    );
}

#[tokio::test]
async fn the_provider_gets_the_clients_bytes_with_only_what_must_differ() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let (gateway, _data) =
        gateway("", &[listener.local_addr().expect("an address")], "theirs").await;
    let sent = format!(
        r#"{{ "zeta" : 1.10e+2, "model":{MODEL:?},"messages":[{{"role":"user","content":"ü\u00fc"}}],  "big":12345678901234567890123 }}"#
    );
    let client =
        tokio::task::spawn(crate::harness::send_bytes(gateway.addr, Bytes::from(sent.clone())));
    let (mut socket, _) = listener.accept().await.expect("accepts");
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        let mut buffer = [0u8; 4096];
        let n = socket.read(&mut buffer).await.expect("reads");
        read.extend_from_slice(&buffer[..n]);
    }
    let text = String::from_utf8(read).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("x-request-id: req_") && head.contains("x-quorate-evidence: 1"),
        "{head}"
    );
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
    for kept in
        [r#""zeta" : 1.10e+2"#, r#""content":"ü\u00fc""#, r#""big":12345678901234567890123"#]
    {
        assert!(body.contains(kept), "{body}");
    }
    let value: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(value["model"], "theirs");
    assert_eq!(value["stream"], true);
    assert_eq!(value["stream_options"]["include_usage"], true);
    socket.write_all(&sse_answer(&odd_stream())).await.expect("writes");
    let answer = client.await.expect("joins").into_body().collect().await.expect("a body");
    assert!(answer.to_bytes().windows(4).any(|w| w == b" end"));
}

#[tokio::test]
async fn an_upstream_on_a_private_address_needs_leave() {
    let upstream = raw(sse_answer(&odd_stream()), usize::MAX, 1).await;
    let data = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         [auth]\nmode = \"open\"\n[[upstream]]\nid = \"p\"\nbase_url = \"http://{}/v1\"\n\
         models = [{{ id = {MODEL:?} }}]\n",
        data.path(),
        upstream.addr
    );
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    let gateway = gateway::serve(settings).await.expect("serves");
    let answer = send(gateway.addr, &chat(json!({}))).await;
    assert_eq!(answer.status(), 502);
    assert_eq!(upstream.connections.load(Relaxed), 0);
}

#[tokio::test]
async fn splits_inside_characters_do_no_harm() {
    let upstream = raw(sse_chunked(&odd_stream()), 1, 1).await;
    let (gateway, _data) = gateway("", &[upstream.addr], MODEL).await;
    let (_, _, bytes) = ask(gateway.addr, &stream(json!({}))).await;
    let events = events(&bytes);
    assert!(content(&events).contains('\u{1F600}'), "{events:?}");
}
