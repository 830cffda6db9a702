//! A node dies or stands still in mid-answer, and another goes on with the very next token.

use serde_json::{Value, json};

use crate::market::{Answer, MODEL, Market, Plan, guarded};

const TOKENS: usize = 60;

fn script() -> Value {
    json!({"tokens": TOKENS, "itl_ms": 15})
}

fn body(more: &Value) -> Value {
    let mut body = json!({"model": MODEL, "stream": true, "seed": 7,
        "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "count"}]});
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    body
}

/// What a client may compare between two answers: all but the id and the time.
fn told(answer: &Answer) -> Vec<Value> {
    let mut chunks = answer.chunks();
    for chunk in &mut chunks {
        let members = chunk.as_object_mut().expect("an object");
        for name in ["id", "created", "system_fingerprint"] {
            members.remove(name);
        }
    }
    chunks
}

async fn lone(script: &Value, more: &Value) -> Answer {
    let market = Plan::new(std::slice::from_ref(script)).start_joined().await;
    market.ask(&body(more)).await
}

/// Who makes the answer that is open now.
async fn busy(market: &Market) -> usize {
    let tokens = market.counted("tokens_generated_total").await;
    tokens.iter().position(|tokens| *tokens > 0).expect("one generates")
}

/// Asks, lets something happen to who answers at token 40, and reads on.
async fn asked_while(market: &Market, signal: &str, more: &Value) -> (Answer, usize) {
    let mut open = market.open(&body(more)).await;
    open.until(" tok39").await;
    let victim = busy(market).await;
    market.providers[victim].process.signal(signal);
    (open.rest().await, victim)
}

#[tokio::test]
async fn killed_or_stalled_at_token_40_of_60_the_client_sees_the_lone_answer() {
    guarded(async {
        let none = json!({});
        let alone = lone(&script(), &none).await;
        assert!(alone.content().ends_with(" tok59"), "{}", alone.text());
        for signal in ["-KILL", "-STOP"] {
            let market = Plan::new(&[script(), script()]).start_joined().await;
            let (answer, victim) = asked_while(&market, signal, &none).await;
            assert_eq!(told(&answer), told(&alone), "{signal}: {}", answer.text());
            let ids: Vec<Value> = answer.chunks().iter().map(|c| c["id"].clone()).collect();
            assert!(ids.iter().all(|id| *id == ids[0]), "{signal}: one id: {ids:?}");
            assert_eq!(answer.events().iter().filter(|event| **event == "[DONE]").count(), 1);
            // The other was asked once, and made no more than what was missing.
            let other = &market.providers[1 - victim];
            assert_eq!(crate::market::counter(other, "jobs_started_total").await, 1);
            let made = crate::market::counter(other, "tokens_generated_total").await;
            assert!(made <= 21, "{signal}: {made} tokens made again");
        }
    })
    .await;
}

#[tokio::test]
async fn in_a_tool_call_too() {
    guarded(async {
        let arguments: Vec<String> = (0..60).map(|n| format!("tok{n}")).collect();
        let call = json!({"name": "count", "arguments": arguments.join(" ")});
        let script = json!({"tool_call": call, "itl_ms": 15});
        let tools = json!([{"type": "function", "function": {"name": "count"}}]);
        let more = json!({ "tools": tools });
        let alone = lone(&script, &more).await;
        let market = Plan::new(&[script.clone(), script]).start_joined().await;
        let mut open = market.open(&body(&more)).await;
        open.until_text("tok39").await;
        let victim = busy(&market).await;
        market.providers[victim].process.signal("-KILL");
        let answer = open.rest().await;
        assert_eq!(told(&answer), told(&alone), "{}", answer.text());
    })
    .await;
}

#[tokio::test]
async fn without_a_second_node_it_ends_with_an_error() {
    guarded(async {
        for signal in ["-KILL", "-STOP"] {
            let market = Plan::new(&[script()]).start_joined().await;
            let (answer, _) = asked_while(&market, signal, &json!({})).await;
            answer.assert_broken();
        }
    })
    .await;
}

#[tokio::test]
async fn where_each_dies_the_fail_overs_are_bounded() {
    guarded(async {
        let cut = json!({"tokens": TOKENS, "itl_ms": 5, "cut_after": 10});
        let market = Plan::new(&vec![cut; 5]).start_joined().await;
        let answer = market.ask(&body(&json!({}))).await;
        answer.assert_broken();
        // Two fail-overs: three nodes gave ten tokens each.
        assert!(answer.content().contains(" tok25"), "{}", answer.text());
        assert!(!answer.content().contains(" tok30"), "{}", answer.text());
        assert_eq!(market.asked().await.iter().sum::<u64>(), 3);
    })
    .await;
}
