//! What passes between client and provider beside the body: nothing that was not meant to.

use futures_util::FutureExt as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::case::{ask, lossy, post};
use crate::market::{KEY, MODEL, UPSTREAM_KEY, chat, gateway};

type Heads = Arc<Mutex<Vec<String>>>;

/// An upstream that says `answer` to every request, keeps the heads it got, and closes.
async fn upstream(answer: Vec<u8>) -> (SocketAddr, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("an address");
    let heads = Heads::default();
    let kept = Arc::clone(&heads);
    tokio::task::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("accepts");
            let mut got = Vec::new();
            while !got.ends_with(b"}]}") && !got.ends_with(b"}}") && !got.ends_with(b"true}") {
                if socket.read_buf(&mut got).await.is_ok_and(|n| n > 0) {
                    continue;
                }
                break;
            }
            kept.lock().expect("a lock").push(lossy(&got));
            let _ = socket.write_all(&answer).await;
            let _ = socket.shutdown().await;
            let _ = socket.read_to_end(&mut got).await;
        }
    });
    (addr, heads)
}

fn stream_body() -> String {
    let event = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":{MODEL:?},\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    event("{\"role\":\"assistant\",\"content\":\"hi\"}", "null")
        + &event("{}", "\"stop\"")
        + "data: [DONE]\n\n"
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

#[tokio::test]
async fn nothing_of_a_clients_head_reaches_a_provider() {
    let (addr, heads) =
        upstream(answer("200 OK", "content-type: text/event-stream\r\n", &stream_body())).await;
    let (gateway, _data) = gateway("", &[&format!("http://{addr}/v1")], true).await;
    let headers = "cookie: session=canary-cookie\r\nx-api-key: canary-api\r\nproxy-authorization: Basic canary-proxy\r\n\
         x-forwarded-for: canary-forwarded\r\nforwarded: for=canary-forwarded\r\nx-real-ip: canary-ip\r\n\
         openai-organization: canary-org\r\nx-stainless-os: canary-os\r\nuser-agent: canary-agent\r\n\
         connection: x-canary\r\nx-canary: canary-hop\r\nte: trailers\r\nreferer: canary-referer\r\n\
         x-http-method-override: canary\r\nidempotency-key: canary-idempotency\r\n\
         origin: https://canary.example\r\ntransfer-encoding-x: canary\r\n";
    for stream in ["", ",\"stream\":true"] {
        let answer = ask(gateway.addr, &post(headers, chat(stream).as_bytes())).await;
        assert_eq!(answer.status, 200, "{}", lossy(&answer.body));
    }
    let heads = heads.lock().expect("a lock");
    assert_eq!(heads.len(), 2);
    for head in heads.iter() {
        assert!(head.contains(UPSTREAM_KEY), "{head}");
        assert!(
            !head.contains("canary-") || head.replace(UPSTREAM_KEY, "").find("canary").is_none(),
            "{head}"
        );
        assert!(!head.contains(KEY), "{head}");
    }
}

#[tokio::test]
async fn of_a_providers_head_only_what_we_say_reaches_a_client() {
    let headers = "set-cookie: a=canary\r\nserver: canary\r\nlocation: http://canary.example\r\nx-canary: 1\r\n\
         access-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\n\
         strict-transport-security: max-age=1\r\nkeep-alive: timeout=canary\r\nx-request-id: canary\r\n\
         x-quorate-cost: canary\r\nalt-svc: h3=\"canary:443\"\r\nrefresh: 0;url=canary\r\n\
         x-ratelimit-remaining-requests: canary\r\ntrailer: x-canary\r\nupgrade: canary\r\n";
    let error = "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}";
    for (status, kind, body, seen) in [
        ("200 OK", "text/event-stream", stream_body(), 200),
        ("400 Bad Request", "application/json", error.to_owned(), 400),
        ("500 Internal Server Error", "text/html", "<html>".to_owned(), 502),
        ("429 Too Many Requests", "application/json", error.to_owned(), 429),
    ] {
        let bytes = answer(status, &format!("content-type: {kind}\r\n{headers}"), &body);
        let (addr, _) = upstream(bytes).await;
        let (gateway, _data) = gateway("attempts = 1", &[&format!("http://{addr}/v1")], true).await;
        for stream in ["", ",\"stream\":true"] {
            let answer = ask(gateway.addr, &post("", chat(stream).as_bytes())).await;
            assert_eq!(answer.status, seen, "{}", lossy(&answer.body));
            for (name, value) in &answer.headers {
                assert!(
                    !value.contains("canary") && !name.contains("canary"),
                    "{status}: {name}: {value}"
                );
                let ours = [
                    "date",
                    "content-",
                    "x-",
                    "openai-",
                    "vary",
                    "cache-control",
                    "transfer-encoding",
                    "retry-after",
                    "connection",
                ];
                assert!(
                    ours.iter().any(|start| name.starts_with(start)),
                    "{status}: {name}: {value}"
                );
            }
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let target = elsewhere.local_addr().expect("an address");
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("location: http://{target}/v1/chat/completions\r\n");
        let (addr, _) = upstream(answer(status, &location, "")).await;
        let (gateway, _data) = gateway("attempts = 1", &[&format!("http://{addr}/v1")], true).await;
        let answer = ask(gateway.addr, &post("", chat("").as_bytes())).await;
        assert_eq!(answer.status, 502, "{status}: {}", lossy(&answer.body));
        answer.error(status);
        assert!(!answer.headers.contains_key("location"));
        gateway.stop().await;
    }
    assert!(elsewhere.accept().now_or_never().is_none(), "it was followed");
}

#[tokio::test]
async fn a_head_that_is_an_attack_is_a_provider_that_failed() {
    let split =
        answer("200 OK", "content-type: text/event-stream\r\nx: a\r\n b\r\n", &stream_body());
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(100_000)].concat();
    for (name, bytes) in [
        ("a header line that goes on", split),
        ("a NUL in a header", answer("200 OK", "x: a\0b\r\n", "")),
        ("a blank in a name", answer("200 OK", "x y: a\r\n", "")),
        ("two lengths", answer("200 OK", "content-length: 5\r\n", &stream_body())),
        ("headers without end", endless),
        ("another protocol", b"220 mail.example ESMTP\r\n".to_vec()),
        (
            "an upgrade",
            b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec(),
        ),
        ("nothing but 100", b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000)),
        ("nothing at all", Vec::new()),
        (
            "an encoding nobody asked for",
            answer(
                "200 OK",
                "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n",
                "\x1f\x08",
            ),
        ),
        ("an empty answer", answer("200 OK", "content-type: application/json\r\n", "")),
        ("no content", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
    ] {
        let (addr, _) = upstream(bytes).await;
        let (gateway, _data) = gateway("attempts = 1", &[&format!("http://{addr}/v1")], true).await;
        for stream in ["", ",\"stream\":true"] {
            let answer = ask(gateway.addr, &post("", chat(stream).as_bytes())).await;
            assert_eq!(answer.status, 502, "{name}: {}", lossy(&answer.body));
            answer.error(name);
        }
        gateway.stop().await;
    }
}
