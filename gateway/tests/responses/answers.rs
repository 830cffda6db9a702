//! Good answers through a whole gateway.

use http::Method;
use serde_json::{Value, json};

use crate::grammar::{output_text, parse, replay};
use crate::harness::{MODEL, Market, ask_for, in_front_of, json_of, market, raw, text_of, whole};

/// The same request whole and streamed; both must say the same.
async fn both(market: &Market, more: Value) -> Value {
    let (status, headers, bytes) = market.ask(&ask_for(more.clone())).await;
    assert_eq!(status, 200, "{bytes:?}");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-quorate-provider"], "p0");
    let mut response = json_of(&bytes);
    let mut streamed = more;
    streamed["stream"] = json!(true);
    let (status, headers, bytes) = market.ask(&ask_for(streamed)).await;
    assert_eq!(status, 200, "{bytes:?}");
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["x-quorate-provider"], "p0");
    assert!(!headers.contains_key("content-length"));
    let text = text_of(&bytes);
    assert!(!text.contains("[DONE]"), "{text}");
    let last = replay(&parse(&text));
    // Names and times are each answer's own.
    let bare = |response: &Value| {
        let id = response["id"].as_str().expect("an id");
        let base = id.strip_prefix("resp_").expect("its kind");
        let mut bare: Value =
            serde_json::from_str(&response.to_string().replace(base, "")).expect("JSON");
        bare["created_at"].take();
        bare["completed_at"].take();
        bare
    };
    assert_eq!(bare(&response), bare(&last));
    for time in ["created_at", "completed_at"] {
        response[time] = last[time].clone();
    }
    response
}

#[tokio::test]
async fn a_text() {
    let market = market(json!({"text": "Hello there, friend."})).await;
    let response = both(&market, json!({"metadata": {"a": "b"}, "temperature": 0.5})).await;
    assert_eq!(response["object"], "response");
    assert_eq!(response["status"], "completed");
    assert_eq!(response["model"], MODEL);
    assert_eq!(output_text(&response), "Hello there, friend.");
    let message = &response["output"][0];
    assert_eq!((&message["type"], &message["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!(message["content"][0]["annotations"], json!([]));
    assert_eq!(
        response["usage"],
        json!({"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0,
            "cache_write_tokens": 0}, "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 4})
    );
    for (member, value) in [
        ("metadata", json!({"a": "b"})),
        ("temperature", json!(0.5)),
        ("top_p", Value::Null),
        ("tools", json!([])),
        ("tool_choice", json!("auto")),
        ("parallel_tool_calls", json!(true)),
        ("text", json!({"format": {"type": "text"}})),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("truncation", json!("disabled")),
        ("store", json!(false)),
        ("background", json!(false)),
        ("error", Value::Null),
        ("incomplete_details", Value::Null),
        ("instructions", Value::Null),
        ("previous_response_id", Value::Null),
        ("max_output_tokens", Value::Null),
        ("top_logprobs", json!(0)),
    ] {
        assert_eq!(response[member], value, "{member}");
    }
    assert!(response["completed_at"].as_i64() >= response["created_at"].as_i64());
}

#[tokio::test]
async fn reasoning_comes_before_the_text() {
    let market = market(json!({"reasoning": "hm, well", "text": "Yes."})).await;
    let response = both(&market, json!({"reasoning": {"effort": "low"}})).await;
    let kinds: Vec<&Value> =
        response["output"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["reasoning", "message"]);
    let thought = &response["output"][0];
    assert_eq!(thought["content"], json!([{"type": "reasoning_text", "text": "hm, well"}]));
    assert_eq!(thought["summary"], json!([]));
    assert!(thought["id"].as_str().unwrap().starts_with("rs_"));
    assert_eq!(response["reasoning"], json!({"effort": "low", "summary": null}));
}

#[tokio::test]
async fn a_tool_is_called_and_its_output_taken() {
    let script = json!({"tool_call": {"name": "add", "arguments": "{\"a\": 1, \"b\": 2}"}});
    let market = market(script).await;
    let tools = json!([{"type": "function", "name": "add", "strict": true,
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}]);
    let more = json!({"tools": tools, "tool_choice": {"type": "function", "name": "add"}});
    let response = both(&market, more.clone()).await;
    let call = &response["output"][0];
    assert_eq!(response["output"].as_array().unwrap().len(), 1, "{response}");
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("add")));
    assert_eq!(call["arguments"], "{\"a\": 1, \"b\": 2}");
    assert_eq!(call["status"], "completed");
    assert_eq!((&response["tools"], &response["tool_choice"]), (&tools, &more["tool_choice"]));
    let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "3"});
    let input = json!([{"role": "user", "content": "1 + 2?"}, call, output]);
    let response = both(&market, json!({"tools": tools, "input": input})).await;
    assert_eq!(response["status"], "completed");
}

