//! Before the first content a failing provider is replaced and the client does not notice.

use serde_json::{Value, json};

use crate::harness::{
    MODEL, ask, chat, content, events, gateway, json_of, market, market_with, stream,
};

const GOOD: &str = "good answer";

/// Everything that can go wrong before the first content.
fn faults() -> Vec<Value> {
    vec![
        json!({"status": 500}),
        json!({"status": 503, "body": "<html>", "content_type": "text/html"}),
        json!({"status": 429, "retry_after": "7"}),
        json!({"status": 401, "body": "{\"error\": \"our key\"}"}),
        json!({"status": 403}),
        json!({"status": 404}),
        json!({"reset_before_head": true}),
        json!({"cut_after": 0}),
        json!({"error_after": 0}),
        json!({"tokens": 0, "no_finish": true, "no_done": true}),
    ]
}

#[tokio::test]
async fn each_fault_leads_to_the_other_provider() {
    for fault in faults() {
        let market = market(&[fault.clone(), json!({"text": GOOD})]).await;
        let mut failed_over = 0;
        for round in 0..24 {
            let wish = json!({"provider": {"order": ["p0"]}});
            let body = if round % 2 == 0 { chat(wish) } else { stream(wish) };
            let (status, headers, bytes) = market.ask(&body).await;
            assert_eq!(status, 200, "{fault}: {bytes:?}");
            assert_eq!(headers["x-quorate-provider"], "p1", "{fault}");
            if round % 2 == 0 {
                assert_eq!(json_of(&bytes)["choices"][0]["message"]["content"], GOOD, "{fault}");
            } else {
                let events = events(&bytes);
                assert_eq!(content(&events), GOOD, "{fault}");
                assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{fault}");
            }
            failed_over += u32::from(headers["x-quorate-attempts"] == "2");
        }
        assert!(failed_over > 0, "{fault}: the faulty provider was never asked");
        // It is left alone after some failures, whatever the client would like.
        assert!(failed_over < 12, "{fault}: asked again and again");
    }
}

#[tokio::test]
async fn how_many_failures_are_borne_is_configured() {
    let limits = "[breaker]\nfailures = 2\nbackoff_ms = 86400000";
    let market = market_with(limits, &[json!({"status": 500}), json!({"text": GOOD})]).await;
    let wish = || chat(json!({"provider": {"order": ["p0"]}}));
    for attempts in ["2", "2", "1", "1", "1", "1"] {
        let (status, headers, bytes) = market.ask(&wish()).await;
        assert_eq!(status, 200, "{bytes:?}");
        assert_eq!(headers["x-quorate-attempts"], attempts);
    }
}

