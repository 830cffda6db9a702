//! Answers that are verified while the client waits: scored by others, or given several times over.

use provider::engine::toy::Cheat;
use serde_json::{Value, json};

use crate::harness::{Gateway, Node, gateway, long};

/// All who join count, and one machine is many networks.
async fn market(cheats: &[Option<Cheat>]) -> (Gateway, Vec<Node>) {
    let gateway = gateway(|settings| {
        settings.market.probation_answers = 0;
        settings.market.loopback_apart = true;
    })
    .await;
    let mut nodes = Vec::new();
    for cheat in cheats {
        nodes.push(gateway.node(*cheat).await);
    }
    gateway.until_offers(cheats.len()).await;
    (gateway, nodes)
}

/// What is told of the answer, or the error.
async fn told(gateway: &Gateway, verification: Value, by: Option<&Node>, number: usize) -> Value {
    let mut body = long();
    body["stream"] = json!(false);
    body["messages"][0]["content"] = json!(format!("tell me of {number}"));
    body["verification"] = verification;
    if let Some(node) = by {
        body["provider"] = json!({"order": [gateway.name(node)], "allow_fallbacks": true});
    }
    let (_, bytes) = gateway.ask(&body).await;
    let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
    match answer["error"].is_object() {
        true => answer,
        false => answer["quorate"]["verification"].clone(),
    }
}

#[tokio::test]
async fn scorers_let_the_honest_stand_and_find_who_is_not() {
    let verify = json!({"mode": "verify", "k": 2});
    let (gateway, nodes) = market(&[None, None, None]).await;
    for number in 0..3 {
        let told = told(&gateway, verify.clone(), Some(&nodes[0]), number).await;
        assert_eq!(told["verified"], "pass", "{told}");
        assert_eq!(told["scorers"].as_array().map(Vec::len), Some(1), "{told}");
        assert_ne!(told["scorers"][0]["operator"], told["agreed"][0]["operator"], "{told}");
    }
    let (gateway, nodes) = market(&[Some(Cheat::WrongModel), None, None]).await;
    let told_of = told(&gateway, verify, Some(&nodes[0]), 0).await;
    assert_eq!(
        (&told_of["verified"], &told_of["reached"]),
        (&json!("fail"), &json!(false)),
        "{told_of}"
    );
    assert_eq!(told_of["at_fault"].as_array().map(Vec::len), Some(1), "{told_of}");
    let strict = json!({"mode": "verify", "k": 2, "strict": true});
    let refused = told(&gateway, strict, Some(&nodes[0]), 1).await;
    assert_eq!(refused["error"]["code"], "consensus_not_reached", "{refused}");
}

#[tokio::test]
async fn honest_nodes_draw_alike_and_a_smaller_model_does_not() {
    let quorum = json!({"mode": "quorum", "k": 2, "n": 3});
    let (gateway, _nodes) = market(&[None, None, Some(Cheat::WrongModel)]).await;
    for number in 0..5 {
        let told = told(&gateway, quorum.clone(), None, number).await;
        assert_eq!(told["verified"], "pass", "{told}");
        assert_eq!(told["agreed"].as_array().map(Vec::len), Some(2), "{told}");
    }
}

/// Two of two that do not agree: a third, who wrote neither, says whose answer is the model's.
#[tokio::test]
async fn a_scorer_says_whose_answer_is_not_the_models() {
    let (gateway, _nodes) = market(&[None, Some(Cheat::WrongModel), None, None]).await;
    let mut found = 0;
    for number in 0..6 {
        let wanted = json!({"mode": "quorum", "k": 2, "n": 2});
        let told = told(&gateway, wanted, None, number).await;
        // It is replaced by others until two agree.
        assert_eq!(told["verified"], "pass", "{told}");
        found += told["at_fault"].as_array().map_or(0, Vec::len);
    }
    assert!(found > 0, "nobody was found at fault");
}
