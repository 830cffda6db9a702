//! HTTP/2 turned against the gateway: floods, bombs, withheld windows, broken frames.

use serde_json::json;

use crate::case::{head, lossy};
use crate::frames::*;
use crate::market::{Market, chat, market, until};

const REFUSED_STREAM: u32 = 7;

/// A fresh connection is served as if nothing had been.
async fn still_answers(market: &Market) {
    let mut client = Client::connect(market.addr(), &[]).await;
    client.send(&get(1, "/v1/models")).await;
    assert!(lossy(&client.body(1).await).contains("acme/test:1"));
    let answer =
        crate::case::ask(market.addr(), head("GET /v1/models HTTP/1.1", "").as_bytes()).await;
    assert_eq!(answer.status, 200);
    drop(client);
    market.until_quiet().await;
}

fn number(payload: &[u8]) -> u32 {
    payload.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[tokio::test]
async fn a_withheld_window_does_not_hold_a_provider() {
    let script = json!({"tokens": 1_000_000, "itl_ms": 1});
    let market = market("write_stall_ms = 300", script).await;
    let mut client = Client::connect(market.addr(), &first_window(0)).await;
    client.send(&post(1, &chat(",\"stream\":true"))).await;
    let reset = client.until(|frame| frame.kind == RST_STREAM).await.expect("a reset");
    assert_eq!(reset.stream, 1);
    let counters = market.provider.counters.clone();
    until("cancelled", || counters.jobs_cancelled() == 1).await;
    let app = &market.gateway.app;
    until("freed", || app.market.snapshot().endpoints()[0].in_flight() == 0).await;
    assert_eq!(app.metrics.slow_clients.get(), 1);
    // The connection is as good as before.
    client.send(&[get(3, "/healthz"), window_update(3, 1000)].concat()).await;
    assert_eq!(lossy(&client.body(3).await), r#"{"status":"ok"}"#);
    drop(client);
    still_answers(&market).await;
}

#[tokio::test]
async fn who_gives_a_little_window_in_time_gets_the_whole_answer() {
    let market = market("write_stall_ms = 2000", json!({"tokens": 20})).await;
    let mut client = Client::connect(market.addr(), &first_window(0)).await;
    // One stream gets nothing, and does not hold up the other.
    client
        .send(&[post(1, &chat(",\"stream\":true")), post(3, &chat(",\"stream\":true"))].concat())
        .await;
    let mut body = Vec::new();
    client.send(&window_update(3, 50)).await;
    while !lossy(&body).contains("[DONE]") {
        let data =
            client.until(|frame| frame.kind == DATA && frame.stream == 3).await.expect("data");
        body.extend(&data.payload);
        client.send(&window_update(3, 50)).await;
    }
    drop(client);
    still_answers(&market).await;
}

#[tokio::test]
async fn resets_before_anybody_looks_end_the_connection() {
    let market = market("", json!({"tokens": 3})).await;
    let mut client = Client::connect(market.addr(), &[]).await;
    let flood: Vec<u8> = (0..2000u32)
        .flat_map(|n| {
            [get(2 * n + 1, "/v1/models"), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()
        })
        .collect();
    client.send(&flood).await;
    client.until(|frame| frame.kind == GOAWAY).await;
    assert!(client.until(|_| false).await.is_none(), "closed");
    drop(client);
    still_answers(&market).await;
}

#[tokio::test]
async fn resets_of_requests_under_way_cancel_them() {
    let market = market("", json!({"ttft_ms": 60_000})).await;
    let counters = market.provider.counters.clone();
    let mut client = Client::connect(market.addr(), &[]).await;
    for stream in (0..40u32).map(|n| 2 * n + 1) {
        let more = if stream % 4 == 1 { ",\"stream\":true" } else { "" };
        client.send(&post(stream, &chat(more))).await;
    }
    until("all under way", || counters.jobs_started() == 40).await;
    for stream in (0..40u32).map(|n| 2 * n + 1) {
        client.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])).await;
    }
    until("cancelled", || counters.jobs_cancelled() == 40).await;
    drop(client);
    still_answers(&market).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_the_others_go_on() {
    let market = market("h2_streams = 4", json!({"tokens": 3, "ttft_ms": 300})).await;
    let mut client = Client::connect(market.addr(), &[]).await;
    client.until(|frame| frame.kind == SETTINGS && frame.flags == 1).await.expect("settings");
    let streams: Vec<u8> = (0..6u32).flat_map(|n| post(2 * n + 1, &chat(""))).collect();
    client.send(&streams).await;
    for refused in [9, 11] {
        let reset = client.until(|frame| frame.kind == RST_STREAM).await.expect("a reset");
        assert_eq!((reset.stream, number(&reset.payload)), (refused, REFUSED_STREAM));
    }
    assert!(lossy(&client.body(1).await).contains("chat.completion"));
    drop(client);
    still_answers(&market).await;
}

#[tokio::test]
async fn floods_of_small_frames_harm_nobody() {
    let market = market("write_stall_ms = 500", json!({"tokens": 3})).await;
    let ping = frame(PING, 0, 0, &[0; 8]);
    for flood in [
        frame(SETTINGS, 0, 0, &[]).repeat(50_000),
        frame(SETTINGS, 0, 0, &first_window(1000).repeat(100)).repeat(2000),
        ping.repeat(100_000),
        window_update(0, 1).repeat(100_000),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]).repeat(100_000),
        frame(99, 0xff, 1, b"unknown").repeat(100_000),
        [get(1, "/v1/models"), frame(DATA, 0, 1, &[]).repeat(50_000)].concat(),
        [
            frame(HEADERS, END_HEADERS, 1, &block("POST", "/v1/chat/completions", &[])),
            frame(DATA, 0, 1, &[]).repeat(100_000),
        ]
        .concat(),
    ] {
        // Nobody reads what the gateway answers, until it closes or takes no more.
        let mut client = Client::connect(market.addr(), &[]).await;
        let sent = tokio::time::timeout(crate::market::DEADLINE, client.send(&flood)).await;
        assert!(sent.is_ok(), "the gateway neither reads nor closes");
        drop(client);
        still_answers(&market).await;
    }
}

