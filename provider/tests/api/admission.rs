//! The queue: who waits, who is turned away, and what they are told.

use crate::client::{eventually, jobs, scripted_with};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn beyond_the_queue_comes_429_with_an_honest_retry_after() {
    // Each answer takes 8 s; one slot, two places.
    let script = json!({"tokens": 1, "ttft_ms": 8_000});
    let (running, client) = scripted_with(script, 1, |serving| serving.queue = 2).await;
    // Teach it how long an answer takes.
    client.chat(json!({})).await;
    let counters = &running.counters;
    let (one, two, three) =
        (client.chat(json!({})), client.chat(json!({})), client.chat(json!({"stream": true})));
    let refused = async {
        eventually("one runs", || jobs(counters).0 == 2).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let refused = client.chat(json!({})).await;
        assert_eq!(jobs(counters).0, 2, "two wait");
        refused
    };
    let (one, two, three, refused) = tokio::join!(one, two, three, refused);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.error()["code"], "rate_limit_exceeded");
    let after: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((16..=17).contains(&after), "two waiting of 8 s each: {after}");
    for answer in [one, two, three] {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(jobs(counters), (4, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_held_until_the_stream_ends() {
    let script = json!({"tokens": 2, "itl_ms": 5_000});
    let (running, client) = scripted_with(script, 1, |serving| serving.queue = 0).await;
    let response = client.open(client.chat_request(json!({"stream": true}))).await;
    // The head has come, the stream goes on.
    assert_eq!(client.chat(json!({})).await.status, 429);
    let (text, whole) = crate::client::rest(response.into_body()).await;
    assert!(whole && text.ends_with("data: [DONE]\n\n"));
    assert_eq!(client.chat(json!({})).await.status, 200);
    assert_eq!(jobs(&running.counters), (2, 2, 0));
}

#[tokio::test]
async fn more_choices_than_can_ever_be_inside_are_refused_by_name() {
    let (_running, client) = scripted_with(json!({}), 1, |serving| serving.queue = 2).await;
    let answer = client.chat(json!({"n": 4})).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.error()["param"], "n");
    assert_eq!(client.chat(json!({"n": 3})).await.status, 200);
}
