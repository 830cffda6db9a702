//! A provider dies or stands still in mid-answer; another goes on with the very next token, and the
//! client's stream is the answer that a lone provider gives.

use crate::harness::{Event, Market, Provider, counter, endless, guarded, signal, user};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Of the answer, and how many the client has when the provider is lost.
const TOKENS: u32 = 60;
const LOST_AT: usize = 40;

/// Long enough for any of the answers below, whatever the model makes of it.
fn numbers() -> Value {
    let list = json!({"type": "array", "items": {"type": "integer"}, "minItems": 60});
    json!({"type": "object", "properties": {"numbers": list}, "required": ["numbers"],
           "additionalProperties": false})
}

fn drawn(mut body: Value) -> Value {
    body["max_tokens"] = json!(TOKENS);
    body["temperature"] = json!(0.9);
    body["seed"] = json!(4711);
    body["stream_options"] = json!({"include_usage": true});
    // The one that will be lost, while it is there.
    body["provider"] = json!({"order": ["op-1"]});
    body
}

fn free() -> Value {
    drawn(endless(TOKENS))
}

fn schema() -> Value {
    let mut body = user("Give me numbers.");
    body["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": numbers()}});
    drawn(body)
}

fn tool_call() -> Value {
    let mut body = user("Add many numbers.");
    body["tools"] =
        json!([{"type": "function", "function": {"name": "add", "parameters": numbers()}}]);
    body["tool_choice"] = json!("required");
    drawn(body)
}

/// A process that runs a tenth of the time, so that its answer can be caught in the middle. Ended for
/// good when dropped, stopped or not.
struct Slowed {
    pid: u32,
    pulse: Child,
}

impl Slowed {
    fn new(provider: &Provider) -> Self {
        let pid = provider.pid;
        let pulse = format!(
            "while kill -STOP {pid} && sleep 0.02 && kill -CONT {pid}; do sleep 0.002; done"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &pulse]).stdin(Stdio::null()).kill_on_drop(true);
        Self { pid, pulse: command.spawn().unwrap() }
    }

    async fn end(&mut self, name: &str) {
        // First: it might let the process go on.
        self.pulse.kill().await.unwrap();
        signal(name, self.pid);
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        // It may be gone already.
        let pid = self.pid.to_string();
        let _ = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    }
}

/// Whether an event brings the client something of the answer.
fn is_content(event: &Event) -> bool {
    let Event::Chunk(chunk) = event else { return false };
    let delta = &chunk["choices"][0]["delta"];
    let text = delta["content"].as_str().unwrap_or_default();
    let arguments = delta["tool_calls"][0]["function"]["arguments"].as_str().unwrap_or_default();
    !text.is_empty() || !arguments.is_empty()
}

/// All that two runs of one request have in common.
fn told(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    for event in &mut events {
        if let Event::Chunk(chunk) = event {
            let members = chunk.as_object_mut().unwrap();
            members.remove("id");
            members.remove("created");
        }
    }
    events
}

/// The stream of `body` when its provider gets that signal in the middle, and the second provider.
async fn lost(market: &Market, body: &Value, name: &str) -> Vec<Event> {
    let mut slowed = Slowed::new(&market.providers[0]);
    let mut stream = market.api.stream(body).await;
    let mut events = Vec::new();
    let mut content = 0;
    while content < LOST_AT {
        let event = stream.next().await.expect("the answer is longer");
        content += usize::from(is_content(&event));
        events.push(event);
    }
    slowed.end(name).await;
    events.extend(stream.rest().await);
    events
}

/// The same where the client has nothing before the answer is whole: a tool call is sent when it is
/// complete, so the provider's own counter says how far it is.
async fn lost_unseen(market: &Market, body: &Value, name: &str) -> Vec<Event> {
    let mut slowed = Slowed::new(&market.providers[0]);
    let losing = async {
        while counter(&market.providers[0], "tokens_generated_total").await < LOST_AT as u64 {
            tokio::task::yield_now().await;
        }
        slowed.end(name).await;
    };
    let (mut stream, ()) = tokio::join!(market.api.stream(body), losing);
    stream.rest().await
}

async fn is_the_lone_answer(body: Value) {
    let is_call = body.get("tools").is_some();
    guarded(async {
        let lone = Market::start(1).await;
        let alone = lone.api.stream(&body).await.rest().await;
        assert_eq!(alone.last(), Some(&Event::Done), "{alone:?}");
        drop(lone);
        for name in ["-KILL", "-STOP"] {
            let market = Market::start(2).await;
            let events = match is_call {
                true => lost_unseen(&market, &body, name).await,
                false => lost(&market, &body, name).await,
            };
            assert_eq!(told(&events), told(&alone), "{name}");
            let ids: Vec<&Value> = events
                .iter()
                .filter_map(|event| match event {
                    Event::Chunk(chunk) => Some(&chunk["id"]),
                    Event::Error(_) | Event::Done => None,
                })
                .collect();
            assert!(ids.iter().all(|id| *id == ids[0]), "{name}: one id: {ids:?}");
            let done = events.iter().filter(|event| **event == Event::Done).count();
            assert_eq!(done, 1, "{name}");
            let second = &market.providers[1];
            assert_eq!(counter(second, "jobs_started_total").await, 1, "{name}: lost too late");
            let made = counter(second, "tokens_generated_total").await;
            // Of what the client has nothing yet all may be made again.
            let kept = if is_call { 0 } else { LOST_AT as u64 - 2 };
            assert!(made <= u64::from(TOKENS) - kept, "{name}: made again: {made}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_free_answer_is_the_lone_one() {
    is_the_lone_answer(free()).await;
}

#[tokio::test]
async fn an_answer_under_a_schema_is_the_lone_one() {
    is_the_lone_answer(schema()).await;
}

#[tokio::test]
async fn a_tool_call_is_the_lone_one() {
    is_the_lone_answer(tool_call()).await;
}

#[tokio::test]
async fn where_nobody_can_go_on_the_client_is_told() {
    guarded(async {
        for name in ["-KILL", "-STOP"] {
            let market = Market::start(1).await;
            let events = lost(&market, &free(), name).await;
            assert!(matches!(events.last(), Some(Event::Error(_))), "{name}: {events:?}");
            assert!(!events.contains(&Event::Done), "{name}");
        }
    })
    .await;
}