#[tokio::test]
async fn header_bombs_do_not_go_off() {
    let market = market("", json!({"tokens": 3})).await;
    let long = "x".repeat(70_000);
    let over = block("GET", "/v1/models", &[("x", &long)]);
    let mut client = Client::connect(market.addr(), &[]).await;
    let (first, rest) = over.split_at(16_000);
    let mut bytes = frame(HEADERS, END_STREAM, 1, first);
    let last = rest.chunks(16_000).count() - 1;
    for (n, part) in rest.chunks(16_000).enumerate() {
        bytes.extend(frame(CONTINUATION, if n == last { END_HEADERS } else { 0 }, 1, part));
    }
    client.send(&bytes).await;
    let refusal = client.body(1).await;
    let error: serde_json::Value = serde_json::from_slice(&refusal).expect("JSON");
    assert_eq!(error["error"]["code"], "headers_too_large", "{error}");
    drop(client);

    // One long header in the table, and then named again and again: 60 MB out of 16 KB.
    let mut client = Client::connect(market.addr(), &[]).await;
    let mut bomb = block("GET", "/v1/models", &[]);
    let mut entry = literal("x", &"y".repeat(3900));
    entry[0] = 0x40;
    bomb.extend(entry);
    bomb.extend([0xbe].repeat(12_000));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await;
    let answer = client.until(|frame| matches!(frame.kind, HEADERS | RST_STREAM | GOAWAY)).await;
    // 0x88 would be `:status: 200`.
    assert!(answer.is_none_or(|frame| frame.payload.first() != Some(&0x88)));
    drop(client);

    // Headers that never end.
    let mut client = Client::connect(market.addr(), &[]).await;
    let start = frame(HEADERS, 0, 1, &block("GET", "/v1/models", &[]));
    let more = frame(CONTINUATION, 0, 1, &literal("x", "y").repeat(1000)).repeat(5000);
    client.send(&[start, more].concat()).await;
    client.until(|frame| frame.kind == GOAWAY).await;
    drop(client);
    let empty = frame(CONTINUATION, 0, 1, &[]).repeat(100_000);
    let mut client = Client::connect(market.addr(), &[]).await;
    client.send(&[frame(HEADERS, 0, 1, &block("GET", "/", &[])), empty].concat()).await;
    client.until(|frame| frame.kind == GOAWAY).await;
    drop(client);
    still_answers(&market).await;
}