#[tokio::test]
async fn how_many_may_be_left_alone_is_configured() {
    for (share, asked) in [("1.0", false), ("0.5", true)] {
        let limits =
            format!("[breaker]\nfailures = 1\nbackoff_ms = 86400000\nejected_max = {share}\n");
        let market = market_with(&limits, &[json!({"status": 500})]).await;
        assert_eq!(market.ask(&chat(json!({}))).await.0, 502);
        let well = chat(json!({"script": {"status": null, "text": GOOD}}));
        let (status, _, bytes) = market.ask(&well).await;
        let code = &json_of(&bytes)["error"]["code"];
        match asked {
            true => assert_eq!(status, 200, "{bytes:?}"),
            false => assert_eq!((status.as_u16(), code), (503, &json!("no_provider"))),
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_passed_over() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let nobody = closed.local_addr().expect("an address");
    drop(closed);
    let good = provider::testing::scripted(MODEL, json!({"text": GOOD})).await.expect("serves");
    let (gateway, _data) = gateway("", &[nobody, good.addr], MODEL).await;
    for _ in 0..8 {
        let (status, _, bytes) = ask(gateway.addr, &chat(json!({}))).await;
        assert_eq!(status, 200, "{bytes:?}");
    }
}

#[tokio::test]
async fn silence_before_the_first_content_leads_to_the_other_provider() {
    for slow in [json!({"ttft_ms": 60_000}), json!({"head_ms": 60_000})] {
        let limits = "first_content_ms = 500\nhead_ms = 500";
        let market = market_with(limits, &[slow.clone(), json!({"text": GOOD})]).await;
        let mut attempts = Vec::new();
        for _ in 0..6 {
            let (status, headers, bytes) = market.ask(&chat(json!({}))).await;
            assert_eq!(status, 200, "{slow}: {bytes:?}");
            attempts.push(headers["x-quorate-attempts"].clone());
            let (status, _, bytes) = market.ask(&stream(json!({}))).await;
            assert_eq!((status.as_u16(), content(&events(&bytes)).as_str()), (200, GOOD), "{slow}");
        }
        market.until(|counters| counters.jobs_started() == counters.jobs_finished()).await;
    }
}

#[tokio::test]
async fn when_all_fail_the_client_is_told_what_it_can_act_on() {
    for (script, status, code) in [
        (json!({"status": 500}), 502, "provider_error"),
        (json!({"status": 401, "body": "{}"}), 502, "provider_error"),
        (json!({"cut_after": 0}), 502, "provider_error"),
        (json!({"error_after": 0}), 502, "provider_error"),
        (json!({"status": 429, "retry_after": "7"}), 429, "provider_rate_limited"),
    ] {
        for body in [chat(json!({})), stream(json!({}))] {
            let market = market(&[script.clone(), script.clone()]).await;
            let (seen, headers, bytes) = market.ask(&body).await;
            let error = &json_of(&bytes)["error"];
            assert_eq!((seen.as_u16(), error["code"].as_str()), (status, Some(code)), "{script}");
            if status == 429 {
                assert_eq!(headers["retry-after"], "7");
            }
        }
    }
}

#[tokio::test]
async fn a_provider_that_was_given_up_is_asked_again_when_nobody_else_is_left() {
    let market = market(&[json!({"status": 500})]).await;
    let (status, ..) = market.ask(&chat(json!({}))).await;
    assert_eq!(status, 502);
    let (status, ..) = market.ask(&chat(json!({"script": {"status": null, "text": GOOD}}))).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_refusal_of_the_request_itself_is_passed_on_and_not_shopped_around() {
    let ours = r#"{"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    let market =
        market(&[json!({"status": 400, "body": ours}), json!({"status": 400, "body": ours})]).await;
    let (status, _, bytes) = market.ask(&stream(json!({}))).await;
    assert_eq!((status.as_u16(), &bytes[..]), (400, ours.as_bytes()));
    let asked: u64 = market.providers.iter().map(|p| p.counters.jobs_started()).sum();
    assert!(asked <= 1, "asked {asked} providers");
}

#[tokio::test]
async fn a_whole_answer_that_breaks_in_the_middle_is_made_by_another() {
    let market = market(&[json!({"cut_after": 5}), json!({"text": GOOD})]).await;
    for _ in 0..8 {
        let (status, _, bytes) = market.ask(&chat(json!({}))).await;
        assert_eq!(status, 200);
        assert_eq!(json_of(&bytes)["choices"][0]["message"]["content"], GOOD);
    }
}

#[tokio::test]
async fn a_provider_at_its_limit_of_connections_is_asked_no_more() {
    let slow = json!({"tokens": 100_000, "itl_ms": 20});
    let market = market_with("upstream_connections = 2", &[slow]).await;
    let first = market.send(&stream(json!({}))).await;
    let second = market.send(&stream(json!({}))).await;
    let (status, headers, bytes) = market.ask(&stream(json!({}))).await;
    assert_eq!(
        (status.as_u16(), json_of(&bytes)["error"]["code"].as_str()),
        (503, Some("no_provider"))
    );
    assert!(headers.contains_key("retry-after"));
    drop(first);
    market.until(|counters| counters.jobs_cancelled() == 1).await;
    let third = market.send(&stream(json!({}))).await;
    assert_eq!(third.status(), 200);
    drop((second, third));
}

#[tokio::test]
async fn naming_many_models_buys_no_further_attempts() {
    for attempts in [1u64, 3] {
        let limits = format!("attempts = {attempts}");
        let market = market_with(&limits, &[json!({"status": 500})]).await;
        let models = vec![MODEL; 16];
        for body in [chat(json!({ "models": models })), stream(json!({ "models": models }))] {
            assert_eq!(market.ask(&body).await.0, 502);
        }
        let counted = market.gateway.app.metrics.encode();
        let line =
            format!("quorate_attempts_total{{outcome=\"status\"}} {}\n", 2 * attempts.min(2));
        assert!(counted.contains(&line), "{line} in {counted}");
    }
}
