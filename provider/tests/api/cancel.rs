//! A client who leaves takes the job along, in every phase.

use crate::client::{chat_body, eventually, jobs, next, read_until, scripted, scripted_with};
use serde_json::json;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test(start_paused = true)]
async fn in_mid_stream_within_two_tokens() {
    let (running, client) = scripted(json!({"tokens": 10_000, "itl_ms": 100})).await;
    let response = client.open(client.chat_request(json!({"stream": true}))).await;
    let mut body = response.into_body();
    read_until(&mut body, "tok5").await;
    let counters = &running.counters;
    let seen = counters.tokens_generated.load(Relaxed);
    drop(body);
    eventually("cancelled", || jobs(counters).2 == 1).await;
    let made = counters.tokens_generated.load(Relaxed);
    assert!(made <= seen + 2, "{made} after {seen}");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(counters.tokens_generated.load(Relaxed), made);
}

#[tokio::test(start_paused = true)]
async fn while_a_whole_answer_is_made() {
    let (running, client) = scripted(json!({"tokens": 10_000, "itl_ms": 100})).await;
    let counters = &running.counters;
    {
        let mut waits = std::pin::pin!(client.chat(json!({})));
        tokio::select! {
            _ = &mut waits => panic!("no answer is due"),
            () = eventually("begun", || counters.tokens_generated.load(Relaxed) >= 5) => {}
        }
    }
    eventually("cancelled", || jobs(counters).2 == 1).await;
    let made = counters.tokens_generated.load(Relaxed);
    assert!(made <= 7, "{made}");
}

#[tokio::test(start_paused = true)]
async fn in_the_queue() {
    let script = json!({"tokens": 1, "ttft_ms": 60_000});
    let (running, client) = scripted_with(script, 1, |serving| serving.queue = 1).await;
    let counters = &running.counters;
    let first = client.open(client.chat_request(json!({"stream": true}))).await;
    {
        let mut waits = std::pin::pin!(client.chat(json!({})));
        tokio::select! {
            _ = &mut waits => panic!("no answer is due"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        assert_eq!(client.chat(json!({})).await.status, 429, "the queue is full");
    }
    // Gone from the queue without ever having begun: there is room for another.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(jobs(counters), (1, 0, 0));
    let mut waits = std::pin::pin!(client.chat(json!({})));
    tokio::select! {
        answer = &mut waits => panic!("it should wait: {}", answer.status),
        () = tokio::time::sleep(Duration::from_millis(100)) => {}
    }
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn before_the_head() {
    let (running, client) = scripted(json!({"head_ms": 60_000})).await;
    let counters = &running.counters;
    {
        let mut waits = std::pin::pin!(client.chat(json!({"stream": true})));
        tokio::select! {
            _ = &mut waits => panic!("no answer is due"),
            () = eventually("begun", || jobs(counters).0 == 1) => {}
        }
    }
    eventually("cancelled", || jobs(counters).2 == 1).await;
}

#[tokio::test(start_paused = true)]
async fn all_choices_at_once() {
    let (running, client) = scripted(json!({"tokens": 10_000, "itl_ms": 100})).await;
    let response = client.open(client.chat_request(json!({"stream": true, "n": 3}))).await;
    let mut body = response.into_body();
    next(&mut body).await.unwrap().unwrap();
    eventually("all begun", || jobs(&running.counters).0 == 3).await;
    drop(body);
    eventually("all cancelled", || jobs(&running.counters).2 == 3).await;
}

/// Such a client would hold the only place of a CPU for ever.
#[tokio::test(start_paused = true)]
async fn when_the_client_stops_reading() {
    let (running, client) = scripted_with(json!({"tokens": 1_000_000}), 1, |_| {}).await;
    let mut socket = TcpStream::connect(client.addr).await.unwrap();
    let body = chat_body(json!({"stream": true})).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    eventually("cancelled", || jobs(&running.counters).2 == 1).await;
    let next = client.chat(json!({"max_tokens": 1})).await;
    assert_eq!(next.status, 200);
}
