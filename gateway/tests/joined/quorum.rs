//! Requests that several operators answer, so that their answers can be compared: what the client gets,
//! what it is told of it, and what becomes of those who are not needed.

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use provider::app::Running;
use provider::engine::scripted::Options;
use provider::offer::{Prices, Terms};
use serde_json::{Value, json};

use crate::harness::{Gateway, MODEL, gateway, gateway_with, node, until};

/// A gateway where all who join count, and where one machine is many networks.
async fn market() -> Gateway {
    gateway(|market| (market.probation_answers, market.loopback_apart) = (0, true)).await
}

/// One that says `text` after so many milliseconds.
async fn says(gateway: &Gateway, text: &str, ttft_ms: u64) -> Running {
    node(&[gateway], json!({"text": text, "ttft_ms": ttft_ms}), |_, _| {}).await
}

fn body(verification: Value, stream: bool) -> Value {
    json!({"model": MODEL, "stream": stream, "verification": verification,
        "messages": [{"role": "user", "content": "go"}]})
}

fn quorum() -> Value {
    json!({"mode": "quorum", "k": 2, "n": 3})
}

async fn whole(gateway: &Gateway, body: &Value) -> (StatusCode, HeaderMap, Value) {
    let (status, headers, bytes) = gateway.ask(body).await;
    let read = serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {bytes:?}"));
    (status, headers, read)
}

