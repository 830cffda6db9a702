//! The end: running answers finish, new ones are refused, and the deadline cuts with an error.

use crate::client::{read_until, rest, scripted_with};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn running_answers_finish_and_new_ones_are_refused() {
    let script = json!({"tokens": 5, "itl_ms": 1_000});
    let (running, client) = scripted_with(script, 8, |_| {}).await;
    let response = client.open(client.chat_request(json!({"stream": true}))).await;
    let during = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(client.get("/readyz").await.status, 503);
        let refused = client.chat(json!({})).await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.error()["code"], "shutting_down");
    };
    let start = tokio::time::Instant::now();
    let ((), (), (text, whole)) = tokio::join!(running.stop(), during, rest(response.into_body()));
    assert!(whole && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let request = client.chat_request(json!({}));
    assert!(client.try_open(request).await.is_err(), "nobody listens any more");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_with_an_error_event() {
    let script = json!({"tokens": 1000, "itl_ms": 1_000});
    let change = |serving: &mut provider::app::Serving| serving.drain = Duration::from_secs(5);
    let (running, client) = scripted_with(script, 1, change).await;
    let response = client.open(client.chat_request(json!({"stream": true}))).await;
    let mut body = response.into_body();
    read_until(&mut body, "tok0").await;
    // One streams, one waits in the queue: both end with an error that says why.
    let queued = client.chat(json!({}));
    let (queued, (), (text, whole)) = tokio::join!(
        async {
            tokio::select! {
                biased;
                answer = queued => answer,
                () = std::future::pending() => unreachable!(),
            }
        },
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            running.stop().await;
        },
        rest(body)
    );
    assert!(whole, "the body itself is well formed");
    let last = text.trim_end().lines().last().unwrap();
    let error = last.strip_prefix("data: {\"error\":").unwrap_or_else(|| panic!("{text}"));
    assert!(error.contains("shutting_down"), "{error}");
    assert!(!text.contains("[DONE]"));
    assert_eq!(queued.status, 503);
    assert_eq!(running.counters.jobs_cancelled(), 1);
}
