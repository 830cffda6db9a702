//! Tool calls: of the model's own accord, forced, and what becomes of their results.

use crate::bench::*;

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "description": "Get the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"], "additionalProperties": false}}},
        {"type": "function", "function": {"name": "get_time", "description": "Get the time.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": false}}}])
}

fn with(question: &str, tool_use: ToolUse) -> Job {
    let body = json!({"messages": [{"role": "user", "content": question}], "tools": weather(),
        "parallel_tool_calls": false});
    Job { tool_use, ..chat(body) }
}

#[tokio::test]
async fn the_model_calls_a_tool_and_uses_its_result() {
    let bench = bench().await;
    let read = bench.read(with("What is the weather in Paris?", ToolUse::Auto)).await.unwrap();
    assert_eq!(read.calls.len(), 1, "{read:?}");
    assert_eq!((read.calls[0].0.as_str(), read.reason), ("get_weather", FinishReason::ToolCalls));
    let arguments: Value = serde_json::from_str(&read.calls[0].1).unwrap();
    assert_eq!(arguments, json!({"city": "Paris"}));
    assert_eq!(read.content, "");
    assert_eq!(read.usage.completion_tokens, read.ids.len() as u64);
    let text = bench.text(Job {
        tool_use: ToolUse::Auto,
        ..chat(json!({"tools": weather(), "messages": [
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function",
                "function": {"name": "get_weather", "arguments": read.calls[0].1}}]},
            {"role": "tool", "tool_call_id": "1", "content": "{\"weather\": \"sunny\"}"},
        ]}))
    });
    assert!(text.await.contains("sunny"));
}

#[tokio::test]
async fn forced_calls_keep_their_schema_at_temperature_one_and_a_half() {
    let bench = bench().await;
    for seed in 0..15 {
        let job = warm(with("Tell me a story.", ToolUse::Required), 1.5, seed);
        let read = bench.read(job).await.unwrap();
        assert_eq!((read.reason, read.calls.len()), (FinishReason::ToolCalls, 1), "{read:?}");
        let arguments: Value = serde_json::from_str(&read.calls[0].1).unwrap();
        match read.calls[0].0.as_str() {
            "get_weather" => assert!(arguments["city"].as_str().unwrap().chars().count() <= 20),
            "get_time" => assert_eq!(arguments, json!({})),
            other => panic!("{other}"),
        }
        let named = warm(with("hello", ToolUse::Named("get_time".into())), 1.5, seed);
        assert_eq!(bench.read(named).await.unwrap().calls, [("get_time".into(), "{}".into())]);
    }
}

#[tokio::test]
async fn a_question_that_needs_no_tool_is_answered() {
    let bench = bench().await;
    let read = bench.read(with("What is 7 plus 5?", ToolUse::Auto)).await.unwrap();
    assert!(read.calls.is_empty() && read.content.contains("12"), "{read:?}");
    assert_eq!(read.reason, FinishReason::Stop);
}