#[tokio::test]
async fn what_a_provider_is_asked() {
    let stream = concat!(
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\",",
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"{}\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n"
    );
    let (addr, mut asked) = raw(stream).await;
    let market = in_front_of("", addr).await;
    let format = json!({"type": "json_schema", "name": "n", "strict": true,
        "schema": {"type": "object", "maximum": 1}});
    let more = json!({"text": {"format": format}, "max_output_tokens": 20, "instructions": "i",
        "top_k": 3, "stream": true});
    let (status, _, bytes) = market.ask(&ask_for(more)).await;
    assert_eq!(status, 200, "{bytes:?}");
    let last = replay(&parse(&text_of(&bytes)));
    assert_eq!(last["text"]["format"], format);
    assert_eq!(last["usage"], Value::Null, "none was counted");
    assert_eq!(
        asked.recv().await.expect("a request"),
        json!({"model": MODEL, "messages": [{"role": "system", "content": "i"},
            {"role": "user", "content": "hello"}], "response_format": {"type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object", "maximum": 1},
            "strict": true}}, "max_completion_tokens": 20, "top_k": 3, "stream": true,
            "stream_options": {"include_usage": true}})
    );
}

#[tokio::test]
async fn refusals_log_probabilities_and_parallel_calls() {
    let chunk = |choice: Value| {
        let mut choice = choice;
        choice["index"] = json!(0);
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
            "model": "x", "choices": [choice], "service_tier": "standard"});
        format!("data: {chunk}\n\n")
    };
    let token = |text: &str| {
        json!({"content": [{"token": text, "logprob": -0.25, "bytes": null,
            "top_logprobs": [{"token": "No", "logprob": -1.5, "bytes": [78, 111]}]}]})
    };
    let call = |index: u32, id: Value, name: Value, arguments: &str| {
        chunk(json!({"delta": {"tool_calls": [{"index": index, "id": id, "type": "function",
            "function": {"name": name, "arguments": arguments}}]}, "finish_reason": null}))
    };
    let stream = [
        chunk(json!({"delta": {"role": "assistant", "content": "Hi"}, "logprobs": token("Hi"),
            "finish_reason": null})),
        chunk(json!({"delta": {"refusal": "I "}, "finish_reason": null})),
        chunk(json!({"delta": {"refusal": "won't"}, "finish_reason": null})),
        call(0, json!("call_a"), json!("f"), "{\"x\""),
        call(1, json!("call_b"), json!("g"), "{}"),
        call(0, Value::Null, Value::Null, ":1}"),
        chunk(json!({"delta": {}, "finish_reason": "tool_calls"})),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let (addr, _asked) = raw(&stream).await;
    let market = in_front_of("", addr).await;
    let more = json!({"include": ["message.output_text.logprobs"], "top_logprobs": 1,
        "service_tier": "flex"});
    let response = both(&market, more).await;
    let [message, first, second] = response["output"].as_array().unwrap().as_slice() else {
        panic!("{response}");
    };
    assert_eq!(
        message["content"],
        json!([{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": [
            {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": [
                {"token": "No", "logprob": -1.5, "bytes": [78, 111]}]}]},
            {"type": "refusal", "refusal": "I won't"}])
    );
    assert_eq!((&first["call_id"], &first["arguments"]), (&json!("call_a"), &json!("{\"x\":1}")));
    assert_eq!((&second["call_id"], &second["name"]), (&json!("call_b"), &json!("g")));
    assert_eq!(response["service_tier"], "flex", "a foreign tier is not repeated");
    assert_eq!(response["top_logprobs"], 1);
}

#[tokio::test]
async fn the_requests_id_is_in_every_name() {
    let market = market(json!({"text": "x"})).await;
    let (_, headers, bytes) = market.ask(&ask_for(json!({}))).await;
    let base = headers["x-request-id"].to_str().unwrap().strip_prefix("req_").unwrap().to_owned();
    let response = json_of(&bytes);
    assert_eq!(response["id"], format!("resp_{base}"));
    assert_eq!(response["output"][0]["id"], format!("msg_{base}_0"));
    let text = market.gateway.app.metrics.encode();
    let line = r#"quorate_requests_total{endpoint="responses",status_class="2xx",outcome="ok"} 1"#;
    assert!(text.contains(line), "{text}");
}

/// Of a response, whole and streamed, that asked for its explanation or not.
async fn explanations(market: &Market, asked: &str) -> [Value; 2] {
    let mut found = [Value::Null, Value::Null];
    for (at, is_stream) in [false, true].into_iter().enumerate() {
        let body = ask_for(json!({"stream": is_stream})).to_string();
        let header = ("x-quorate-explain", asked);
        let response = market.request_with(Method::POST, "/v1/responses", header, body).await;
        let (status, _, bytes) = whole(response).await;
        assert_eq!(status, 200, "{bytes:?}");
        let response = match is_stream {
            true => replay(&parse(&text_of(&bytes))),
            false => json_of(&bytes),
        };
        assert_eq!(response["status"], "completed");
        found[at] = response["quorate"].clone();
    }
    found
}

#[tokio::test]
async fn who_asks_is_told_how_the_provider_was_chosen() {
    // A provider's own word on it is nobody's.
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}],\
                  \"quorate\":{\"explain\":\"I am the best\"}}\n\n\
                  data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                  data: [DONE]\n\n";
    let (addr, _seen) = raw(stream).await;
    let market = in_front_of("", addr).await;
    for told in explanations(&market, "1").await {
        let explain = &told["explain"];
        assert_eq!(explain["candidates"][0]["provider"], "p0", "{told}");
        assert_eq!(explain["attempts"][0]["why"], "first", "{told}");
        assert!(explain["candidates"][0]["cost_usd"]["total"].is_f64(), "{told}");
    }
    assert_eq!(explanations(&market, "0").await, [Value::Null, Value::Null]);
}
