//! Bad input: a clear OpenAI error each, and gateway and engine alive after all of them.

use crate::harness::{Market, guarded, user};
use hyper::StatusCode;
use serde_json::{Value, json};

/// A request body, and the status, `code` and `param` of its answer.
type Case = (&'static str, Vec<u8>, u16, Value, Value);

fn cases() -> Vec<Case> {
    let text = |body: Value| body.to_string().into_bytes();
    let with = |member: &str, value: Value| {
        let mut body = user("hello");
        body[member] = value;
        text(body)
    };
    let any = Value::Null;
    vec![
        ("no JSON", b"hello".to_vec(), 400, any.clone(), any.clone()),
        ("empty body", Vec::new(), 400, any.clone(), any.clone()),
        ("half a body", br#"{"model":"pip","messages":[{"#.to_vec(), 400, any.clone(), any.clone()),
        (
            "invalid UTF-8",
            b"{\"model\":\"pip\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}".to_vec(),
            400,
            any.clone(),
            any.clone(),
        ),
        (
            "no model",
            text(json!({"messages": [{"role": "user", "content": "hi"}]})),
            400,
            any.clone(),
            json!("model"),
        ),
        ("no messages", text(json!({"model": "pip"})), 400, any.clone(), json!("messages")),
        ("empty messages", with("messages", json!([])), 400, any.clone(), json!("messages")),
        ("messages no array", with("messages", json!("hi")), 400, any.clone(), json!("messages")),
        (
            "no role",
            with("messages", json!([{"content": "hi"}])),
            400,
            any.clone(),
            json!("messages[0].role"),
        ),
        ("stream no bool", with("stream", json!("yes")), 400, any.clone(), json!("stream")),
        (
            "temperature too high",
            with("temperature", json!(3)),
            400,
            any.clone(),
            json!("temperature"),
        ),
        (
            "temperature no number",
            with("temperature", json!("warm")),
            400,
            any.clone(),
            json!("temperature"),
        ),
        ("max_tokens zero", with("max_tokens", json!(0)), 400, any.clone(), json!("max_tokens")),
        ("n zero", with("n", json!(0)), 400, any.clone(), json!("n")),
        ("top_p out of range", with("top_p", json!(1.5)), 400, any.clone(), json!("top_p")),
        (
            "unknown model",
            with("model", json!("gpt-99")),
            404,
            json!("model_not_found"),
            json!("model"),
        ),
        (
            "2 MB prompt",
            text(user(&"word ".repeat(400_000))),
            400,
            json!("context_length_exceeded"),
            json!("messages"),
        ),
    ]
}

#[tokio::test]
async fn every_bad_input_has_a_clear_error_and_harms_nothing() {
    guarded(async {
        let market = Market::start(1).await;
        for (name, body, status, code, param) in cases() {
            let (found, answer) = market.api.chat_bytes(body).await;
            let error = &answer["error"];
            assert_eq!(found.as_u16(), status, "{name}: {answer}");
            assert!(!error["message"].as_str().unwrap().is_empty(), "{name}: {answer}");
            assert!(error["type"].is_string(), "{name}: {answer}");
            let keys: Vec<_> = error.as_object().unwrap().keys().map(String::as_str).collect();
            for key in ["message", "type", "param", "code"] {
                assert!(keys.contains(&key), "{name} lacks {key}: {answer}");
            }
            if !code.is_null() {
                assert_eq!(error["code"], code, "{name}: {answer}");
            }
            if !param.is_null() {
                assert_eq!(error["param"], param, "{name}: {answer}");
            }
        }
        assert_eq!(market.api.say(&user("What is 7 plus 5?")).await, "7 plus 5 is 12.");
    })
    .await;
}

/// 64 MiB is the default limit; one byte more is refused from its Content-Length.
#[tokio::test]
async fn an_over_long_body_is_refused_with_its_limit() {
    guarded(async {
        let market = Market::start(1).await;
        let (status, answer) = market.api.chat_bytes(vec![b' '; 64 * 1024 * 1024 + 1]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("67108864"), "{answer}");
        assert_eq!(market.api.say(&user("What is 7 plus 5?")).await, "7 plus 5 is 12.");
    })
    .await;
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_not_repeated() {
    guarded(async {
        let market = Market::start(1).await;
        let wrong = market.api.with_key("qk_wrong_and_secret");
        let (status, answer) = wrong.chat(&user("hello")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer["error"]["code"], "invalid_api_key");
        assert!(!answer.to_string().contains("qk_wrong_and_secret"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_json() {
    guarded(async {
        let market = Market::start(1).await;
        let (status, answer) = market.api.get("/nonsense").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(answer["error"]["type"], "invalid_request_error", "{answer}");
        let (status, answer) = market.api.get("/chat/completions").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(answer["error"]["message"].is_string(), "{answer}");
        let (status, answer) = market.api.get("/models/no/such:model").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(answer["error"]["code"], "model_not_found", "{answer}");
    })
    .await;
}
