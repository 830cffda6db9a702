//! The grammar of the event stream, as the official SDK's accumulator and its documentation have it.

use serde_json::{Value, json};

/// The events of a stream, checked line by line; comments are passed over.
pub(crate) fn parse(text: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    for block in text.split_terminator("\n\n").filter(|block| !block.starts_with(':')) {
        let (name, data) = block.split_once('\n').unwrap_or_else(|| panic!("two lines: {block}"));
        let name = name.strip_prefix("event: ").unwrap_or_else(|| panic!("a name: {block}"));
        let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("data: {block}"));
        let event: Value = serde_json::from_str(data).unwrap_or_else(|e| panic!("{e}: {data}"));
        assert_eq!(event["type"], name);
        assert_eq!(event["sequence_number"], events.len(), "{block}");
        events.push(event);
    }
    assert!(text.is_empty() || text.ends_with("\n\n"), "{text}");
    events
}

/// One item under way.
struct Open {
    item: Value,
    done: bool,
    part_open: bool,
}

/// Replays a stream and returns its last event's response. Every delta must belong to what is open, add
/// up to what its `done` says, and the last response must be what was told.
pub(crate) fn replay(events: &[Value]) -> Value {
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["response.created", "response.in_progress"]);
    let last = kinds.last().unwrap();
    let ends = ["response.completed", "response.incomplete", "response.failed"];
    assert!(ends.contains(last), "{last}");
    let begun = &events[0]["response"];
    assert_eq!(begun["status"], "in_progress");
    assert_eq!(begun["output"], json!([]));
    let mut items: Vec<Open> = Vec::new();
    for event in &events[2..events.len() - 1] {
        step(&mut items, event);
    }
    let response = events.last().unwrap()["response"].clone();
    for member in ["id", "created_at", "model", "tools", "text", "tool_choice"] {
        assert_eq!(response[member], begun[member], "{member}");
    }
    let output = response["output"].as_array().expect("items");
    assert_eq!(output.len(), items.len());
    let failed = *last == "response.failed";
    for (open, item) in items.iter().zip(output) {
        assert!(open.done || failed, "{item} was not ended");
        if open.done {
            assert_eq!(&open.item, item);
        } else {
            assert_eq!(item["status"], "incomplete");
        }
    }
    response
}

fn step(items: &mut Vec<Open>, event: &Value) {
    let index = usize::try_from(event["output_index"].as_u64().expect("an index")).unwrap();
    let kind = event["type"].as_str().unwrap().strip_prefix("response.").expect("a type");
    if kind == "output_item.added" {
        assert_eq!(index, items.len(), "items are told in order");
        assert_eq!(event["item"]["status"], "in_progress");
        items.push(Open { item: event["item"].clone(), done: false, part_open: false });
        return;
    }
    let open = items.get_mut(index).unwrap_or_else(|| panic!("{event} before its item"));
    assert!(!open.done, "{event} after its item");
    if kind == "output_item.done" {
        assert!(!open.part_open, "{event} before its part ended");
        assert_eq!(event["item"]["id"], open.item["id"]);
        assert_ne!(event["item"]["status"], "in_progress");
        open.item["status"] = event["item"]["status"].clone();
        assert_eq!(event["item"], open.item);
        open.done = true;
        return;
    }
    assert_eq!(event["item_id"], open.item["id"]);
    if kind.starts_with("function_call_arguments") {
        let arguments = &mut open.item["arguments"];
        if kind.ends_with("delta") {
            add(arguments, &event["delta"]);
        } else {
            assert_eq!(&event["arguments"], arguments);
        }
        return;
    }
    let at = usize::try_from(event["content_index"].as_u64().expect("an index")).unwrap();
    let parts = open.item["content"].as_array_mut().expect("parts");
    if kind == "content_part.added" {
        assert_eq!((at, open.part_open), (parts.len(), false), "{event}");
        parts.push(event["part"].clone());
        open.part_open = true;
        return;
    }
    assert!(open.part_open && at + 1 == parts.len(), "{event}");
    let part = &mut parts[at];
    let member = if part["type"] == "refusal" { "refusal" } else { "text" };
    match kind {
        "output_text.delta" | "refusal.delta" | "reasoning_text.delta" => {
            add(&mut part[member], &event["delta"]);
            if let Some(more) = event["logprobs"].as_array() {
                part["logprobs"].as_array_mut().expect("logprobs").extend(more.iter().cloned());
            }
        }
        "output_text.done" | "refusal.done" | "reasoning_text.done" => {
            assert_eq!(event[member], part[member]);
        }
        "content_part.done" => {
            assert_eq!(&event["part"], part);
            open.part_open = false;
        }
        other => panic!("unknown event {other}"),
    }
}

fn add(to: &mut Value, delta: &Value) {
    let text = to.as_str().expect("text").to_owned() + delta.as_str().expect("a delta");
    *to = text.into();
}

/// What a response says.
pub(crate) fn output_text(response: &Value) -> String {
    let items = response["output"].as_array().expect("items").iter();
    let messages = items.filter(|item| item["type"] == "message");
    let parts = messages.flat_map(|item| item["content"].as_array().expect("parts"));
    parts.filter_map(|part| part["text"].as_str()).collect()
}
