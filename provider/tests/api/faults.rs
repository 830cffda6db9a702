//! Scripts misbehave as they are told to.

use crate::client::{Client, next, rest, scripted};
use serde_json::{Value, json};

async fn stream(script: Value) -> (String, bool) {
    let (_running, client) = scripted(json!({})).await;
    stream_of(&client, json!({"stream": true, "script": script})).await
}

async fn stream_of(client: &Client, members: Value) -> (String, bool) {
    let response = client.open(client.chat_request(members)).await;
    rest(response.into_body()).await
}

#[tokio::test]
async fn cut_after_some_tokens() {
    let (text, whole) = stream(json!({"tokens": 9, "cut_after": 2})).await;
    assert!(!whole);
    assert!(text.contains("tok1") && !text.contains("tok2") && !text.contains("[DONE]"), "{text}");
}

#[tokio::test]
async fn reset_before_the_head() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_running, client) = scripted(json!({"reset_before_head": true})).await;
    let body = crate::client::chat_body(json!({})).to_string();
    let mut socket = tokio::net::TcpStream::connect(client.addr).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let error = socket.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn foreign_statuses_and_shapes() {
    let (_running, client) = scripted(json!({})).await;
    let script = json!({"status": 502, "body": "<html>Bad Gateway</html>",
        "content_type": "text/html", "retry_after": "7"});
    let answer = client.chat(json!({"script": script})).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.text, "<html>Bad Gateway</html>");
    assert_eq!(answer.headers["content-type"], "text/html");
    assert_eq!(answer.headers["retry-after"], "7");
    let empty = client.chat(json!({"script": {"status": 429}})).await;
    assert_eq!((empty.status.as_u16(), empty.text.as_str()), (429, ""));
}

#[tokio::test]
async fn an_error_event_ends_the_stream() {
    let (text, whole) = stream(json!({"tokens": 9, "error_after": 1})).await;
    assert!(whole);
    assert!(text.trim_end().lines().last().unwrap().starts_with("data: {\"error\":"), "{text}");
    assert!(!text.contains("[DONE]") && !text.contains("tok1"));
}

#[tokio::test]
async fn a_malformed_event_amid_good_ones() {
    let (text, _) = stream(json!({"tokens": 3, "malformed_after": 1})).await;
    let bad = text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]" && serde_json::from_str::<Value>(data).is_err())
        .count();
    assert_eq!(bad, 1, "{text}");
    assert!(text.contains("tok2") && text.contains("[DONE]"));
    let (_running, client) = scripted(json!({"malformed_after": 0})).await;
    let whole = client.chat(json!({})).await;
    assert!(serde_json::from_str::<Value>(&whole.text).is_err());
}

#[tokio::test]
async fn missing_ends() {
    let (no_done, _) = stream(json!({"tokens": 1, "no_done": true})).await;
    assert!(no_done.contains("\"finish_reason\":\"stop\"") && !no_done.contains("[DONE]"));
    let (no_finish, _) = stream(json!({"tokens": 1, "no_finish": true})).await;
    assert!(!no_finish.contains("stop") && no_finish.contains("[DONE]"), "{no_finish}");
    for reason in ["", "eos_token"] {
        let (text, _) = stream(json!({"tokens": 1, "finish_reason": reason})).await;
        assert!(text.contains(&format!("\"finish_reason\":\"{reason}\"")), "{text}");
    }
}

#[tokio::test]
async fn usage_in_other_places() {
    let count = |text: &str| text.matches("\"usage\"").count();
    let (last, _) = stream(json!({"tokens": 2, "usage_mode": "last"})).await;
    assert_eq!(count(&last), 1);
    assert!(last.contains("\"choices\":[],\"usage\""), "{last}");
    let (finish, _) = stream(json!({"tokens": 2, "usage_mode": "finish_chunk"})).await;
    assert_eq!(count(&finish), 1);
    assert!(!finish.contains("\"choices\":[]"), "{finish}");
    let (all, _) = stream(json!({"tokens": 2, "usage_mode": "all"})).await;
    assert_eq!(count(&all), 3);
    let (_running, client) = scripted(json!({"tokens": 2, "usage_mode": "none"})).await;
    let members = json!({"stream": true, "stream_options": {"include_usage": true}});
    assert_eq!(count(&stream_of(&client, members).await.0), 0);
    assert!(client.chat(json!({})).await.json().get("usage").is_none());
}

#[tokio::test]
async fn line_ends_comments_and_foreign_lines() {
    let script = json!({"tokens": 4, "crlf": true, "tight": true, "comment_every": 2,
        "event_lines": true, "role_chunk": false});
    let (text, _) = stream(script).await;
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert!(text.starts_with("event: message\r\nid: 0\r\nretry: 1000\r\ndata:{"), "{text}");
    assert!(text.contains(": comment 2\r\n\r\n"), "{text}");
    assert!(!text.contains("assistant"), "{text}");
}

#[tokio::test]
async fn missing_and_added_members() {
    let script = json!({"tool_call": {"name": "f", "arguments": "{}"}, "id_missing": true,
        "index_missing": true, "model": "else", "extra_members": {"x_big": 12345678901234567890u64}});
    let (text, _) = stream(script).await;
    assert!(!text.contains("\"created\"") && !text.contains("\"object\""), "{text}");
    assert!(text.contains("\"model\":\"else\""));
    assert!(text.contains("\"x_big\":12345678901234567890"));
    assert!(text.contains(r#""tool_calls":[{"id":"call_0""#), "{text}");
}

#[tokio::test]
async fn writes_of_one_byte() {
    let (_running, client) = scripted(json!({"text": "zwölf", "write_bytes": 1})).await;
    let response = client.open(client.chat_request(json!({"stream": true}))).await;
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = next(&mut body).await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("zwölf") && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn scripts_of_the_configuration_are_overridden_member_by_member() {
    let (_running, client) = scripted(json!({"tokens": 3, "finish_reason": "eos"})).await;
    let answer = client.chat(json!({"script": {"tokens": 1}})).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], " tok0");
    assert_eq!(answer["choices"][0]["finish_reason"], "eos");
    let answer = client.complete(json!({"script": {"tokens": 2}})).await.json();
    assert_eq!(answer["choices"][0]["text"], " tok0 tok1");
}
