//! Embeddings: every form of input and output, every refusal, and a client who leaves.

use crate::client::{MODEL, eventually, jobs, rest, scripted, scripted_with};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The vectors of an answer, floats or base64.
fn vectors(answer: &Value) -> Vec<Vec<f32>> {
    let read = |(index, item): (usize, &Value)| {
        assert_eq!((&item["object"], &item["index"]), (&json!("embedding"), &json!(index)));
        match &item["embedding"] {
            Value::String(text) => {
                let bytes = STANDARD.decode(text).unwrap();
                let numbers = bytes.chunks_exact(4);
                numbers.map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
            }
            numbers => serde_json::from_value(numbers.clone()).unwrap(),
        }
    };
    answer["data"].as_array().unwrap().iter().enumerate().map(read).collect()
}

fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|number| number * number).sum::<f32>().sqrt()
}

#[tokio::test]
async fn one_text_is_one_vector_of_unit_length() {
    let (running, client) = scripted(json!({})).await;
    let answer = client.embed(json!({})).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["object", "data", "model", "usage"]);
    assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!(MODEL)));
    assert_eq!(body["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
    let made = vectors(&body);
    assert_eq!(made.len(), 1);
    assert!((length(&made[0]) - 1.0).abs() < 1e-5, "{}", length(&made[0]));
    assert_eq!(jobs(&running.counters), (1, 1, 0));
}

#[tokio::test]
async fn base64_is_the_same_numbers() {
    let (_running, client) = scripted(json!({})).await;
    let floats = client.embed(json!({"encoding_format": "float"})).await.json();
    let base64 = client.embed(json!({"encoding_format": "base64"})).await.json();
    assert!(base64["data"][0]["embedding"].is_string());
    assert_eq!(vectors(&floats), vectors(&base64));
}

#[tokio::test]
async fn lists_keep_their_order_and_the_same_text_its_vector() {
    let (_running, client) = scripted(json!({})).await;
    let body = client.embed(json!({"input": ["a b c", "one two", "a b c"]})).await.json();
    let made = vectors(&body);
    assert_eq!(made.len(), 3);
    assert_eq!(made[0], made[2]);
    assert_ne!(made[0], made[1]);
    assert_eq!(vectors(&client.embed(json!({})).await.json())[0], made[1]);
    assert_eq!(body["usage"]["prompt_tokens"], 8);
}

#[tokio::test]
async fn ids_are_taken_one_list_or_many() {
    let (_running, client) = scripted(json!({})).await;
    let one = client.embed(json!({"input": [1, 2, 3]})).await.json();
    let many = client.embed(json!({"input": [[4], [1, 2, 3]]})).await.json();
    assert_eq!(one["usage"]["prompt_tokens"], 3);
    assert_eq!(many["usage"]["prompt_tokens"], 4);
    assert_eq!(vectors(&one)[0], vectors(&many)[1]);
}

#[tokio::test]
async fn fewer_dimensions_are_the_first_ones_at_unit_length() {
    let (_running, client) = scripted(json!({})).await;
    let whole = vectors(&client.embed(json!({})).await.json()).remove(0);
    let short = vectors(&client.embed(json!({"dimensions": 3})).await.json()).remove(0);
    assert_eq!(short.len(), 3);
    assert!((length(&short) - 1.0).abs() < 1e-5);
    let scale = length(&whole[..3]);
    for (short, whole) in short.iter().zip(&whole) {
        assert!((short - whole / scale).abs() < 1e-5, "{short} {whole}");
    }
    let own = json!({"dimensions": whole.len()});
    assert_eq!(vectors(&client.embed(own).await.json()).remove(0), whole);
}

#[tokio::test]
async fn unknown_and_null_members_are_taken() {
    let (_running, client) = scripted(json!({})).await;
    for members in [
        json!({"encoding_format": null, "dimensions": null, "user": null}),
        json!({"user": "u", "input_type": "query", "truncate": "END"}),
    ] {
        assert_eq!(client.embed(members.clone()).await.status, 200, "{members}");
    }
}

#[tokio::test]
async fn every_refusal_names_its_member() {
    let (_running, client) = scripted(json!({})).await;
    let many: Vec<&str> = vec!["x"; 2049];
    let long = "word ".repeat(8193);
    let cases = [
        (json!({"input": ""}), "input", None),
        (json!({"input": []}), "input", None),
        (json!({"input": ["a", ""]}), "input[1]", None),
        (json!({"input": [[]]}), "input[0]", None),
        (json!({"input": {}}), "input", None),
        (json!({"input": null}), "input", None),
        (json!({"input": ["a", 1]}), "input", None),
        (json!({"input": [-1]}), "input", None),
        (json!({"input": [1.5]}), "input", None),
        (json!({"input": many}), "input", None),
        (json!({"input": long}), "input", Some("context_length_exceeded")),
        (json!({"input": ["a", long]}), "input[1]", Some("context_length_exceeded")),
        (json!({"input": [1, 100_277]}), "input", None),
        (json!({"input": [[1], [4_000_000_000u32]]}), "input[1]", None),
        (json!({"input": vec![vec![7; 8192]; 37]}), "input", Some("max_tokens_per_request")),
        (json!({"dimensions": 0}), "dimensions", None),
        (json!({"dimensions": 65}), "dimensions", None),
        (json!({"dimensions": "8"}), "dimensions", None),
        (json!({"encoding_format": "hex"}), "encoding_format", None),
        (json!({"model": 7}), "model", None),
        (json!({"user": 7}), "user", None),
    ];
    for (members, param, code) in cases {
        let answer = client.embed(members.clone()).await;
        let shown: String = members.to_string().chars().take(80).collect();
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text);
        let error = answer.error();
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!(code)), "{shown}");
    }
    let missing = client.send(client.post("/v1/embeddings", r#"{"model":"m"}"#)).await;
    assert_eq!((missing.status.as_u16(), missing.error()["param"].clone()), (400, json!("input")));
    let unknown = client.embed(json!({"model": "gpt-9"})).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.error()["code"], "model_not_found");
    assert_eq!(client.embed(json!({})).await.status, 200, "it goes on serving");
}

