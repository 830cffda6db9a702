//! A client who leaves takes the job along, in every phase.

use crate::client::{eventually, jobs, next, read_until, scripted, scripted_with};
use serde_json::json;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

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
