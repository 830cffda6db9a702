//! Token ids and provenance in comments, only for who asks.

use crate::client::{MODEL, scripted, without_id};
use http::HeaderValue;
use openapi::evidence::{PROVENANCE_PREFIX, Provenance};
use serde_json::{Value, json};

async fn with_evidence(client: &crate::client::Client, members: Value) -> String {
    let mut request = client.chat_request(members);
    request.headers_mut().insert("x-quorate-evidence", HeaderValue::from_static("1"));
    client.send(request).await.text
}

#[tokio::test]
async fn ids_stand_before_their_text_in_the_same_event() {
    let (_running, client) = scripted(json!({"tokens": 2})).await;
    let members = json!({"stream": true, "seed": -1, "stream_options": {"include_usage": true}});
    let text = without_id(&with_evidence(&client, members).await);
    let events: Vec<&str> = text.trim_end().split("\n\n").collect();
    let lines: Vec<Vec<&str>> = events.iter().map(|event| event.lines().collect()).collect();
    assert_eq!(lines[0].len(), 1, "the role has no ids");
    assert_eq!(lines[1][0], ": q 0");
    assert!(lines[1][1].contains(" tok0"));
    assert_eq!(lines[2][0], ": q 1");
    assert!(lines[2][1].contains(" tok1"));
    assert!(lines[4][0].contains("\"usage\""));
    assert_eq!(lines[5][1], "data: [DONE]");
    let provenance = lines[5][0].strip_prefix(PROVENANCE_PREFIX).unwrap();
    let provenance: Provenance = serde_json::from_str(provenance).unwrap();
    assert_eq!(provenance.seed, u64::MAX, "two's complement");
    assert_eq!((provenance.usage.prompt_tokens, provenance.usage.completion_tokens), (3, 2));
    assert_eq!(events.len(), 6);
}

#[tokio::test]
async fn ids_of_other_choices_are_marked() {
    let (_running, client) = scripted(json!({"tokens": 1})).await;
    let text = with_evidence(&client, json!({"stream": true, "n": 2})).await;
    let of = |comment: &str| {
        let at = text.find(comment).unwrap_or_else(|| panic!("{comment} in {text}"));
        text[at..].lines().nth(1).unwrap().to_owned()
    };
    assert!(of(": q 0\n").contains(r#""index":0,"#));
    assert!(of(": q@1 0\n").contains(r#""index":1,"#));
    assert_eq!(text.matches(PROVENANCE_PREFIX).count(), 1);
}

#[tokio::test]
async fn nobody_else_gets_comments() {
    let (_running, client) = scripted(json!({"tokens": 2})).await;
    let text = client.chat(json!({"stream": true})).await.text;
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with("data: ")), "{text}");
    let body = json!({"model": MODEL, "prompt": "x", "stream": true}).to_string();
    let mut request = client.post("/v1/completions", body);
    request.headers_mut().insert("x-quorate-evidence", HeaderValue::from_static("0"));
    assert!(!client.send(request).await.text.contains(": q"));
}
