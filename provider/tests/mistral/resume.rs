//! An answer that another node began: this one goes on with the very next token, wherever it was cut, and
//! the two parts are what one node alone would have said.

use crate::bench::*;
use openapi::resume::Resume;
use provider::engine::{Constraint, Delta};

/// The pieces of an answer, and how it ended.
async fn pieces(bench: &Bench, job: Job) -> (Vec<Delta>, (FinishReason, Usage, Vec<u32>)) {
    let mut generation = bench.start(job).await.unwrap();
    let mut pieces = Vec::new();
    while let Some(event) = generation.events.next().await {
        match event.unwrap() {
            Event::Delta(delta) => pieces.push(delta),
            Event::Finish { reason, usage, ids, .. } => return (pieces, (reason, usage, ids)),
            Event::Raw(_) => panic!("raw bytes"),
        }
    }
    panic!("no finish");
}

fn text_bytes(pieces: &[Delta]) -> u64 {
    let arguments = |delta: &Delta| {
        let function = delta.tool_call.as_ref().and_then(|call| call.function.as_ref());
        function.and_then(|function| function.arguments.as_ref()).map_or(0, String::len)
    };
    let texts = |delta: &Delta| {
        [&delta.content, &delta.reasoning].into_iter().flatten().map(String::len).sum::<usize>()
    };
    pieces.iter().map(|delta| (texts(delta) + arguments(delta)) as u64).sum()
}

/// Cuts the answer after each of its pieces.
async fn goes_on_anywhere(job: Job) {
    let (first, second) = (bench().await, bench().await);
    let (whole, end) = pieces(&first, job.clone()).await;
    assert!(!whole.is_empty());
    for cut in 0..=whole.len() {
        let (sent, rest) = whole.split_at(cut);
        let ids = sent.iter().flat_map(|delta| delta.ids.iter().copied()).collect();
        let resume = Resume { ids, text_bytes: text_bytes(sent), prompt_ids_sha256: None };
        let job = Job { resume: Some(resume), ..job.clone() };
        let (went_on, its_end) = pieces(&second, job).await;
        assert_eq!(went_on, rest, "cut after {cut} of {}", whole.len());
        assert_eq!(its_end, end, "cut after {cut}");
    }
}

#[tokio::test]
async fn a_plain_answer() {
    goes_on_anywhere(ask("Count to 12.")).await;
}

#[tokio::test]
async fn a_warm_story_with_penalties_and_stop_strings() {
    for seed in 0..3 {
        let mut job = warm(ask("Tell me a story."), 1.2, seed);
        job.max_tokens = Some(60);
        job.sampling.frequency_penalty = 0.7;
        job.sampling.presence_penalty = 0.3;
        job.stop = vec!["zebra".to_owned(), "the end of all".to_owned()];
        goes_on_anywhere(job).await;
    }
}

#[tokio::test]
async fn under_a_schema() {
    let schema = json!({"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3}},
        "required": ["name", "age", "tags"], "additionalProperties": false});
    for seed in 0..3 {
        let job = warm(ask("Give me json for Ann, age 7."), 1.5, seed);
        let constraint = Some(Constraint::JsonSchema(schema.clone()));
        goes_on_anywhere(Job { constraint, ..job }).await;
    }
}

#[tokio::test]
async fn a_tool_call() {
    let tools = json!([{"type": "function", "function": {"name": "get_weather",
        "description": "Get the weather of a city.", "parameters": {"type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
            "additionalProperties": false}}}]);
    for (tool_use, temperature) in [(ToolUse::Auto, 0.0), (ToolUse::Required, 1.5)] {
        let body = json!({"tools": tools, "parallel_tool_calls": false,
            "messages": [{"role": "user", "content": "What is the weather in Paris?"}]});
        goes_on_anywhere(warm(Job { tool_use, ..chat(body) }, temperature, 5)).await;
    }
}

/// In the middle of what was held back: the ids of a call's beginning are known, its text is not.
#[tokio::test]
async fn ids_without_their_text() {
    let bench = bench().await;
    let job = warm(ask("Tell me a story."), 1.0, 9);
    let whole = bench.read(job.clone()).await.unwrap();
    for known in [1, 5, 20] {
        let ids: Vec<u32> = whole.ids.iter().copied().take(known).collect();
        let resume = Resume { ids, text_bytes: 0, prompt_ids_sha256: None };
        let read = bench.read(Job { resume: Some(resume), ..job.clone() }).await.unwrap();
        assert_eq!((&read.content, read.usage), (&whole.content, whole.usage));
        assert_eq!(read.ids, whole.ids[known..]);
    }
}

#[tokio::test]
async fn another_answer_is_refused() {
    let bench = bench().await;
    let job = ask("What is 7 plus 5?");
    let whole = bench.read(job.clone()).await.unwrap();
    let ids: Vec<u32> = whole.ids.iter().copied().take(3).collect();
    for resume in [
        Resume { ids: ids.clone(), text_bytes: 1_000, prompt_ids_sha256: None },
        Resume { ids: ids.clone(), text_bytes: 2, prompt_ids_sha256: None },
        Resume { ids: vec![u32::MAX], text_bytes: 0, prompt_ids_sha256: None },
        Resume { ids, text_bytes: 0, prompt_ids_sha256: Some("00".repeat(32)) },
    ] {
        assert!(bench.read(Job { resume: Some(resume), ..job.clone() }).await.is_err());
    }
    bench.assert_alive().await;
}