/// The text of a stream, what is told of it, and the whole of it.
async fn streamed(gateway: &Gateway, body: &Value) -> (HeaderMap, String, Value, String) {
    let (status, headers, bytes) = gateway.ask(body).await;
    let stream = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    assert_eq!(status, 200, "{stream}");
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: {"));
    let events: Vec<Value> =
        events.map(|event| serde_json::from_str(&format!("{{{event}")).expect("JSON")).collect();
    let text = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
    let text = text.collect::<String>();
    let told = events.last().map(|last| last["quorate"]["verification"].clone());
    (headers, text, told.unwrap_or_default(), stream)
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}

fn count(told: &Value) -> [usize; 2] {
    ["agreed", "dissent"].map(|name| told[name].as_array().map_or(0, Vec::len))
}

#[tokio::test]
async fn the_second_equal_answer_ends_it_and_the_third_is_cancelled() {
    let gateway = market().await;
    let _two = [says(&gateway, "so it is", 0).await, says(&gateway, "so it is", 0).await];
    let slow = says(&gateway, "so it is", 600_000).await;
    gateway.until_offers(3).await;
    let (status, headers, answer) = whole(&gateway, &body(quorum(), false)).await;
    assert_eq!((status, content(&answer)), (StatusCode::OK, "so it is"), "{answer}");
    assert_eq!(headers["x-quorate-verified"], "pass");
    assert_eq!(headers["x-quorate-attempts"], "3");
    let told = &answer["quorate"]["verification"];
    assert_eq!((&told["verified"], &told["class"]), (&json!("pass"), &json!("exact")), "{told}");
    assert_eq!((count(told), &told["n"]), ([2, 0], &json!(3)), "{told}");
    until(|| slow.counters.jobs_cancelled() == 1).await;
    // Who is not needed has done nothing wrong.
    let model = gateway.running.app.market.snapshot().model(MODEL).expect("is sold").clone();
    let is_closed = |offer: &std::sync::Arc<gateway::market::Offer>| {
        offer.learned.gate(u64::MAX / 2) == gateway::route::Gate::Closed
    };
    assert!(model.offers.iter().all(is_closed));
    // The same for a stream, told after the verdict or as it comes.
    for how in ["buffered", "optimistic"] {
        let mut wanted = quorum();
        wanted["stream"] = json!(how);
        let (headers, text, told, stream) = streamed(&gateway, &body(wanted, true)).await;
        assert_eq!(text, "so it is", "{stream}");
        assert_eq!(told["verified"], "pass", "{stream}");
        assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
        assert_eq!(stream.matches("[DONE]").count(), 1, "{stream}");
        let said = if how == "buffered" { "pass" } else { "pending" };
        assert_eq!(headers["x-quorate-verified"], said);
    }
    until(|| slow.counters.jobs_cancelled() == 3).await;
    gateway.running.stop().await;
}

#[tokio::test]
async fn a_liar_loses_and_two_that_collude_win() {
    for (texts, won) in
        [(["a lie", "truth", "truth"], "truth"), (["a lie", "a lie", "truth"], "a lie")]
    {
        let gateway = market().await;
        // The odd one is heard before it is over.
        let odd = if won == "truth" { "a lie" } else { "truth" };
        let mut nodes = Vec::new();
        for text in texts {
            nodes.push(says(&gateway, text, if text == odd { 0 } else { 300 }).await);
        }
        gateway.until_offers(3).await;
        let (status, _, answer) = whole(&gateway, &body(quorum(), false)).await;
        assert_eq!((status, content(&answer)), (StatusCode::OK, won), "{answer}");
        let told = &answer["quorate"]["verification"];
        assert_eq!((&told["verified"], count(told)), (&json!("pass"), [2, 1]), "{told}");
        let named = |name: &str| -> Vec<String> {
            let list = told[name].as_array().expect("a list").iter();
            list.map(|party| party["operator"].as_str().expect("a name").to_owned()).collect()
        };
        let (agreed, dissent) = (named("agreed"), named("dissent"));
        assert!(!agreed.contains(&dissent[0]) && agreed[0] != agreed[1], "{told}");
        gateway.running.stop().await;
    }
}

#[tokio::test]
async fn a_leader_that_loses_is_said_plainly() {
    let gateway = market().await;
    let _nodes = [
        says(&gateway, "a lie", 0).await,
        says(&gateway, "truth", 300).await,
        says(&gateway, "truth", 300).await,
    ];
    gateway.until_offers(3).await;
    let (headers, text, told, stream) = streamed(&gateway, &body(quorum(), true)).await;
    assert_eq!(text, "a lie", "{stream}");
    assert_eq!(headers["x-quorate-verified"], "pending");
    assert_eq!((&told["verified"], &told["reached"]), (&json!("fail"), &json!(false)), "{told}");
    assert_eq!(count(&told), [2, 1], "{told}");
    assert!(told["message"].as_str().expect("a sentence").contains("ANOTHER"), "{told}");
    // Nothing of it comes before the verdict, if that is wanted.
    let mut wanted = quorum();
    wanted["stream"] = json!("buffered");
    let (headers, text, _, stream) = streamed(&gateway, &body(wanted, true)).await;
    assert_eq!((text.as_str(), headers["x-quorate-verified"].as_bytes()), ("truth", &b"pass"[..]));
    assert!(!stream.contains("a lie"), "{stream}");
    gateway.running.stop().await;
}

#[tokio::test]
async fn who_wants_agreement_or_nothing_gets_nothing() {
    let gateway = market().await;
    let mut nodes = Vec::new();
    for text in ["one", "two", "three"] {
        nodes.push(says(&gateway, text, 0).await);
    }
    gateway.until_offers(3).await;
    let (status, headers, answer) = whole(&gateway, &body(quorum(), false)).await;
    assert_eq!(
        (status, &headers["x-quorate-verified"]),
        (StatusCode::OK, &"fail".parse().unwrap())
    );
    let told = &answer["quorate"]["verification"];
    assert_eq!((&told["reached"], count(told)), (&json!(false), [1, 2]), "{told}");
    let mut strict = quorum();
    strict["strict"] = json!(true);
    for stream in [false, true] {
        let (status, _, answer) = whole(&gateway, &body(strict.clone(), stream)).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{answer}");
        let error = &answer["error"];
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("consensus_not_reached"), &json!("verification"))
        );
    }
    gateway.running.stop().await;
}

