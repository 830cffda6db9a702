//! What goes wrong after the answer began, and the client that leaves.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::grammar::{output_text, parse, replay};
use crate::harness::{ask_for, json_of, market, market_with, text_of};

async fn failed(limits: &str, script: &Value) -> Value {
    let market = market_with(limits, script.clone()).await;
    let (status, _, bytes) = market.ask(&ask_for(json!({"stream": true}))).await;
    assert_eq!(status, 200, "{script}");
    let last = replay(&parse(&text_of(&bytes)));
    assert_eq!(last["status"], "failed", "{script}: {last}");
    assert!(last["error"]["message"].is_string(), "{last}");
    last
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_a_failed_response_that_keeps_what_was_said() {
    for script in [
        json!({"cut_after": 5, "itl_ms": 10}),
        json!({"error_after": 5}),
        json!({"tokens": 5, "no_finish": true, "no_done": true}),
        json!({"tokens": 5, "no_finish": true}),
    ] {
        let last = failed("", &script).await;
        assert_eq!(last["error"]["code"], "server_error");
        assert!(output_text(&last).starts_with(" tok0 tok1 tok2 tok3"), "{script}: {last}");
        assert_eq!(last["output"][0]["status"], "incomplete");
    }
}

#[tokio::test]
async fn a_failure_before_the_first_content_is_still_a_response_once_the_status_was_sent() {
    let limits = "hold_ms = 50\nkeep_alive_comment_ms = 100\nfirst_content_ms = 300";
    let market = market_with(limits, json!({"ttft_ms": 60_000})).await;
    let (status, _, bytes) = market.ask(&ask_for(json!({"stream": true}))).await;
    assert_eq!(status, 200);
    let text = text_of(&bytes);
    assert!(text.starts_with(": keep-alive\n\n"), "{text}");
    let last = replay(&parse(&text));
    assert_eq!((&last["status"], &last["output"]), (&json!("failed"), &json!([])));
}

#[tokio::test]
async fn a_stall_fails_and_the_provider_is_told() {
    let script = json!({"tokens": 9, "stall_after": 4, "stall_ms": 60_000});
    let market = market_with("stall_ms = 150", script).await;
    let (_, _, bytes) = market.ask(&ask_for(json!({"stream": true}))).await;
    assert_eq!(replay(&parse(&text_of(&bytes)))["status"], "failed");
    market.until(|counters| counters.jobs_cancelled() == 1).await;
}

#[tokio::test]
async fn failures_before_the_answer_are_http_errors() {
    for streamed in [false, true] {
        let market = market(json!({"status": 500, "body": "<html>"})).await;
        let (status, headers, bytes) = market.ask(&ask_for(json!({"stream": streamed}))).await;
        assert_eq!(status, 502);
        assert_eq!(json_of(&bytes)["error"]["code"], "provider_error");
        assert_eq!(headers["x-should-retry"], "false");
    }
    let body = json!({"error": {"message": "too long", "type": "invalid_request_error",
        "param": "messages[0].content", "code": "context_length_exceeded"}});
    let market = market(json!({"status": 400, "body": body.to_string()})).await;
    let (status, _, bytes) = market.ask(&ask_for(json!({}))).await;
    assert_eq!(status, 400);
    let error = json_of(&bytes)["error"].clone();
    assert_eq!(error["code"], "context_length_exceeded");
    assert_eq!(error["param"], "input", "{error}");
}

#[tokio::test]
async fn an_answer_that_was_cut_short_is_incomplete() {
    let market = market(json!({"text": "one two three", "finish_reason": "length"})).await;
    let (status, _, bytes) = market.ask(&ask_for(json!({"max_output_tokens": 3}))).await;
    assert_eq!(status, 200);
    let response = json_of(&bytes);
    assert_eq!(response["status"], "incomplete");
    assert_eq!(response["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(response["output"][0]["status"], "incomplete");
    assert_eq!(response["max_output_tokens"], 3);
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_stream_stops_the_provider() {
    let market = market(json!({"tokens": 100_000, "itl_ms": 5})).await;
    let mut body = market.send(&ask_for(json!({"stream": true}))).await.into_body();
    for _ in 0..3 {
        body.frame().await.expect("a frame").expect("data");
    }
    drop(body);
    market.until(|counters| counters.jobs_cancelled() == 1).await;
    let made = market.provider.as_ref().unwrap().counters.tokens_generated();
    assert!(made < 1000, "{made} tokens were made for nobody");
}

#[tokio::test]
async fn a_client_that_leaves_a_whole_answer_stops_the_provider() {
    let market = market(json!({"tokens": 100_000, "itl_ms": 5})).await;
    let body = ask_for(json!({}));
    {
        let request = std::pin::pin!(market.send(&body));
        let started = market.until(|counters| counters.jobs_started() > 0);
        tokio::select! { _ = request => panic!("an answer"), () = started => {} }
    }
    market.until(|counters| counters.jobs_cancelled() == 1).await;
}
