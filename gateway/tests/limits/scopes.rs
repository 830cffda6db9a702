//! What a key may reach: models, regions, providers.

use http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{KEY, MODEL, chat, get, market};

/// Statuses and codes of a completion for `model`.
async fn asked(rules: &str, model: &str) -> (u16, String) {
    let market = market(rules, json!({"tokens": 1})).await;
    let answer = market.ask(&chat(json!({"model": model}))).await;
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn a_model_outside_is_forbidden_by_whatever_name() {
    let forbidden = (403, "model_not_allowed".to_owned());
    for (rules, model, expected) in [
        ("models = [\"acme/*\"]", MODEL, (200, String::new())),
        ("models = [\"acme/*\"]", "gpt-test", (200, String::new())),
        ("models = [\"gpt-test\"]", "gpt-test", (200, String::new())),
        ("models = [\"gpt-test\"]", "gpt-test:floor", (200, String::new())),
        ("models = [\"gpt-test\"]", MODEL, forbidden.clone()),
        ("models = [\"other\"]", MODEL, forbidden.clone()),
        ("models = [\"other\"]", "gpt-test", forbidden.clone()),
        ("models = [\"other\"]", "acme/test:1@p", forbidden.clone()),
        ("models = [\"other\"]", "nope", (404, "model_not_found".to_owned())),
    ] {
        assert_eq!(asked(rules, model).await, expected, "{rules} {model}");
    }
}

#[tokio::test]
async fn a_fall_back_outside_is_forbidden_too() {
    let market = market("models = [\"gpt-test\"]", json!({})).await;
    let answer = market.ask(&chat(json!({"model": "gpt-test", "models": [MODEL]}))).await;
    assert_eq!((answer.status, &*answer.code()), (StatusCode::FORBIDDEN, "model_not_allowed"));
    assert_eq!(answer.json()["error"]["type"], "permission_error");
    assert_eq!(market.provider.counters.jobs_started(), 0);
}

#[tokio::test]
async fn regions_and_providers_outside_are_forbidden() {
    for (rules, expected) in [
        ("regions = [\"eu\"]\nproviders = [\"op\"]", (200, "")),
        ("providers = [\"p\"]", (200, "")),
        ("regions = [\"us\"]", (403, "region_not_allowed")),
        ("providers = [\"q\"]", (403, "provider_not_allowed")),
    ] {
        let (status, code) = asked(rules, MODEL).await;
        assert_eq!((status, &*code), expected, "{rules}");
    }
}

#[tokio::test]
async fn of_several_providers_only_those_in_the_scope_are_asked() {
    let outside = provider::testing::scripted(MODEL, json!({"tokens": 1})).await.expect("serves");
    let second = format!(
        "providers = [\"p\"]\n[[upstream]]\nid = \"q\"\nregion = \"us\"\nallow_private = true\n\
         base_url = \"http://{}/v1\"\nmodels = [{{ id = {MODEL:?} }}]",
        outside.addr
    );
    let market = market(&second, json!({"tokens": 1})).await;
    for _ in 0..8 {
        let answer = market.ask(&chat(json!({}))).await;
        assert_eq!(answer.header("x-quorate-provider"), "p");
    }
    assert_eq!(outside.counters.jobs_started(), 0);
    // The client's own policy narrows the key's, and never widens it.
    let answer = market.ask(&chat(json!({"provider": {"only": ["q"]}}))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = market.ask(&chat(json!({"model": format!("{MODEL}@q")}))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(outside.counters.jobs_started(), 0);
    let path = format!("/v1/models/{MODEL}/endpoints");
    let endpoints = get(market.gateway.addr, KEY, &path).await.json();
    let providers: Vec<&Value> =
        endpoints["data"].as_array().expect("a list").iter().map(|e| &e["provider"]).collect();
    assert_eq!(providers, ["p"]);
}

#[tokio::test]
async fn the_list_names_what_the_key_may_use() {
    for (rules, count) in [
        ("models = [\"acme/*\"]", 1),
        ("models = [\"other\"]", 0),
        ("regions = [\"us\"]", 0),
        ("", 1),
    ] {
        let market = market(rules, json!({})).await;
        let list = get(market.gateway.addr, KEY, "/v1/models").await.json();
        assert_eq!(list["data"].as_array().expect("a list").len(), count, "{rules}");
        let path = format!("/v1/models/{MODEL}");
        let one = get(market.gateway.addr, KEY, &path).await;
        let expected = if count == 1 { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(one.status, expected, "{rules}");
    }
}
