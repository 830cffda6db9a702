//! Nodes that want more requests than they should get, or want others to get none.

use gateway::market::testing::Node;
use http::StatusCode;
use openapi::sign::SecretKey;
use serde_json::json;

use crate::choice::place;
use crate::harness::acme;

const FREE: (u64, u64) = (0, 0);
const DEAR: (u64, u64) = (50_000_000, 50_000_000);

fn node(number: u64, price: (u64, u64)) -> Node {
    Node { price, ..Node::new(number, acme()) }
}

#[tokio::test]
async fn one_operators_nodes_are_one_word_against_a_request() {
    let refusing = json!({"status": 400});
    let scripts = [refusing.clone(), refusing, json!({})];
    let mut place = place("probation_answers = 0", &scripts).await;
    for number in 0..2 {
        let operator = SecretKey::from_seed(&[77; 32]);
        place.join_as(number, &Node { operator, ..node(number as u64, FREE) });
    }
    place.join_as(2, &node(2, DEAR));
    for _ in 0..5 {
        let (status, headers, body) = place.ask(json!({})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(headers["x-quorate-provider"], *place.name(2));
    }
    place.members.remove(2);
    place.market().publish();
    let (status, ..) = place.ask(json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "there is nobody else to ask");
}

#[tokio::test]
async fn who_refuses_what_others_answer_is_not_asked_first_for_long() {
    let mut place = place("probation_answers = 0", &[json!({"status": 400}), json!({})]).await;
    place.join_as(0, &node(0, FREE));
    place.join_as(1, &node(1, DEAR));
    let counts = place.ask_often(200, json!({})).await;
    assert_eq!(counts.get(&place.name(1)), Some(&200), "{counts:?}");
    let asked = place.members[0].report().requests;
    assert!((1..100).contains(&asked), "{asked} of 200 went there first");
}

#[tokio::test]
async fn who_is_always_at_its_limit_is_left_alone_whatever_it_says() {
    let limited = json!({"status": 429, "retry_after": "0"});
    let mut place = place("probation_answers = 0", &[limited, json!({})]).await;
    place.join_as(0, &node(0, FREE));
    place.join_as(1, &node(1, DEAR));
    let counts = place.ask_often(100, json!({})).await;
    assert_eq!(counts.get(&place.name(1)), Some(&100), "{counts:?}");
    let asked = place.members[0].report().requests;
    assert!((1..20).contains(&asked), "{asked} of 100 went there first");
}

#[tokio::test]
async fn newcomers_are_tried_at_a_price_that_could_be_the_best() {
    let scripts = [json!({}), json!({}), json!({})];
    let mut place = place("probation_share = 0.5\nprobation_answers = 1000000", &scripts).await;
    place.join(0);
    place.graduate(0);
    // A dollar a token.
    place.join_as(1, &node(1, (1_000_000_000_000, 1_000_000_000_000)));
    place.join(2);
    let counts = place.ask_often(100, json!({})).await;
    assert_eq!(counts.get(&place.name(1)), None, "{counts:?}");
    assert!((30..70).contains(&counts[&place.name(2)]), "it keeps no other out: {counts:?}");
    let only = json!({"provider": {"only": [place.name(1)]}});
    assert_eq!(place.ask(only).await.0, StatusCode::OK, "who asks for it gets it");
}
