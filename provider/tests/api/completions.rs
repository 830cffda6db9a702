//! Legacy completions.

use crate::client::{scripted, without_id};
use serde_json::json;

#[tokio::test]
async fn whole_and_streamed() {
    let (_running, client) = scripted(json!({"tokens": 2})).await;
    let mut whole = client.complete(json!({})).await.json();
    whole["id"] = json!("ID");
    let expected = json!({
        "id": "ID", "object": "text_completion", "created": 1700000000, "model": "acme/tiny:1",
        "choices": [{"text": " tok0 tok1", "index": 0, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    });
    assert_eq!(whole, expected);

    let stream = client.complete(json!({"stream": true})).await.text;
    let head = r#"data: {"id":"cmpl-ID","object":"text_completion","created":1700000000,"model":"acme/tiny:1","choices":["#;
    let expected = [
        format!(r#"{head}{{"text":" tok0","index":0,"logprobs":null,"finish_reason":null}}]}}"#),
        format!(r#"{head}{{"text":" tok1","index":0,"logprobs":null,"finish_reason":null}}]}}"#),
        format!(r#"{head}{{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}}]}}"#),
        "data: [DONE]".to_owned(),
    ];
    assert_eq!(without_id(&stream), expected.join("\n\n") + "\n\n");
}

#[tokio::test]
async fn logprobs_have_offsets_into_the_text() {
    let (_running, client) = scripted(json!({"tokens": 3})).await;
    let whole = client.complete(json!({"logprobs": 1})).await.json();
    let logprobs = &whole["choices"][0]["logprobs"];
    assert_eq!(logprobs["text_offset"], json!([0, 5, 10]));
    assert_eq!(logprobs["tokens"], json!([" tok0", " tok1", " tok2"]));
    assert_eq!(logprobs["top_logprobs"][0].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn prompts_as_ids_and_the_default_length() {
    let (_running, client) = scripted(json!({"tokens": 40})).await;
    let whole = client.complete(json!({"prompt": [1, 2, 3, 4]})).await.json();
    assert_eq!(whole["usage"]["prompt_tokens"], 4);
    assert_eq!(whole["usage"]["completion_tokens"], 16);
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    let one = client.complete(json!({"prompt": ["a b c"]})).await.json();
    assert_eq!(one["usage"]["prompt_tokens"], 3);
}

#[tokio::test]
async fn what_is_not_served_is_said() {
    let (_running, client) = scripted(json!({})).await;
    for (members, param) in [
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": ["a", ""]}), "prompt"),
        (json!({"prompt": [[1], []]}), "prompt"),
        (json!({"prompt": vec!["a"; 100], "n": 2}), "prompt"),
        (json!({"prompt": {}}), "prompt"),
        (json!({"echo": true}), "echo"),
        (json!({"suffix": "end"}), "suffix"),
        (json!({"best_of": 3}), "best_of"),
        (json!({"logprobs": 6}), "logprobs"),
    ] {
        let answer = client.complete(members.clone()).await;
        assert_eq!(answer.status, 400, "{members}");
        assert_eq!(answer.error()["param"], param, "{members}");
    }
}

#[tokio::test]
async fn several_prompts_are_answered_in_their_order() {
    let (_running, client) = scripted(json!({"tokens": 2})).await;
    let asked = json!({"prompt": ["one two three", "four"], "n": 2, "max_tokens": 1});
    let whole = client.complete(asked).await.json();
    let choices = whole["choices"].as_array().unwrap();
    let places: Vec<_> = choices.iter().map(|choice| choice["index"].as_u64().unwrap()).collect();
    assert_eq!(places, [0, 1, 2, 3]);
    // Each prompt counts once, whatever its choices are.
    assert_eq!(whole["usage"]["prompt_tokens"], 4);
    assert_eq!(whole["usage"]["completion_tokens"], 4);

    let asked = json!({"prompt": [[1, 2], [3, 4, 5]], "stream": true, "stream_options": {"include_usage": true}});
    let stream = client.complete(asked).await.text;
    assert_eq!(stream.matches("\"finish_reason\":\"stop\"").count(), 2);
    assert!(stream.contains("\"prompt_tokens\":5"), "{stream}");
    assert!(stream.ends_with("data: [DONE]\n\n"));
}
