//! Tokens a minute: reserved before a provider is asked, settled when the request is over, whatever
//! its end.

use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::harness::{chat, market, prompt_of, read, stream, until};

const RULES: &str = "tokens_per_minute = 10000";

/// The provider's count in an answer or the last chunk of a stream.
fn used(body: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(body);
    let last = text
        .lines()
        .map(|line| line.strip_prefix("data: ").unwrap_or(line))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .rfind(|event| event["usage"].is_object())
        .expect("usage");
    u32::try_from(last["usage"]["total_tokens"].as_u64().expect("a number")).expect("small")
}

#[tokio::test]
async fn a_whole_answer_costs_what_was_counted() {
    let market = market(RULES, json!({"tokens": 20})).await;
    let body = chat(json!({"max_tokens": 500}));
    let answer = market.ask(&body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let reserved = prompt_of(&body) + 500;
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "10000");
    until(|| market.tokens_left() == 10_000 - used(&answer.body)).await;
    assert!(used(&answer.body) < reserved);
}

#[tokio::test]
async fn a_stream_holds_its_reservation_until_its_end() {
    let market = market(RULES, json!({"tokens": 20})).await;
    let body = stream(json!({"max_tokens": 500, "stream_options": {"include_usage": true}}));
    let response = market.send(&body).await;
    let left = 10_000 - prompt_of(&body) - 500;
    assert_eq!(response.headers()["x-ratelimit-remaining-tokens"], left.to_string());
    let answer = read(response).await;
    until(|| market.tokens_left() == 10_000 - used(&answer.body)).await;
}

#[tokio::test]
async fn without_a_limit_of_the_clients_the_default_is_reserved_for_each_choice() {
    let market = market(RULES, json!({"tokens": 100_000, "itl_ms": 5})).await;
    let body = stream(json!({"n": 2}));
    let response = market.send(&body).await;
    let left = 10_000 - prompt_of(&body) - 2 * 1024;
    assert_eq!(response.headers()["x-ratelimit-remaining-tokens"], left.to_string());
}

#[tokio::test]
async fn who_leaves_in_the_middle_pays_for_what_was_made() {
    let market = market(RULES, json!({"tokens": 100_000, "itl_ms": 2})).await;
    let body = stream(json!({"max_tokens": 5000}));
    let mut stream = market.send(&body).await.into_body();
    let mut text = 0;
    while text < 200 {
        let frame = stream.frame().await.expect("a frame").expect("data");
        text += frame.into_data().expect("data").len();
    }
    drop(stream);
    until(|| market.state().open_streams == 0).await;
    let spent = 10_000 - market.tokens_left();
    let prompt = prompt_of(&body);
    assert!((prompt + 1..prompt + 1000).contains(&spent), "{spent} of {prompt}");
}

#[tokio::test]
async fn who_leaves_before_the_first_content_pays_for_the_prompt() {
    for script in [json!({"head_ms": 60_000}), json!({"ttft_ms": 60_000})] {
        for body in [chat(json!({"max_tokens": 900})), stream(json!({"max_tokens": 900}))] {
            let market = market(RULES, script.clone()).await;
            let left = 10_000 - prompt_of(&body);
            market.leave(body).await;
            until(|| market.tokens_left() == left).await;
        }
    }
}

#[tokio::test]
async fn a_failure_before_any_content_costs_nothing() {
    for script in [
        json!({"status": 500}),
        json!({"status": 400}),
        json!({"status": 429}),
        json!({"reset_before_head": true}),
        json!({"cut_after": 0}),
    ] {
        for body in [chat(json!({"max_tokens": 900})), stream(json!({"max_tokens": 900}))] {
            let market = market(RULES, script.clone()).await;
            let answer = market.ask(&body).await;
            assert_ne!(answer.status, StatusCode::OK, "{script}");
            until(|| market.tokens_left() == 10_000).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_costs_what_came() {
    let market = market(RULES, json!({"tokens": 100, "error_after": 10})).await;
    let body = stream(json!({"max_tokens": 900}));
    let answer = market.ask(&body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.body.ends_with(b"[DONE]\n\n"), "it broke");
    until(|| market.state().open_streams == 0).await;
    let spent = 10_000 - market.tokens_left();
    let prompt = prompt_of(&body);
    assert!((prompt + 1..prompt + 200).contains(&spent), "{spent} of {prompt}");
}

#[tokio::test]
async fn what_was_used_beyond_the_reservation_is_charged() {
    let market = market("tokens_per_minute = 200", json!({"tokens": 150})).await;
    // The provider pays no heed to the limit; its count is what was used.
    let body = chat(json!({"max_tokens": 1, "script": {"usage_mode": "last"}}));
    let answer = market.ask(&body).await;
    if answer.status == StatusCode::OK {
        until(|| market.tokens_left() == 200u32.saturating_sub(used(&answer.body))).await;
    } else {
        panic!("{answer:?}");
    }
}

#[tokio::test]
async fn a_key_that_has_used_its_tokens_waits() {
    let market = market("tokens_per_minute = 600", json!({"tokens": 100_000, "itl_ms": 5})).await;
    let body = stream(json!({"max_tokens": 500}));
    let open = market.send(&body).await;
    let answer = market.ask(&body).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let asked = prompt_of(&body) + 500;
    // Ten tokens come back a second.
    let short = u64::from(2 * asked - 600);
    assert_eq!(answer.header("retry-after-ms"), (short * 100).to_string());
    assert_eq!(answer.header("retry-after"), short.div_ceil(10).to_string());
    assert_eq!(answer.header("x-should-retry"), "true");
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), (600 - asked).to_string());
    let message = answer.json()["error"]["message"].as_str().expect("text").to_owned();
    assert!(message.contains(&format!("requested {asked}")), "{message}");
    drop(open);
}

#[tokio::test]
async fn text_that_looks_like_media_counts_as_text_and_media_do_not() {
    let market = market(RULES, json!({"tokens": 1})).await;
    let long = "hello ".repeat(20_000);
    for text in [format!(";base64,{long}"), format!("data:image/png;base64,{long}")] {
        for content in [json!(text), json!([{"type": "text", "text": text}])] {
            let body = chat(json!({"messages": [{"role": "user", "content": content}]}));
            let answer = market.ask(&body).await;
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{content:.40}");
        }
    }
    assert_eq!(market.provider.counters.jobs_started(), 0);
    let data = "A".repeat(200_000);
    for part in [
        json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}}),
        json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}),
    ] {
        let body = chat(json!({"messages": [{"role": "user", "content": [part]}]}));
        let answer = market.ask(&body).await;
        assert_ne!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{answer:?}");
    }
}