#[tokio::test]
async fn who_dies_in_the_middle_is_replaced() {
    for stream in [false, true] {
        let gateway = market().await;
        // Of four two die, before the others are done: of any three one has to be replaced.
        let dying = json!({"text": "so it is and was", "cut_after": 2, "itl_ms": 5});
        let mut nodes = Vec::new();
        for _ in 0..2 {
            nodes.push(node(&[&gateway], dying.clone(), |_, _| {}).await);
            nodes.push(says(&gateway, "so it is and was", 300).await);
        }
        gateway.until_offers(4).await;
        let wanted = json!({"mode": "quorum", "k": 2, "n": 3, "stream": "buffered"});
        let (status, headers, bytes) = gateway.ask(&body(wanted, stream)).await;
        assert_eq!(status, 200, "{bytes:?}");
        assert_eq!(headers["x-quorate-verified"], "pass", "{bytes:?}");
        assert_eq!(nodes.iter().map(|node| node.counters.jobs_started()).sum::<u64>(), 4);
        // Where nobody is left to replace them, nobody can say.
        gateway.until_offers(4).await;
        let wanted = json!({"mode": "quorum", "k": 4, "n": 4, "stream": "buffered"});
        let (status, headers, bytes) = gateway.ask(&body(wanted, stream)).await;
        assert_eq!(status, 200, "{bytes:?}");
        assert_eq!(headers["x-quorate-verified"], "none", "{bytes:?}");
        gateway.running.stop().await;
    }
}

#[tokio::test]
async fn all_are_cancelled_when_the_client_leaves() {
    for (stream, how) in [(false, "buffered"), (true, "buffered"), (true, "optimistic")] {
        let gateway = market().await;
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(says(&gateway, "so it is", 600_000).await);
        }
        gateway.until_offers(3).await;
        let mut wanted = quorum();
        wanted["stream"] = json!(how);
        let body = body(wanted, stream);
        let mut sent = Box::pin(gateway.send(&body));
        let all = |count: fn(&Running) -> u64| nodes.iter().map(count).sum::<u64>();
        let started = until(|| all(|node| node.counters.jobs_started()) == 3);
        tokio::select! {
            _ = &mut sent => panic!("there is nothing to answer"),
            () = started => {}
        }
        drop(sent);
        until(|| all(|node| node.counters.jobs_cancelled()) == 3).await;
        gateway.running.stop().await;
    }
}

#[tokio::test]
async fn a_leader_that_waits_for_the_others_is_cancelled_with_them() {
    let gateway = market().await;
    let _leader = says(&gateway, "so it is", 0).await;
    let slow =
        [says(&gateway, "so it is", 600_000).await, says(&gateway, "so it is", 600_000).await];
    gateway.until_offers(3).await;
    let mut answer = gateway.send(&body(quorum(), true)).await.into_body();
    let mut text = String::new();
    while !text.contains("\"finish_reason\":\"stop\"") {
        let frame = answer.frame().await.expect("a frame").expect("bytes");
        text.push_str(&String::from_utf8_lossy(frame.data_ref().expect("data")));
    }
    assert!(!text.contains("[DONE]"), "{text}");
    drop(answer);
    until(|| slow.iter().all(|node| node.counters.jobs_cancelled() == 1)).await;
    gateway.running.stop().await;
}

