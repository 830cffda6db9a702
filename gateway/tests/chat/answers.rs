//! Good answers, whole and streamed: what the client sees of them.

use serde_json::{Value, json};

use crate::harness::{MODEL, ask, chat, content, events, gateway, json_of, market, stream};

#[tokio::test]
async fn a_whole_answer_is_assembled_from_a_stream() {
    let market = market(&[json!({"text": "Hello there, friend."})]).await;
    let (status, headers, body) = market.ask(&chat(json!({}))).await;
    assert_eq!(status, 200);
    let answer = json_of(&body);
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], MODEL);
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello there, friend.");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    assert_eq!(answer["usage"]["total_tokens"], 4);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-quorate-provider"], "p0");
    assert_eq!(headers["x-quorate-attempts"], "1");
    assert!(headers["x-request-id"].to_str().expect("text").starts_with("req_"));
}

#[tokio::test]
async fn a_stream_ends_with_one_done_and_holds_only_data_and_comments() {
    let script = json!({"tokens": 20, "event_lines": true, "comment_every": 3});
    let market = market(&[script]).await;
    let (status, headers, body) = market.ask(&stream(json!({}))).await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache");
    let text = std::str::from_utf8(&body).expect("UTF-8");
    for line in text.lines() {
        assert!(line.is_empty() || line.starts_with("data: ") || line.starts_with(':'), "{line}");
        assert!(!line.starts_with(": q"), "evidence reached the client: {line}");
    }
    let events = events(&body);
    assert_eq!(events.iter().filter(|event| *event == "[DONE]").count(), 1);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(text.ends_with("data: [DONE]\n\n"));
    let expected: String = (0..20).map(|i| format!(" tok{i}")).collect();
    assert_eq!(content(&events), expected);
    let identity = |event: &String| {
        let chunk: Value = serde_json::from_str(event).expect("JSON");
        (chunk["id"].clone(), chunk["created"].clone(), chunk["model"].clone())
    };
    let first = identity(&events[0]);
    assert!(events[..events.len() - 1].iter().all(|event| identity(event) == first));
}

#[tokio::test]
async fn usage_is_shown_only_on_request() {
    for mode in [None, Some("last"), Some("finish_chunk"), Some("all")] {
        let market = market(&[json!({"tokens": 5, "usage_mode": mode})]).await;
        let (_, _, body) = market.ask(&stream(json!({}))).await;
        for event in events(&body).iter().filter(|event| *event != "[DONE]") {
            let chunk: Value = serde_json::from_str(event).expect("JSON");
            assert!(chunk["usage"].is_null(), "{mode:?}: {event}");
            assert!(chunk["choices"].as_array().is_some_and(|c| !c.is_empty()), "{event}");
        }
        let asked = stream(json!({"stream_options": {"include_usage": true}}));
        let (_, _, body) = market.ask(&asked).await;
        let events = events(&body);
        let last: Value = serde_json::from_str(&events[events.len() - 2]).expect("JSON");
        assert_eq!(last["choices"], json!([]), "{mode:?}");
        assert_eq!(last["usage"]["completion_tokens"], 5, "{mode:?}");
        let shown = events.iter().filter(|event| event.contains("\"usage\":{")).count();
        assert_eq!(shown, 1, "{mode:?}");
    }
}

#[tokio::test]
async fn several_choices_tools_and_reasoning_pass() {
    let script =
        json!({"reasoning": "hm, well", "tool_call": {"name": "add", "arguments": "{\"a\": 1}"}});
    let market = market(&[script]).await;
    let tools = json!([{"type": "function", "function": {"name": "add"}}]);
    let (status, _, body) = market.ask(&chat(json!({"tools": tools, "n": 2}))).await;
    assert_eq!(status, 200, "{body:?}");
    let answer = json_of(&body);
    assert_eq!(answer["choices"].as_array().map(Vec::len), Some(2));
    for choice in answer["choices"].as_array().expect("choices") {
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"]["reasoning_content"], "hm, well");
        assert_eq!(choice["message"]["content"], Value::Null);
        let call = &choice["message"]["tool_calls"][0];
        assert_eq!(call["function"], json!({"name": "add", "arguments": "{\"a\": 1}"}));
    }
}

#[tokio::test]
async fn an_alias_leads_to_the_model_and_the_providers_own_name_stays_hidden() {
    let provider = provider::testing::scripted("their/name", json!({"tokens": 3})).await;
    let provider = provider.expect("serves");
    let (gateway, _data) = gateway("", &[provider.addr], "their/name").await;
    for streamed in [false, true] {
        let body = chat(json!({"model": "gpt-test", "stream": streamed}));
        let (status, _, bytes) = ask(gateway.addr, &body).await;
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(status, 200, "{text}");
        assert!(text.contains(&format!("\"model\":{MODEL:?}")), "{text}");
        assert!(!text.contains("their/name") && !text.contains("gpt-test"), "{text}");
    }
}

#[tokio::test]
async fn quirks_of_a_provider_are_mended() {
    let script = json!({"tokens": 4, "finish_reason": "eos_token", "no_done": true,
        "id_missing": true, "malformed_after": 2, "role_chunk": false});
    let market = market(&[script]).await;
    let (_, _, body) = market.ask(&stream(json!({}))).await;
    let events = events(&body);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert_eq!(content(&events), " tok0 tok1 tok2 tok3");
    let finish: Value = serde_json::from_str(&events[events.len() - 2]).expect("JSON");
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    for event in &events[..events.len() - 1] {
        let chunk: Value = serde_json::from_str(event).expect("JSON");
        assert!(chunk["id"].is_string() && chunk["created"].is_i64(), "{event}");
        assert_eq!(chunk["object"], "chat.completion.chunk", "{event}");
    }
    let (status, _, body) = market.ask(&chat(json!({}))).await;
    assert_eq!(status, 200, "{body:?}");
    assert_eq!(json_of(&body)["choices"][0]["message"]["content"], " tok0 tok1 tok2 tok3");
}

#[tokio::test]
async fn unknown_models_and_bad_requests_never_reach_a_provider() {
    let market = market(&[json!({})]).await;
    for (body, status, param, code) in [
        (chat(json!({"model": "nobody/knows"})), 404, json!("model"), json!("model_not_found")),
        (chat(json!({"messages": []})), 400, json!("messages"), Value::Null),
        (chat(json!({"messages": "hi"})), 400, json!("messages"), Value::Null),
        (chat(json!({"messages": [{"role": 7}]})), 400, json!("messages[0].role"), Value::Null),
        (chat(json!({"stream": "yes"})), 400, json!("stream"), Value::Null),
        (chat(json!({"n": 0})), 400, json!("n"), Value::Null),
        (
            json!({"messages": [{"role": "user", "content": "hi"}]}),
            400,
            json!("model"),
            Value::Null,
        ),
        (json!([]), 400, Value::Null, Value::Null),
    ] {
        let (seen, _, bytes) = market.ask(&body).await;
        let error = &json_of(&bytes)["error"];
        assert_eq!((seen.as_u16(), &error["param"]), (status, &param), "{body}: {error}");
        assert_eq!(error["code"], code, "{error}");
        assert_eq!(error["type"], "invalid_request_error", "{error}");
    }
    assert_eq!(market.providers[0].counters.jobs_started(), 0);
}
