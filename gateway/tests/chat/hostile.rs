//! Providers that misbehave on purpose or by accident: what they send is bounded in time and memory,
//! and what they say of themselves is not taken for an answer.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{
    MODEL, ask, chat, content, events, gateway, json_of, market_with, read_request, send, stream,
    upstream,
};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

async fn write(socket: &mut TcpStream, text: &str) -> Option<()> {
    socket.write_all(text.as_bytes()).await.ok()
}

async fn write_chunk(socket: &mut TcpStream, text: &str) -> Option<()> {
    write(socket, &format!("{:x}\r\n{text}\r\n", text.len())).await
}

fn event(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":{MODEL:?},\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("comes to an end")
}

fn error_event(body: &Bytes) -> Value {
    let events = events(body);
    let last: Value = serde_json::from_str(events.last().expect("an event")).expect("JSON");
    assert!(!events.iter().any(|event| event == "[DONE]"), "{events:?}");
    last["error"].clone()
}

/// Whether nobody is left alone for a while.
fn all_are_asked(gateway: &gateway::Running) -> bool {
    let (snapshot, now) = (gateway.app.market.snapshot(), gateway.app.market.time().now());
    let mut offers = snapshot.models().iter().flat_map(|model| &model.offers);
    offers.all(|offer| offer.learned.is_asked(now.run_ms))
}

#[tokio::test]
async fn a_flood_ends_with_the_requests_time() {
    let addr = upstream(|mut socket, _| async move {
        read_request(&mut socket).await?;
        write(&mut socket, HEAD).await?;
        write_chunk(&mut socket, &event("{\"content\":\"x\"}", "null")).await?;
        let flood = ": comment\n\n".repeat(10_000);
        loop {
            write_chunk(&mut socket, &flood).await?;
        }
    })
    .await;
    let (gateway, _data) = gateway("request_ms = 500", &[addr], MODEL).await;
    let mut body = send(gateway.addr, &stream(json!({}))).await.into_body();
    let mut tail = Vec::new();
    soon(async {
        while let Some(frame) = body.frame().await {
            let data = frame.expect("a frame").into_data().expect("data");
            tail.extend_from_slice(&data);
            let surplus = tail.len().saturating_sub(1000);
            tail.drain(..surplus);
        }
    })
    .await;
    let tail = String::from_utf8_lossy(&tail);
    assert!(tail.contains("data: {\"error\":") && tail.contains("timeout"), "{tail}");
}

