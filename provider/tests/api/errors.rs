//! Bad input: a clear OpenAI error each, and a provider that goes on serving.

use crate::client::{Client, MODEL, chat_body, scripted};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

#[tokio::test]
async fn every_member_is_checked_and_named() {
    let (_running, client) = scripted(json!({})).await;
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
    let cases: Vec<(Value, &str)> = vec![
        (json!({"messages": []}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": [{"role": "king", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": 1}]}), "messages[0].content"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
        ),
        (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages[0].tool_call_id"),
        (json!({"temperature": 2.1}), "temperature"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_p": -0.1}), "top_p"),
        (json!({"top_p": 1.1}), "top_p"),
        (json!({"min_p": 2}), "min_p"),
        (json!({"top_k": -1}), "top_k"),
        (json!({"presence_penalty": 2.5}), "presence_penalty"),
        (json!({"frequency_penalty": -2.5}), "frequency_penalty"),
        (json!({"repetition_penalty": 0}), "repetition_penalty"),
        (json!({"n": 0}), "n"),
        (json!({"n": 129}), "n"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_completion_tokens": 0}), "max_completion_tokens"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (json!({"stop": ["a", ""]}), "stop[1]"),
        (json!({"stop": ""}), "stop"),
        (json!({"stop": 7}), "stop"),
        (json!({"logit_bias": {"five": 1}}), "logit_bias.five"),
        (json!({"logit_bias": {"5": 101}}), "logit_bias.5"),
        (json!({"top_logprobs": 3}), "top_logprobs"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
        (json!({"seed": 1.5}), "seed"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"stream_options": {"include_usage": 1}}), "stream_options.include_usage"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}),
            "response_format.json_schema.schema",
        ),
        (json!({"response_format": {"type": "regex"}}), "response_format.regex"),
        (json!({"tools": [{"type": "retrieval"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}),
            "tools[0].function.name",
        ),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [tool], "tool_choice": "perhaps"}), "tool_choice"),
        (json!({"tools": [tool], "tool_choice": {"type": "function"}}), "tool_choice"),
        (
            json!({"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice.function.name",
        ),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"modalities": ["audio"]}), "modalities"),
        (json!({"script": 3}), "script"),
    ];
    refused(&client, cases).await;
}

#[tokio::test]
async fn images_are_never_fetched_and_allowed_tools_are_among_the_tools() {
    let (_running, client) = scripted(json!({})).await;
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {}}});
    let cases = vec![
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"},
                {"type": "image_url", "image_url": {"url": "http://example.com/a.png"}}]}]}),
            "messages[0].content[1].image_url.url",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "messages[0].content[0].image_url.url",
        ),
        (
            json!({"tools": [tool], "tool_choice": {"type": "allowed_tools", "allowed_tools":
                {"mode": "auto", "tools": [{"type": "function", "function": {"name": "g"}}]}}}),
            "tool_choice.allowed_tools.tools[0]",
        ),
    ];
    refused(&client, cases).await;
}

/// Each is a 400 that names the member, and the provider goes on.
async fn refused(client: &Client, cases: Vec<(Value, &str)>) {
    for (members, param) in cases {
        let answer = client.chat(members.clone()).await;
        assert_eq!(answer.status, 400, "{members}: {}", answer.text);
        let error = answer.error();
        assert_eq!(error["param"], param, "{members}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert_eq!(client.chat(json!({})).await.status, 200);
}

#[tokio::test]
async fn what_openai_takes_is_taken() {
    let (_running, client) = scripted(json!({"tokens": 1})).await;
    for members in [
        json!({"temperature": null, "stop": null, "tools": null, "seed": null, "n": null}),
        json!({"temperature": 2, "top_p": 0, "seed": i64::MIN, "stop": "x", "n": 1}),
        json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": false}),
        json!({"user": "u", "metadata": {"a": "b"}, "service_tier": "auto", "store": false}),
        json!({"response_format": {"type": "text"}, "logit_bias": {"50256": -100}}),
        json!({"messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}], "name": "ann"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "4"},
        ]}),
    ] {
        let answer = client.chat(members.clone()).await;
        assert_eq!(answer.status, 200, "{members}: {}", answer.text);
    }
}

#[tokio::test]
async fn broken_bodies() {
    let (_running, client) = scripted(json!({})).await;
    let cases: [(&[u8], &str); 7] = [
        (b"", "line 1 column 0"),
        (b"{\n  \"model\": }", "line 2 column 12"),
        (b"{\"model\":\"m\",\"messages\":[]} x", "trailing characters"),
        (b"[]", "not a request"),
        (b"{\"model\":\"\xff\xfe\"}", "UTF-8"),
        (b"\xef\xbb\xbf{}", "line 1"),
        (b"{\"model\":\"m\",\"messages\":[],\"temperature\":NaN}", "invalid JSON"),
    ];
    for (body, says) in cases {
        let answer = client.send(client.post("/v1/chat/completions", body)).await;
        assert_eq!(answer.status, 400, "{body:?}");
        let error = answer.error();
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let (_running, client) = scripted(json!({})).await;
    let answer = client.chat(json!({"model": "gpt-9"})).await;
    assert_eq!(answer.status, 404);
    let error = answer.error();
    assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
}

#[tokio::test]
async fn unknown_paths_methods_and_media_types() {
    let (_running, client) = scripted(json!({})).await;
    let missing = client.get("/v1/nothing").await;
    assert_eq!(
        (missing.status.as_u16(), missing.error()["code"].as_str()),
        (404, Some("unknown_url"))
    );
    for (method, path) in [(Method::GET, "/v1/chat/completions"), (Method::POST, "/v1/models")] {
        let request = client.request(method, path).body(Full::default()).unwrap();
        let answer = client.send(request).await;
        assert_eq!(answer.status, 405);
        answer.error();
        assert!(answer.headers.contains_key("allow"));
    }
    for (name, value) in [("content-type", "text/plain"), ("content-encoding", "gzip")] {
        let mut request = client.post("/v1/chat/completions", chat_body(json!({})).to_string());
        request.headers_mut().insert(name, value.parse().unwrap());
        let answer = client.send(request).await;
        assert_eq!(answer.status, 415);
        answer.error();
    }
}

#[tokio::test]
async fn a_two_megabyte_prompt_is_served() {
    let (_running, client) = scripted(json!({"tokens": 1})).await;
    let content = "word ".repeat(400_000);
    let messages = json!([{"role": "user", "content": content}]);
    let answer = client.chat(json!({"messages": messages, "model": MODEL})).await.json();
    assert_eq!(answer["usage"]["prompt_tokens"], 400_000);
}

#[tokio::test]
async fn request_ids_are_echoed_or_minted() {
    let (_running, client) = scripted(json!({"tokens": 1})).await;
    let mut request = client.chat_request(json!({}));
    request.headers_mut().insert("x-request-id", "abc-123".parse().unwrap());
    assert_eq!(client.send(request).await.headers["x-request-id"], "abc-123");
    let mut request = client.chat_request(json!({}));
    request.headers_mut().insert("x-request-id", "not one".parse().unwrap());
    let answer = client.send(request).await;
    let minted = answer.headers["x-request-id"].to_str().unwrap();
    assert!(minted.starts_with("req_") && minted.len() == 36, "{minted}");
    assert!(client.get("/nothing").await.headers.contains_key("x-request-id"));
}
