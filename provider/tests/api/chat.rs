//! Chat completions as clients see them.

use crate::client::{jobs, read_until, rest, scripted, without_id};
use serde_json::json;

#[tokio::test]
async fn a_stream_is_exact_to_the_byte() {
    let (_running, client) = scripted(json!({"tokens": 2})).await;
    let members = json!({"stream": true, "stream_options": {"include_usage": true}});
    let answer = client.chat(members).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert_eq!(answer.headers["cache-control"], "no-cache");
    assert_eq!(answer.headers["x-accel-buffering"], "no");
    let head = r#"data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":1700000000,"model":"acme/tiny:1","choices":["#;
    let expected = [
        format!(
            r#"{head}{{"index":0,"delta":{{"role":"assistant","content":""}},"finish_reason":null}}]}}"#
        ),
        format!(r#"{head}{{"index":0,"delta":{{"content":" tok0"}},"finish_reason":null}}]}}"#),
        format!(r#"{head}{{"index":0,"delta":{{"content":" tok1"}},"finish_reason":null}}]}}"#),
        format!(r#"{head}{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}"#),
        format!(
            r#"{head}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
        ),
        "data: [DONE]".to_owned(),
    ];
    assert_eq!(without_id(&answer.text), expected.join("\n\n") + "\n\n");
}

#[tokio::test]
async fn a_whole_answer_says_the_same() {
    let (_running, client) = scripted(json!({"tokens": 2})).await;
    let mut answer = client.chat(json!({})).await.json();
    answer["id"] = json!("ID");
    let expected = json!({
        "id": "ID", "object": "chat.completion", "created": 1700000000, "model": "acme/tiny:1",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": " tok0 tok1", "refusal": null},
            "logprobs": null, "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn usage_is_streamed_only_when_asked_for() {
    let (_running, client) = scripted(json!({"tokens": 1})).await;
    let answer = client.chat(json!({"stream": true})).await;
    assert!(!answer.text.contains("usage"), "{}", answer.text);
}

#[tokio::test]
async fn two_choices_have_their_own_index_and_share_the_prompt() {
    let (running, client) = scripted(json!({"tokens": 3})).await;
    let members = json!({"n": 2, "stream": true, "stream_options": {"include_usage": true}});
    let stream = client.chat(members).await.text;
    for index in 0..2 {
        let role = format!(r#"{{"index":{index},"delta":{{"role":"assistant","content":""}}"#);
        let text = format!(r#"{{"index":{index},"delta":{{"content":" tok2"}}"#);
        let finish = format!(r#"{{"index":{index},"delta":{{}},"finish_reason":"stop"}}"#);
        for part in [role, text, finish] {
            assert_eq!(stream.matches(&part).count(), 1, "{part} in {stream}");
        }
    }
    let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":6,"total_tokens":9}"#;
    assert_eq!(stream.matches(usage).count(), 1, "{stream}");
    assert_eq!(stream.matches("[DONE]").count(), 1);

    let whole = client.chat(json!({"n": 2})).await.json();
    assert_eq!(whole["choices"][1]["message"]["content"], " tok0 tok1 tok2");
    assert_eq!(whole["choices"][1]["index"], 1);
    assert_eq!(whole["usage"]["total_tokens"], 9);
    assert_eq!(jobs(&running.counters), (4, 4, 0));
}

#[tokio::test]
async fn choices_that_outnumber_the_slots_take_turns() {
    let (_running, client) = crate::client::scripted_with(json!({"tokens": 2}), 1, |_| {}).await;
    let whole = client.chat(json!({"n": 5})).await.json();
    assert_eq!(whole["choices"].as_array().unwrap().len(), 5);
    assert_eq!(whole["usage"]["completion_tokens"], 10);
}

#[tokio::test]
async fn max_tokens_stop_and_the_newer_name() {
    let (_running, client) = scripted(json!({"tokens": 9})).await;
    let cut = client.chat(json!({"max_tokens": 5, "max_completion_tokens": 2})).await.json();
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    assert_eq!(cut["choices"][0]["message"]["content"], " tok0 tok1");
    let stopped = client.chat(json!({"stop": ["nowhere", "k2"]})).await.json();
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    assert_eq!(stopped["choices"][0]["message"]["content"], " tok0 tok1 to");
}

#[tokio::test]
async fn reasoning_and_tool_calls() {
    let script = json!({"reasoning": "let me think",
        "tool_call": {"name": "weather", "arguments": "{\"city\": \"Bern\"}"}});
    let (_running, client) = scripted(script).await;
    let whole = client.chat(json!({})).await.json();
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert!(choice["message"]["content"].is_null());
    assert_eq!(choice["message"]["reasoning_content"], "let me think");
    assert_eq!(choice["message"]["reasoning"], "let me think");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["type"], "function");
    assert_eq!(call["function"]["name"], "weather");
    assert_eq!(call["function"]["arguments"], "{\"city\": \"Bern\"}");
    assert_eq!(whole["usage"]["completion_tokens_details"]["reasoning_tokens"], 3);

    let stream = client.chat(json!({"stream": true})).await.text;
    let first = r#""delta":{"tool_calls":[{"index":0,"id":"call_0","type":"function","function":{"name":"weather","arguments":""}}]}"#;
    assert!(stream.contains(first), "{stream}");
    assert!(
        stream.contains(r#""delta":{"reasoning_content":"let","reasoning":"let"}"#),
        "{stream}"
    );
    assert!(stream.contains(r#""finish_reason":"tool_calls""#), "{stream}");
}

#[tokio::test]
async fn logprobs_stand_with_their_tokens() {
    let (_running, client) = scripted(json!({"tokens": 1})).await;
    let whole = client.chat(json!({"logprobs": true, "top_logprobs": 2})).await.json();
    let content = &whole["choices"][0]["logprobs"]["content"];
    assert_eq!(content[0]["token"], " tok0");
    assert_eq!(content[0]["bytes"], json!(b" tok0"));
    assert_eq!(content[0]["top_logprobs"].as_array().unwrap().len(), 2);
    let stream = client.chat(json!({"logprobs": true, "stream": true})).await.text;
    assert!(stream.contains(r#""logprobs":{"content":[{"token":" tok0","#), "{stream}");
}

#[tokio::test]
async fn one_id_through_the_whole_stream_and_another_in_the_next() {
    let (_running, client) = scripted(json!({"tokens": 3})).await;
    let one = client.chat(json!({"stream": true})).await.text;
    let other = client.chat(json!({"stream": true})).await.text;
    let ids = |text: &str| {
        let mut ids: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: {"))
            .map(|line| line.split('"').nth(3).unwrap().to_owned())
            .collect();
        ids.dedup();
        ids
    };
    assert_eq!(ids(&one).len(), 1);
    assert_ne!(ids(&one), ids(&other));
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_comments_every_ten_seconds() {
    let (_running, client) =
        scripted(json!({"tokens": 2, "stall_after": 1, "stall_ms": 25_000})).await;
    let response = client.open(client.chat_request(json!({"stream": true}))).await;
    let (text, whole) = rest(response.into_body()).await;
    assert!(whole);
    assert_eq!(text.matches(": keep-alive\n\n").count(), 2, "{text}");
    let first = text.find("tok0").unwrap();
    let comment = text.find(": keep-alive").unwrap();
    let second = text.find("tok1").unwrap();
    assert!(first < comment && comment < second, "{text}");
}

#[tokio::test(start_paused = true)]
async fn tokens_arrive_as_they_are_made() {
    let (_running, client) = scripted(json!({"tokens": 3, "ttft_ms": 100, "itl_ms": 50})).await;
    let start = tokio::time::Instant::now();
    let response = client.open(client.chat_request(json!({"stream": true}))).await;
    let mut body = response.into_body();
    let mut seen = Vec::new();
    for token in ["tok0", "tok1", "tok2"] {
        read_until(&mut body, token).await;
        seen.push(start.elapsed().as_millis());
    }
    // Paused time: exact but for the timer's own millisecond.
    for (seen, due) in seen.iter().zip([100, 150, 200]) {
        assert!((due..due + 10).contains(seen), "{seen} for {due}");
    }
}

/// What OpenAI's schema has, in every form that a text model can serve.
#[tokio::test]
async fn every_member_of_openais_schema_is_accepted() {
    let (_running, client) = scripted(json!({"tokens": 2})).await;
    let tool = json!({"type": "function", "function": {"name": "f", "description": "d",
        "parameters": {"type": "object", "properties": {}}, "strict": true}});
    let messages = json!([
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}], "name": "dev"},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "name": "ann", "content": [
            {"type": "text", "text": "What is it?", "prompt_cache_breakpoint": {}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}]},
        {"role": "assistant", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "1"}]},
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
        {"role": "assistant", "content": null, "refusal": "No.", "reasoning": "hm", "audio": null},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "function", "name": "f", "content": "3"},
        {"role": "user", "content": "And now?"},
    ]);
    let members = json!({
        "messages": messages, "audio": null, "frequency_penalty": 0.5, "function_call": null,
        "functions": null, "logit_bias": {"5": -100}, "logprobs": true,
        "max_completion_tokens": 50, "max_tokens": 60, "metadata": {"a": "b"},
        "modalities": ["text"], "moderation": null, "n": 2, "parallel_tool_calls": false,
        "prediction": {"type": "content", "content": "x"}, "presence_penalty": -0.5,
        "prompt_cache_key": "k", "prompt_cache_options": {"mode": "implicit"},
        "prompt_cache_retention": "24h", "reasoning_effort": "xhigh",
        "response_format": {"type": "text"}, "safety_identifier": "s", "seed": -7,
        "service_tier": "auto", "stop": ["x", "y"], "store": false, "stream": false,
        "stream_options": null, "temperature": 0.7, "tool_choice": "auto", "tools": [tool],
        "top_logprobs": 2, "top_p": 0.9, "user": "u", "verbosity": "low",
        "web_search_options": {"search_context_size": "low"}, "x_unknown": [1.5, {}],
    });
    let answer = client.chat(members.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for choice in [
        json!("none"),
        json!("required"),
        json!({"type": "function", "function": {"name": "f"}}),
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto",
            "tools": [{"type": "function", "function": {"name": "f"}}]}}),
    ] {
        let mut members = members.clone();
        members["tool_choice"] = choice;
        let answer = client.chat(members).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    // Null is unset, wherever a member may be left out.
    let mut nulls = members;
    for (name, value) in nulls.as_object_mut().unwrap() {
        if name != "messages" {
            *value = json!(null);
        }
    }
    let answer = client.chat(nulls).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}
