//! The older form, without a conversation: the same path through the gateway.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::AsyncWriteExt as _;

use crate::harness::{
    MODEL, Market, events, gateway, json_of, market, post, read_request, upstream,
};

async fn complete(market: &Market, more: Value) -> (StatusCode, Bytes) {
    let mut body = json!({"model": MODEL, "prompt": "once upon"});
    body.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
    let body = Bytes::from(body.to_string());
    let (parts, body) = post(market.gateway.addr, "/v1/completions", body).await.into_parts();
    (parts.status, body.collect().await.expect("a body").to_bytes())
}

#[tokio::test]
async fn whole_and_streamed() {
    let market = market(&[json!({"tokens": 3})]).await;
    let (status, bytes) = complete(&market, json!({})).await;
    let whole = json_of(&bytes);
    assert_eq!((status.as_u16(), &whole["object"]), (200, &json!("text_completion")), "{whole}");
    assert_eq!(whole["choices"][0]["text"], " tok0 tok1 tok2");
    assert_eq!(whole["usage"]["total_tokens"], 5);

    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let (_, bytes) = complete(&market, asked).await;
    let events = events(&bytes);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let text: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|chunk| chunk["choices"][0]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, " tok0 tok1 tok2");
    assert!(events.iter().any(|event| event.contains("\"total_tokens\":5")));
}

#[tokio::test]
async fn every_choice_of_every_prompt_is_waited_for() {
    let market = market(&[json!({"tokens": 2})]).await;
    for prompt in [json!(["a", "b c"]), json!([[1], [2, 3]])] {
        let (status, bytes) = complete(&market, json!({"prompt": prompt, "n": 2})).await;
        let whole = json_of(&bytes);
        assert_eq!(status, 200, "{whole}");
        assert_eq!(whole["choices"].as_array().map(Vec::len), Some(4), "{whole}");
        assert_eq!(whole["usage"]["prompt_tokens"], 3);
        let (_, bytes) = complete(&market, json!({"prompt": prompt, "stream": true})).await;
        assert_eq!(events(&bytes).iter().filter(|e| e.contains("\"stop\"")).count(), 2);
    }
}

#[tokio::test]
async fn a_failing_provider_is_replaced() {
    let market = market(&[json!({"status": 500}), json!({"text": "good"})]).await;
    for _ in 0..8 {
        let (status, bytes) = complete(&market, json!({})).await;
        assert_eq!(
            (status.as_u16(), &json_of(&bytes)["choices"][0]["text"]),
            (200, &json!("good"))
        );
    }
}

#[tokio::test]
async fn a_later_prompt_that_is_refused_is_the_requests_fault_and_not_the_providers() {
    // What a provider says once the first prompt is being answered, and the second is too long.
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
        data: {\"choices\":[{\"index\":0,\"text\":\"a\"}]}\n\n\
        data: {\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\
        \"param\":\"prompt\",\"code\":\"context_length_exceeded\"}}\n\n";
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let addr = upstream(move |mut socket, _| {
        let count = count.clone();
        async move {
            read_request(&mut socket).await?;
            count.fetch_add(1, Relaxed);
            socket.write_all(answer.as_bytes()).await.ok()
        }
    })
    .await;
    let (gateway, _data) = gateway("", &[addr, addr], MODEL).await;
    for number in 1..4 {
        let body = json!({"model": MODEL, "prompt": ["a", "b"]}).to_string().into();
        let (parts, body) = post(gateway.addr, "/v1/completions", body).await.into_parts();
        let error = json_of(&body.collect().await.expect("a body").to_bytes())["error"].take();
        assert_eq!((parts.status.as_u16(), &error["param"]), (400, &json!("prompt")), "{error}");
        assert_eq!(error["code"], "context_length_exceeded");
        // Nobody else is asked, and nobody is taken for broken.
        assert_eq!(asked.load(Relaxed), number);
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let market = market(&[json!({})]).await;
    for (more, param) in [
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": 7}), "prompt"),
        (json!({"n": 0}), "n"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"prompt": vec!["a"; 2049]}), "prompt"),
    ] {
        let (status, bytes) = complete(&market, more).await;
        assert_eq!((status.as_u16(), &json_of(&bytes)["error"]["param"]), (400, &json!(param)));
    }
}