#[tokio::test(start_paused = true)]
async fn a_script_can_fail_and_break_off() {
    let (_running, client) = scripted(json!({})).await;
    let failed = client.embed(json!({"input": ["a", "b"], "script": {"error_after": 1}})).await;
    assert_eq!(failed.status, 503);
    let status = client.embed(json!({"script": {"status": 418, "body": "{}"}})).await;
    assert_eq!(status.status, 418);
    let wrong = client.embed(json!({"script": 3})).await;
    assert_eq!(wrong.error()["param"], "script");
    let cut = client.open(client.embed_request(json!({"script": {"cut_after": 0}}))).await;
    let (text, whole) = rest(cut.into_body()).await;
    assert!(!whole && text.starts_with(r#"{"object":"list""#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_client_who_leaves_takes_the_job_along() {
    let (running, client) = scripted(json!({"ttft_ms": 60_000})).await;
    let counters = &running.counters;
    {
        let mut waits = std::pin::pin!(client.embed(json!({})));
        tokio::select! {
            _ = &mut waits => panic!("no answer is due"),
            () = eventually("begun", || jobs(counters).0 == 1) => {}
        }
    }
    eventually("cancelled", || jobs(counters).2 == 1).await;
}

#[tokio::test(start_paused = true)]
async fn it_waits_in_the_same_queue_as_all_jobs() {
    let script = json!({"ttft_ms": 60_000});
    let (running, client) = scripted_with(script, 1, |serving| serving.queue = 0).await;
    let mut first = std::pin::pin!(client.embed(json!({})));
    tokio::select! {
        _ = &mut first => panic!("no answer is due"),
        () = eventually("begun", || jobs(&running.counters).0 == 1) => {}
    }
    let full = client.embed(json!({})).await;
    assert_eq!(full.status, 429);
    assert!(full.headers.contains_key("retry-after"));
    assert_eq!(client.chat(json!({})).await.status, 429);
    running.shutdown.begin();
    let draining = client.embed(json!({})).await;
    assert_eq!(draining.error()["code"], "shutting_down");
    assert_eq!(first.await.status, 200, "what runs may end");
}