#[tokio::test]
async fn too_few_to_agree_are_not_asked_at_all() {
    let refused = |answer: &Value, word: &str| {
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(message.contains("verification.mode") && message.contains(word), "{answer}");
        assert_eq!(answer["error"]["code"], "no_provider");
    };
    // Two operators; three on one network; three that nobody knows.
    let few = market().await;
    let near = gateway(|market| market.probation_answers = 0).await;
    let new = gateway(|market| market.loopback_apart = true).await;
    for (gateway, count, found) in
        [(&few, 2, "there are 2"), (&near, 3, "are 1"), (&new, 3, "are 0")]
    {
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(says(gateway, "so it is", 0).await);
        }
        gateway.until_offers(count).await;
        for stream in [false, true] {
            let (status, _, answer) = whole(gateway, &body(quorum(), stream)).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
            refused(&answer, found);
        }
        // Nobody scores here.
        let (status, _, answer) = whole(gateway, &body(json!({"mode": "verify"}), false)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        refused(&answer, "can score");
        assert!(nodes.iter().all(|node| node.counters.jobs_started() == 0));
    }
    for gateway in [few, near, new] {
        gateway.running.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_compared_or_paid_is_refused() {
    let gateway = market().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(
            node(
                &[&gateway],
                json!({"status": 400, "body": "{\"error\":{\"message\":\"no\"}}"}),
                |_, _| {},
            )
            .await,
        );
    }
    gateway.until_offers(3).await;
    for (more, param) in [
        (json!({"n": 2}), "verification"),
        (json!({"verification": {"mode": "quorum", "n": 6}}), "verification.n"),
        (json!({"verification": {"mode": "verify", "k": 6}}), "verification.k"),
        (json!({"verification": {"mode": "quorum", "k": 4, "n": 3}}), "verification.k"),
    ] {
        let mut body = body(quorum(), false);
        body.as_object_mut().expect("an object").extend(more.as_object().expect("members").clone());
        let (status, _, answer) = whole(&gateway, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(answer["error"]["param"], param, "{answer}");
    }
    let asked = || nodes.iter().map(|node| node.counters.jobs_started()).sum::<u64>();
    assert_eq!(asked(), 0);
    // What two of them say is wrong with the request is so; nobody else is bothered with it.
    let (status, _, answer) = whole(&gateway, &body(quorum(), false)).await;
    assert_eq!((status, &answer["error"]["message"]), (StatusCode::BAD_REQUEST, &json!("no")));
    gateway.running.stop().await;
}

#[tokio::test]
async fn what_a_request_may_cost_is_for_all_answers_together() {
    let gateway = market().await;
    // A dollar for a million tokens.
    let prices = Prices { prompt: 1_000_000, completion: 1_000_000, cached: None };
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let terms = Terms { prices, ..Terms::default() };
        let change = |joining: &mut provider::app::Joining, _: &mut Options| joining.terms = terms;
        nodes.push(node(&[&gateway], json!({"text": "so it is"}), change).await);
    }
    gateway.until_offers(3).await;
    let mut body = body(quorum(), false);
    body["max_tokens"] = json!(1000);
    for (dollars, expected) in [(0.0025, StatusCode::SERVICE_UNAVAILABLE), (0.006, StatusCode::OK)]
    {
        body["provider"] = json!({"max_price": {"request": dollars}});
        let (status, _, answer) = whole(&gateway, &body).await;
        assert_eq!(status, expected, "{answer}");
        if status != StatusCode::OK {
            let message = answer["error"]["message"].as_str().expect("a message");
            assert!(message.contains("provider.max_price.request"), "{answer}");
        }
    }
    gateway.running.stop().await;
}

#[tokio::test]
async fn another_model_has_its_turn_where_too_few_sell_the_first() {
    let gateway = gateway_with(|settings| {
        let mut other = settings.models[0].clone();
        (other.id, other.weights_ids) = ("acme/other:1".to_owned(), Vec::new());
        settings.models.push(other);
        (settings.market.probation_answers, settings.market.loopback_apart) = (0, true);
    })
    .await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(says(&gateway, "so it is", 0).await);
    }
    gateway.until_offers(3).await;
    let mut body = body(quorum(), false);
    (body["model"], body["models"]) = (json!("acme/other:1"), json!([MODEL]));
    let (status, headers, answer) = whole(&gateway, &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        (&answer["model"], headers["x-quorate-verified"].as_bytes()),
        (&json!(MODEL), &b"pass"[..])
    );
    gateway.running.stop().await;
}
