//! All bodies together: what is held of them is bounded, while they are read and while they are used.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::case::{ask, head, post};
use crate::encodings::encode;
use crate::market::{DEADLINE, MODEL, Market, chat, market, until};

const LIMITS: &str = "bodies_bytes = 1048576\nbody_bytes = 1048576";

fn padded(bytes: usize) -> String {
    chat(&format!(",\"x\":\"{}\"", "y".repeat(bytes)))
}

/// Asks until the status is `wanted`; all others must be `meanwhile`.
async fn ask_until(market: &Market, request: &[u8], wanted: u16, meanwhile: u16) {
    let asked = async {
        loop {
            let answer = ask(market.addr(), request).await;
            if answer.status == wanted {
                return answer;
            }
            assert_eq!(answer.status, meanwhile);
        }
    };
    let answer = tokio::time::timeout(DEADLINE, asked).await.expect("comes to it");
    if wanted == 503 {
        assert_eq!(answer.error("full")["code"], "overloaded");
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.headers["x-should-retry"], "true");
    }
}

#[tokio::test]
async fn bodies_that_are_still_being_sent_count() {
    let market = market(LIMITS, json!({"tokens": 3})).await;
    let large = post("", padded(600_000).as_bytes());
    let mut slow = TcpStream::connect(market.addr()).await.expect("connects");
    slow.write_all(&large[..large.len() - 1]).await.expect("sends");
    // Before others ask: who comes later, while theirs is held, would be refused itself.
    let bodies = market.gateway.app.bodies.clone();
    until("it is held", || bodies.left_bytes() < 500_000).await;
    ask_until(&market, &large, 503, 200).await;
    // A small one has room.
    assert_eq!(ask(market.addr(), &post("", chat("").as_bytes())).await.status, 200);
    drop(slow);
    ask_until(&market, &large, 200, 503).await;
    market.until_quiet().await;
}

#[tokio::test]
async fn what_is_made_of_a_body_counts_as_the_body_did() {
    let market = market(LIMITS, json!({"ttft_ms": 60_000})).await;
    let body = json!({"model": MODEL, "input": "y".repeat(600_000)}).to_string();
    let length = format!("content-length: {}\r\n", body.len());
    let request = head("POST /v1/responses HTTP/1.1", &length) + &body;
    let mut waiting = TcpStream::connect(market.addr()).await.expect("connects");
    waiting.write_all(request.as_bytes()).await.expect("sends");
    let counters = market.provider.counters.clone();
    until("started", || counters.jobs_started() == 1).await;
    let answer = ask(market.addr(), request.as_bytes()).await;
    assert_eq!((answer.status, answer.error("full")["code"].as_str()), (503, Some("overloaded")));
    drop(waiting);
    until("cancelled", || counters.jobs_cancelled() == 1).await;
    market.until_quiet().await;
}

#[tokio::test]
async fn bodies_count_until_their_request_is_over() {
    let market = market(LIMITS, json!({"ttft_ms": 60_000})).await;
    // Inflated bytes count, not those on the wire.
    let small = encode("gzip", padded(600_000).as_bytes()).await;
    let request = post("content-encoding: gzip\r\n", &small);
    assert!(request.len() < 10_000);
    let mut waiting = TcpStream::connect(market.addr()).await.expect("connects");
    waiting.write_all(&request).await.expect("sends");
    let counters = market.provider.counters.clone();
    until("started", || counters.jobs_started() == 1).await;
    let answer = ask(market.addr(), &request).await;
    assert_eq!((answer.status, answer.error("full")["code"].as_str()), (503, Some("overloaded")));
    drop(waiting);
    until("cancelled", || counters.jobs_cancelled() == 1).await;
    market.until_quiet().await;
    let mut next = TcpStream::connect(market.addr()).await.expect("connects");
    next.write_all(&request).await.expect("sends");
    until("started", || counters.jobs_started() == 2).await;
    drop(next);
    market.until_quiet().await;
}