#[tokio::test]
async fn broken_frames_end_the_stream_or_the_connection() {
    let market = market("", json!({"tokens": 3})).await;
    let head = |more: &[(&str, &str)]| {
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block("GET", "/v1/models", more))
    };
    let raw = |fields: &[(&str, &str)]| {
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
    };
    let padded = [vec![255u8], block("GET", "/", &[])[..20].to_vec()].concat();
    for (name, bytes) in [
        ("data on no stream", frame(DATA, 0, 0, b"x")),
        ("data on a stream that is not there", frame(DATA, 0, 1, b"x")),
        ("headers on no stream", frame(HEADERS, END_HEADERS, 0, &block("GET", "/", &[]))),
        ("a stream of the server's", frame(HEADERS, END_HEADERS, 2, &block("GET", "/", &[]))),
        ("a stream that goes back", [get(5, "/healthz"), get(3, "/healthz")].concat()),
        ("a frame that is too long", frame(DATA, 0, 1, &[0; 16_385])),
        ("a promise from a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[])),
        ("settings of an odd length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a window beyond 31 bits", frame(SETTINGS, 0, 0, &first_window(u32::MAX))),
        ("a ping of an odd length", frame(PING, 0, 0, &[0; 7])),
        ("a ping on a stream", frame(PING, 0, 1, &[0; 8])),
        ("a window that grows by nothing", window_update(0, 0)),
        ("a window that grows too much", window_update(0, 0x7fff_ffff).repeat(2)),
        ("a reset of what is not there", frame(RST_STREAM, 0, 1, &[0; 4])),
        ("headers that go on without a start", frame(CONTINUATION, END_HEADERS, 1, &[])),
        (
            "another frame inside headers",
            [frame(HEADERS, 0, 1, &[]), frame(PING, 0, 0, &[0; 8])].concat(),
        ),
        ("more padding than frame", frame(HEADERS, END_HEADERS | 8, 1, &padded)),
        ("an index of no table", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0x7f])),
        (
            "a string longer than its block",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0, 0x7f, 0x20, b'x']),
        ),
        ("a name in capitals", head(&[("X-Caps", "y")])),
        ("a header of the connection's", head(&[("connection", "keep-alive")])),
        ("a transfer coding", head(&[("transfer-encoding", "chunked")])),
        ("a line break in a header", head(&[("x", "a\r\nb: c")])),
        ("a NUL in a header", head(&[("x", "a\0b")])),
        ("a field that starts like a pseudo one", head(&[(":evil", "x")])),
        ("no method", raw(&[(":scheme", "http"), (":path", "/"), (":authority", "h")])),
        ("no path", raw(&[(":method", "GET"), (":scheme", "http"), (":authority", "h")])),
        ("two paths", head(&[(":path", "/v1/models")])),
        ("a length that is not kept", head(&[("content-length", "10")])),
    ] {
        let mut client = Client::connect(market.addr(), &[]).await;
        client.send(&bytes).await;
        let is_end = |frame: &Frame| {
            matches!(frame.kind, GOAWAY | RST_STREAM)
                || (frame.kind == HEADERS && frame.payload.first() != Some(&0x88))
        };
        println!("{name}");
        // A hang or a good answer would not get here.
        let _ = client.until(is_end).await;
        drop(client);
    }
    still_answers(&market).await;
}