#[tokio::test]
async fn what_comes_before_the_first_content_is_bounded() {
    for filler in [": comment\n\n".repeat(1000), event("{\"content\":\"\"}", "null").repeat(50)] {
        let addr = upstream(move |mut socket, _| {
            let filler = filler.clone();
            async move {
                read_request(&mut socket).await?;
                write(&mut socket, HEAD).await?;
                loop {
                    write_chunk(&mut socket, &filler).await?;
                }
            }
        })
        .await;
        let (gateway, _data) = gateway("event_bytes = 65536", &[addr], MODEL).await;
        let (status, _, body) = soon(ask(gateway.addr, &stream(json!({})))).await;
        assert_eq!(status, 502, "{body:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_finished_but_never_closed_is_an_answer() {
    let addr = upstream(|mut socket, _| async move {
        read_request(&mut socket).await?;
        write(&mut socket, HEAD).await?;
        write_chunk(&mut socket, &event("{\"content\":\"all\"}", "null")).await?;
        write_chunk(&mut socket, &event("{}", "\"stop\"")).await?;
        std::future::pending().await
    })
    .await;
    let (gateway, _data) = gateway("stall_ms = 150\nattempts = 1", &[addr], MODEL).await;
    let (_, _, body) = soon(ask(gateway.addr, &stream(json!({})))).await;
    let events = events(&body);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{events:?}");
    assert_eq!(content(&events), "all");
    let (status, _, body) = soon(ask(gateway.addr, &chat(json!({})))).await;
    assert_eq!(status, 200, "{body:?}");
}

#[tokio::test]
async fn a_kept_connection_that_closes_on_the_next_request_costs_no_attempt() {
    let addr = upstream(|mut socket, _| async move {
        read_request(&mut socket).await?;
        write(&mut socket, HEAD).await?;
        write_chunk(&mut socket, &event("{\"content\":\"hi\"}", "\"stop\"")).await?;
        write(&mut socket, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n").await?;
        // The provider's idle time ends just as the next request arrives.
        read_request(&mut socket).await
    })
    .await;
    let (gateway, _data) = gateway("attempts = 1", &[addr], MODEL).await;
    for _ in 0..6 {
        let (status, headers, body) = soon(ask(gateway.addr, &chat(json!({})))).await;
        assert_eq!(status, 200, "{body:?}");
        assert_eq!(headers["x-quorate-attempts"], "1");
        assert!(all_are_asked(&gateway));
    }
}

#[tokio::test]
async fn a_drain_tells_who_waits_for_a_whole_answer() {
    let market = market_with("drain_ms = 100", &[json!({"ttft_ms": 60_000})]).await;
    let addr = market.gateway.addr;
    let client = tokio::task::spawn(async move { ask(addr, &chat(json!({}))).await });
    market.until(|counters| counters.jobs_started() > 0).await;
    market.gateway.stop().await;
    let (status, _, body) = soon(client).await.expect("an answer");
    assert_eq!(status, 503, "{body:?}");
    assert_eq!(json_of(&body)["error"]["code"], "draining");
}

#[tokio::test]
async fn a_drain_tells_who_waits_for_the_first_content() {
    let limits = "drain_ms = 100\nhold_ms = 20\nkeep_alive_comment_ms = 100";
    let market = market_with(limits, &[json!({"ttft_ms": 60_000})]).await;
    let mut body = market.send(&stream(json!({}))).await.into_body();
    body.frame().await.expect("a comment").expect("data");
    market.gateway.stop().await;
    let rest = soon(body.collect()).await.expect("the body ends properly").to_bytes();
    assert_eq!(error_event(&rest)["code"], "draining");
}

#[tokio::test]
async fn a_refusal_inside_a_stream_is_a_refusal() {
    let addr = upstream(|mut socket, _| async move {
        read_request(&mut socket).await?;
        write(&mut socket, HEAD).await?;
        let refusal = "data: {\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\
             \"param\":\"messages\",\"code\":\"context_length_exceeded\",\"status\":400}}\n\n";
        write_chunk(&mut socket, refusal).await?;
        write(&mut socket, "0\r\n\r\n").await
    })
    .await;
    let (gateway, _data) = gateway("", &[addr, addr], MODEL).await;
    for body in [chat(json!({})), stream(json!({}))] {
        let (status, _, bytes) = soon(ask(gateway.addr, &body)).await;
        assert_eq!(status, 400, "{bytes:?}");
        assert_eq!(json_of(&bytes)["error"]["code"], "context_length_exceeded");
    }
    assert!(all_are_asked(&gateway));
}

#[tokio::test]
async fn a_refusal_before_the_request_is_read_is_told() {
    let addr = upstream(|mut socket, _| async move {
        socket.read_exact(&mut [0u8; 100]).await.ok()?;
        let body = "{\"error\":{\"message\":\"too large\",\"type\":\"invalid_request_error\",\
             \"param\":null,\"code\":null}}";
        let head = "HTTP/1.1 413 Payload Too Large\r\ncontent-type: application/json\r\n\
             connection: close\r\n";
        write(&mut socket, &format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await?;
        socket.shutdown().await.ok()?;
        // Well-behaved servers linger, so that the answer is not lost to a reset.
        let mut sink = vec![0u8; 1 << 16];
        while socket.read(&mut sink).await.ok()? > 0 {}
        Some(())
    })
    .await;
    let (gateway, _data) = gateway("", &[addr], MODEL).await;
    let long = "x".repeat(8 << 20);
    let body = chat(json!({"messages": [{"role": "user", "content": long}]}));
    let (status, _, bytes) = soon(ask(gateway.addr, &body)).await;
    assert_eq!(status, 413, "{bytes:?}");
}

#[tokio::test]
async fn bytes_after_an_answer_never_reach_the_next_client() {
    let addr = upstream(|mut socket, _| async move {
        loop {
            read_request(&mut socket).await?;
            let good = event("{\"content\":\"mine\"}", "\"stop\"") + "data: [DONE]\n\n";
            let evil = event("{\"content\":\"evil\"}", "\"stop\"") + "data: [DONE]\n\n";
            let evil = format!("{HEAD}{:x}\r\n{evil}\r\n0\r\n\r\n", evil.len());
            write(&mut socket, HEAD).await?;
            write_chunk(&mut socket, &good).await?;
            write(&mut socket, &format!("0\r\n\r\n{evil}")).await?;
        }
    })
    .await;
    let (gateway, _data) = gateway("", &[addr], MODEL).await;
    for round in 0..20 {
        let streamed = round % 2 == 0;
        let (status, _, body) = soon(ask(gateway.addr, &chat(json!({"stream": streamed})))).await;
        assert_eq!(status, 200, "{body:?}");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("mine") && !text.contains("evil"), "{text}");
    }
}

#[tokio::test]
async fn a_refusal_whose_text_never_ends_is_still_a_refusal() {
    let addr = upstream(|mut socket, _| async move {
        read_request(&mut socket).await?;
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n";
        write(&mut socket, &format!("{head}{{\"error\":")).await?;
        std::future::pending().await
    })
    .await;
    let (gateway, _data) = gateway("", &[addr], MODEL).await;
    let (status, _, body) = soon(ask(gateway.addr, &chat(json!({})))).await;
    assert_eq!(status, 400);
    assert_eq!(json_of(&body)["error"]["type"], "invalid_request_error");
}
