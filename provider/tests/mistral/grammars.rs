//! Answers under a grammar, however hot.

use crate::bench::*;
use provider::engine::Constraint;

fn hot(constraint: Constraint, seed: u64) -> Job {
    Job { constraint: Some(constraint), ..warm(ask("Give me json for Ann, age 7."), 1.5, seed) }
}

#[tokio::test]
async fn a_schema_is_kept_at_temperature_one_and_a_half() {
    let bench = bench().await;
    let schema = json!({"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "colour": {"enum": ["red", "green", "blue"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3}},
        "required": ["name", "age", "colour", "tags"], "additionalProperties": false});
    let mut texts = std::collections::BTreeSet::new();
    for seed in 0..30 {
        let read = bench.read(hot(Constraint::JsonSchema(schema.clone()), seed)).await.unwrap();
        assert_eq!(read.reason, FinishReason::Stop, "{}", read.content);
        let value: Value = serde_json::from_str(&read.content).unwrap();
        let members: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(members, ["name", "age", "colour", "tags"]);
        assert!(value["name"].as_str().unwrap().chars().count() <= 12);
        assert!(value["age"].as_u64().unwrap() <= 150);
        assert!(["red", "green", "blue"].contains(&value["colour"].as_str().unwrap()));
        assert!(value["tags"].as_array().unwrap().len() <= 3);
        assert_eq!(read.usage.completion_tokens, read.ids.len() as u64);
        texts.insert(read.content);
    }
    assert!(texts.len() > 20, "{texts:?}");
}

#[tokio::test]
async fn any_json_object_is_one() {
    let bench = bench().await;
    let mut job = hot(Constraint::JsonObject, 0);
    job.sampling.temperature = 0.0;
    let read = bench.read(job).await.unwrap();
    let value: Value = serde_json::from_str(&read.content).unwrap();
    assert_eq!((value["name"].as_str(), read.reason), (Some("Ann"), FinishReason::Stop));
}

#[tokio::test]
async fn a_regex_is_matched_whole_even_where_the_model_would_never_go() {
    let bench = bench().await;
    for seed in 0..20 {
        let text =
            bench.text(hot(Constraint::Regex("QZ[0-9]{3}-(xyz|é☃){1,4}!".into()), seed)).await;
        let rest = text.strip_prefix("QZ").unwrap().strip_suffix('!').unwrap();
        let (digits, rest) = rest.split_once('-').unwrap();
        assert!(digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()), "{text}");
        assert!(!rest.is_empty() && rest.replace("xyz", "").replace("é☃", "").is_empty(), "{text}");
    }
}

#[tokio::test]
async fn log_probabilities_under_a_grammar_are_of_the_unmasked_row() {
    let bench = bench().await;
    let mut job = hot(Constraint::Regex("zzzz".into()), 1);
    job.logprobs = Some(1);
    let read = bench.read(job).await.unwrap();
    // The model would have begun otherwise, and says so.
    assert!(read.logprobs[0].logprob < -3.0, "{:?}", read.logprobs);
    assert_ne!(read.logprobs[0].top_logprobs[0].token, read.logprobs[0].token);
}
