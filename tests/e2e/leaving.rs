//! A client that leaves stops the generation, by the provider's own counters.

use crate::harness::{Market, counter, endless, guarded, reaches};
use serde_json::Value;
use tokio::task::JoinSet;

const TOKENS: u32 = 900;

#[tokio::test]
async fn a_client_that_leaves_a_stream_stops_the_generation() {
    guarded(async {
        let market = Market::start(1).await;
        let mut stream = market.api.stream(&endless(TOKENS)).await;
        stream.first_content().await;
        drop(stream);
        assert_stopped(&market).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_a_whole_answer_stops_the_generation() {
    guarded(async {
        let market = Market::start(1).await;
        let api = market.api.clone();
        let mut client = JoinSet::new();
        let request = client.spawn(async move { api.chat(&endless(TOKENS)).await });
        reaches(&market.providers[0], "tokens_generated_total", 1).await;
        request.abort();
        assert!(client.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert_stopped(&market).await;
    })
    .await;
}

/// A client that leaves while it waits in the queue never costs a token.
#[tokio::test]
async fn a_client_that_leaves_the_queue_costs_nothing() {
    guarded(async {
        let market = Market::start(1).await;
        let provider = &market.providers[0];
        let mut running = market.api.stream(&endless(300)).await;
        running.first_content().await;
        let api = market.api.clone();
        let mut client = JoinSet::new();
        let waiting = client.spawn(async move { api.chat(&endless(TOKENS)).await });
        reaches(provider, "queue_depth", 1).await;
        waiting.abort();
        assert!(client.join_next().await.unwrap().unwrap_err().is_cancelled());
        running.rest().await;
        let generated = counter(provider, "tokens_generated_total").await;
        assert_eq!(usage(&market).await, 5);
        assert_eq!(counter(provider, "tokens_generated_total").await, generated + 5);
    })
    .await;
}

/// The job is counted as cancelled, and the only tokens made from then on are the next request's.
async fn assert_stopped(market: &Market) {
    let provider = &market.providers[0];
    reaches(provider, "jobs_cancelled_total", 1).await;
    // On a CPU one job runs at a time: when the next has its answer, the cancelled one is over.
    assert_eq!(usage(market).await, 5);
    let generated = counter(provider, "tokens_generated_total").await;
    assert!(generated < u64::from(TOKENS), "{generated} tokens: it went on to the end");
    assert_eq!(usage(market).await, 5);
    assert_eq!(counter(provider, "tokens_generated_total").await, generated + 5);
}

/// Asks for five tokens; how many were charged.
async fn usage(market: &Market) -> u64 {
    let (status, answer): (_, Value) = market.api.chat(&endless(5)).await;
    assert!(status.is_success(), "{answer}");
    answer["usage"]["completion_tokens"].as_u64().unwrap()
}
