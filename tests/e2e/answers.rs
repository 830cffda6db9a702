//! What a client gets: the README's requests, and answers that do not depend on company.

use crate::harness::{Event, Market, content, guarded, text_of, user};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::Command;
use tokio::task::JoinSet;

/// The banner's own lines, run by a shell with the real curl.
#[tokio::test]
async fn the_printed_curl_lines_answer_whole_and_streamed() {
    guarded(async {
        let market = Market::start(3).await;
        let lines: Vec<_> =
            market.banner.lines().filter(|line| line.trim_start().starts_with("curl ")).collect();
        let [whole, streamed] = lines[..] else { panic!("two curl lines in {}", market.banner) };

        let answer: Value = serde_json::from_slice(&run(whole).await).unwrap();
        assert_eq!(answer["choices"][0]["message"]["content"], "7 plus 5 is 12.");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(answer["model"], "pip");
        let usage = &answer["usage"];
        assert_eq!(
            usage["total_tokens"].as_u64(),
            Some(
                usage["prompt_tokens"].as_u64().unwrap()
                    + usage["completion_tokens"].as_u64().unwrap()
            )
        );

        let stream = String::from_utf8(run(streamed).await).unwrap();
        let data: Vec<_> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.last(), Some(&"[DONE]"));
        let text: String = data[..data.len() - 1]
            .iter()
            .map(|chunk| content(&serde_json::from_str(chunk).unwrap()))
            .collect();
        assert_eq!(text, "7 plus 5 is 12.");
        assert!(!stream.contains("\"usage\":{"), "nobody asked for usage: {stream}");
    })
    .await;
}

async fn run(line: &str) -> Vec<u8> {
    let line = format!("{line} --silent --show-error");
    let output = tokio::process::Command::from(Command::new("sh"))
        .args(["-c", &line])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn a_stream_has_one_identity_one_done_and_usage_when_asked() {
    guarded(async {
        let market = Market::start(1).await;
        let mut body = user("What is the capital of Japan?");
        body["stream_options"] = json!({"include_usage": true});
        let events = market.api.stream(&body).await.rest().await;
        assert_eq!(text_of(&events), "The capital of Japan is Tokyo.");
        assert_eq!(events.last(), Some(&Event::Done));
        assert_eq!(events.iter().filter(|event| **event == Event::Done).count(), 1);

        let chunks: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Chunk(chunk) => Some(chunk),
                Event::Error(_) | Event::Done => None,
            })
            .collect();
        for member in ["id", "created", "model", "object"] {
            assert!(chunks.iter().all(|chunk| chunk[member] == chunks[0][member]), "{member}");
        }
        let last = chunks.last().unwrap();
        assert_eq!(last["choices"], json!([]));
        let completion = last["usage"]["completion_tokens"].as_u64().unwrap();
        assert!(completion > 3, "{last}");
    })
    .await;
}

#[tokio::test]
async fn a_json_schema_request_gives_valid_json_even_when_sampled_hot() {
    guarded(async {
        let market = Market::start(1).await;
        for seed in 0..5 {
            let body = json!({
                "model": "pip", "temperature": 1.5, "seed": seed, "max_tokens": 300,
                "messages": [{"role": "user", "content": "Write a JSON object with name Ana and age 31."}],
                "response_format": {"type": "json_schema", "json_schema": {"name": "person", "strict": true,
                    "schema": {"type": "object", "additionalProperties": false,
                        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
                        "required": ["name", "age"]}}},
            });
            let text = market.api.say(&body).await;
            let person: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
            assert!(person["name"].is_string() && person["age"].is_u64(), "{text}");
            assert_eq!(person.as_object().unwrap().len(), 2, "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn twelve_conversations_at_once_read_like_lone_ones() {
    guarded(async {
        let market = Market::start(1).await;
        let questions = [
            "hello",
            "Who are you?",
            "What is 7 plus 5?",
            "What is the capital of Japan?",
            "Tell me a short story.",
            "Write a JSON object with name Ana and age 31.",
            "What is a hedged request?",
            "Count to 12.",
            "List three fruits.",
            "Write hello world in Rust.",
            "Is fire cold?",
            "What colour do you get from red and yellow?",
        ];
        let bodies: Vec<Value> = questions
            .iter()
            .enumerate()
            .map(|(n, question)| {
                let mut body = user(question);
                // Half of them are sampled: their draws must not depend on company either.
                if n % 2 == 1 {
                    body["temperature"] = json!(0.9);
                    body["seed"] = json!(n);
                }
                body
            })
            .collect();
        let mut alone = Vec::new();
        for body in &bodies {
            alone.push(market.api.say(body).await);
        }
        let mut together = JoinSet::new();
        for (n, body) in bodies.into_iter().enumerate() {
            let api = market.api.clone();
            together.spawn(async move { (n, api.say(&body).await) });
        }
        let mut texts = together.join_all().await;
        texts.sort();
        let texts: Vec<_> = texts.into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, alone);
    })
    .await;
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answer_on_every_provider() {
    guarded(async {
        let market = Market::start(3).await;
        let mut body = user("Tell me a story.");
        body["temperature"] = json!(1);
        body["seed"] = json!(42);
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(market.api.say(&body).await);
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");

        let mut others = Vec::new();
        for seed in 0..6 {
            body["seed"] = json!(seed);
            others.push(market.api.say(&body).await);
        }
        assert!(others.iter().any(|other| *other != others[0]), "a seed matters: {others:?}");

        body["seed"] = json!(42);
        let streamed = text_of(&market.api.stream(&body).await.rest().await);
        assert_eq!(streamed, answers[0], "streamed and whole agree");
    })
    .await;
}

#[tokio::test]
async fn the_model_is_listed_and_found() {
    guarded(async {
        let market = Market::start(1).await;
        let (status, list) = market.api.get("/models").await;
        assert_eq!(status, StatusCode::OK);
        let ids = list["data"].as_array().unwrap().iter().map(|model| &model["id"]);
        assert_eq!(ids.collect::<Vec<_>>(), ["pip", "pip-embed"]);
        let (status, model) = market.api.get("/models/pip").await;
        assert_eq!((status, &model["object"]), (StatusCode::OK, &json!("model")));
        let response = market.api.send(Method::GET, "/models", Vec::new()).await;
        assert!(response.headers().contains_key("x-request-id"));
    })
    .await;
}
