//! The life of keys made at run time, through the admin API.

use gateway::app::App;
use gateway::auth::{Keys, Terms};
use gateway::config::Mode;
use gateway::store::{self, Record};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

use crate::harness::{KEY, MODEL, admin, ask, call, chat, get, market, read, settings, start};

const PATH: &str = "/admin/v1/keys";

#[tokio::test]
async fn a_key_opens_as_soon_as_it_is_made_and_no_longer_than_until_it_is_revoked() {
    let market = market("", json!({"tokens": 1})).await;
    let addr = market.gateway.addr;
    let made = market.admin(Method::POST, PATH, r#"{"name": "bench 1"}"#).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let made = made.json();
    let secret = made["secret"].as_str().expect("text").to_owned();
    assert!(secret.starts_with("qk_") && secret.len() == 67);
    assert_eq!(ask(addr, &secret, &chat(json!({}))).await.status, StatusCode::OK);

    let list = market.admin(Method::GET, PATH, "").await;
    let text = String::from_utf8(list.body.to_vec()).expect("text");
    assert!(!text.contains(&secret[8..60]), "a list tells no key: {text}");
    let list = list.json();
    assert_eq!(list["data"][0]["name"], "alice");
    assert_eq!(list["data"][0]["source"], "config");
    assert_eq!(list["data"][1], made["key"]);
    assert_eq!(list["data"][1]["created"], 1_767_225_600);
    let hint = format!("{}…{}", &secret[..7], &secret[63..]);
    assert_eq!(list["data"][1]["hint"], hint);

    let path = format!("{PATH}/bench%201");
    let revoked = market.admin(Method::DELETE, &path, "").await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert_eq!(revoked.json()["id"], made["key"]["id"]);
    let refused = ask(addr, &secret, &chat(json!({}))).await;
    assert_eq!((refused.status, &*refused.code()), (StatusCode::UNAUTHORIZED, "invalid_api_key"));
    let again = market.admin(Method::DELETE, &path, "").await;
    assert_eq!((again.status, &*again.code()), (StatusCode::NOT_FOUND, "key_not_found"));
    // Its name is free again.
    let other = market.admin(Method::POST, PATH, r#"{"name": "bench 1"}"#).await;
    assert_eq!(other.status, StatusCode::OK);
    assert_ne!(other.json()["secret"], secret);
}

#[tokio::test]
async fn limits_and_scope_are_kept_over_a_restart_and_so_is_a_revocation() {
    let provider = provider::testing::scripted(MODEL, json!({"tokens": 1})).await.expect("serves");
    let data = tempfile::tempdir().expect("a folder");
    let text = settings(data.path(), provider.addr, "");
    let (gateway, _) = start(&text).await;
    let wanted = json!({
        "name": "limited", "requests_per_minute": 2, "tokens_per_minute": 1000,
        "concurrent_streams": 3, "choices_max": 4, "hedges_max": 0,
        "models": ["acme/*"], "regions": ["eu"], "providers": ["p"],
    });
    let made = admin(&gateway, data.path(), Method::POST, PATH, &wanted.to_string()).await.json();
    let gone = admin(&gateway, data.path(), Method::POST, PATH, r#"{"name": "gone"}"#).await.json();
    let gone_path = format!("{PATH}/{}", gone["key"]["id"].as_str().expect("an id"));
    admin(&gateway, data.path(), Method::DELETE, &gone_path, "").await;
    gateway.stop().await;

    let (gateway, _) = start(&text).await;
    let secret = |made: &Value| made["secret"].as_str().expect("text").to_owned();
    let own = get(gateway.addr, &secret(&made), "/v1/key").await.json();
    assert_eq!(own["name"], "limited");
    assert_eq!(own["limits"], made["key"]["limits"]);
    assert_eq!(own["scope"], made["key"]["scope"]);
    assert_eq!(
        own["requests"]["remaining"], 2,
        "asking costs nothing, and what was used is forgotten"
    );
    for status in [200, 200, 429] {
        let answer = ask(gateway.addr, &secret(&made), &chat(json!({}))).await;
        assert_eq!(answer.status.as_u16(), status);
    }
    let refused = ask(gateway.addr, &secret(&gone), &chat(json!({}))).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_without_keys_lets_nobody_in_until_the_first_is_made() {
    let provider = provider::testing::scripted(MODEL, json!({"tokens": 1})).await.expect("serves");
    let data = tempfile::tempdir().expect("a folder");
    let (gateway, _) = start(&settings(data.path(), provider.addr, "")).await;
    assert_eq!(get(gateway.addr, KEY, "/v1/models").await.status, StatusCode::UNAUTHORIZED);
    let made =
        admin(&gateway, data.path(), Method::POST, PATH, r#"{"name": "first"}"#).await.json();
    let secret = made["secret"].as_str().expect("text");
    assert_eq!(get(gateway.addr, secret, "/v1/models").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_is_told_by_its_member() {
    let market = market("", json!({})).await;
    for (body, param) in [
        (r#"{}"#, Some("name")),
        (r#"{"name": ""}"#, Some("name")),
        (r#"{"name": "alice"}"#, Some("name")),
        (r#"{"name": "key_00000000000000000000000000000001"}"#, Some("name")),
        (r#"{"name": "a", "requests_per_minute": 0}"#, Some("requests_per_minute")),
        (r#"{"name": "a", "choices_max": 200}"#, Some("choices_max")),
        (r#"{"name": "a", "hedges_max": 3}"#, Some("hedges_max")),
        (r#"{"name": "a", "models": []}"#, Some("models")),
        (r#"{"name": "a", "regions": ["e*"]}"#, Some("regions")),
        (r#"{"name": "a", "tokens_per_minute": -1}"#, None),
        (r#"{"name": "a", "per_hour": 1}"#, None),
        ("{", None),
        ("", None),
    ] {
        let answer = market.admin(Method::POST, PATH, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let error = &answer.json()["error"];
        assert_eq!(error["param"].as_str(), param, "{body}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    for (method, path, status) in [
        (Method::DELETE, "/admin/v1/keys/alice", 400),
        (Method::DELETE, "/admin/v1/keys/nobody", 404),
        (Method::DELETE, "/admin/v1/keys/%FF", 400),
        (Method::GET, "/admin/v1/keys?limit=0", 400),
        (Method::GET, "/admin/v1/keys?limit=x", 400),
        (Method::GET, "/admin/v1/keys?after=nothing", 400),
        (Method::GET, "/admin/v1/keys?what=1", 400),
        (Method::PUT, "/admin/v1/keys", 405),
    ] {
        let answer = market.admin(method.clone(), path, "").await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {answer:?}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    assert_eq!(get(market.gateway.addr, KEY, "/v1/models").await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_the_token_manages_keys() {
    let market = market("", json!({})).await;
    let (addr, admin_addr) = (market.gateway.addr, market.gateway.admin_addr);
    let refused = get(admin_addr, KEY, PATH).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let body = bytes::Bytes::from_static(br#"{"name": "evil"}"#);
    let refused = read(call(admin_addr, "qa_x", Method::POST, PATH, body).await).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let elsewhere = get(addr, KEY, PATH).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND, "clients have no such path");
}

#[tokio::test]
async fn keys_are_listed_page_by_page_in_the_order_in_which_they_were_made() {
    let market = market("", json!({})).await;
    let mut names = Vec::new();
    for number in 0..5 {
        market.clock.advance(std::time::Duration::from_millis(1));
        let name = format!("key {number}");
        market.admin(Method::POST, PATH, &json!({"name": name}).to_string()).await;
        names.push(name);
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = market.admin(Method::GET, &format!("{PATH}?limit=2{after}"), "").await.json();
        let data = page["data"].as_array().expect("a list");
        let stored = data.iter().filter(|key| key["source"] == "store");
        let before = seen.len();
        seen.extend(stored.map(|key| key["name"].as_str().expect("text").to_owned()));
        assert!(seen.len() - before <= 2);
        after = format!("&after={}", data.last().expect("one")["id"].as_str().expect("an id"));
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen, names);
}

#[tokio::test]
async fn no_more_keys_are_kept_than_the_limit_says() {
    let market = market("[limits]\nstored_keys = 2", json!({})).await;
    for (name, status) in [("a", 200), ("b", 200), ("c", 400)] {
        let answer = market.admin(Method::POST, PATH, &json!({"name": name}).to_string()).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn an_open_gateway_has_no_keys_to_manage() {
    let data = tempfile::tempdir().expect("a folder");
    let addr = "127.0.0.1:1".parse().expect("an address");
    let (gateway, _) = start(&settings(data.path(), addr, "[auth]\nmode = \"open\"")).await;
    for (method, body) in [(Method::POST, r#"{"name": "a"}"#), (Method::GET, "")] {
        let answer = admin(&gateway, data.path(), method, PATH, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let own = get(gateway.addr, "any", "/v1/key").await.json();
    assert_eq!((&own["name"], &own["requests"]), (&json!("open"), &Value::Null));
}

/// A store whose disk is full.
#[derive(Debug)]
struct Full;

impl store::Keys for Full {
    fn each(&self, _: &mut dyn FnMut(Record)) -> Result<u64, store::Error> {
        Ok(0)
    }

    fn insert(&self, _: &[Record], _: u64) -> Result<(), store::Error> {
        Err(store::Error::Failed { path: PathBuf::from("/secret/place"), cause: "no space".into() })
    }

    fn remove(&self, _: &str) -> Result<Record, store::Error> {
        Err(store::Error::Failed { path: PathBuf::from("/secret/place"), cause: "no space".into() })
    }

    fn list(&self, _: Option<uuid::Uuid>, _: usize) -> Result<Vec<Record>, store::Error> {
        Err(store::Error::Failed { path: PathBuf::from("/secret/place"), cause: "no space".into() })
    }
}

#[tokio::test]
async fn a_store_that_fails_makes_no_key_and_tells_no_detail() {
    let data = tempfile::tempdir().expect("a folder");
    let addr = "127.0.0.1:1".parse().expect("an address");
    let text = settings(data.path(), addr, "");
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    let mut app = App::new(settings).expect("an app");
    let terms = Terms { stored_max: 10, ..Terms::default() };
    app.keys = Arc::new(Keys::new(Mode::Keys, &[], Some(Box::new(Full)), terms).expect("keys"));
    let gateway = gateway::serve_app(app).await.expect("serves");
    for (method, path, body) in [
        (Method::POST, PATH, r#"{"name": "a"}"#),
        (Method::DELETE, "/admin/v1/keys/a", ""),
        (Method::GET, PATH, ""),
    ] {
        let answer = admin(&gateway, data.path(), method, path, body).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.code(), "internal");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{answer:?}");
    }
    assert!(gateway.app.keys.is_empty(), "a key that could not be kept does not open either");
}

#[tokio::test]
async fn a_key_is_in_no_debug_text_and_not_in_the_store() {
    let market = market("", json!({})).await;
    let made = market.admin(Method::POST, PATH, r#"{"name": "canary"}"#).await.json();
    let secret = made["secret"].as_str().expect("text");
    let middle = &secret[8..60];
    let shown = format!("{:?} {:?}", market.gateway.app, market.gateway.app.keys);
    assert!(shown.contains("canary") && !shown.contains(middle), "{shown}");
    let stored = std::fs::read(market.data.path().join("keys.redb")).expect("the store");
    let has = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(has(b"canary"), "it is the store");
    assert!(!has(middle.as_bytes()), "which holds digests alone");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(market.data.path().join("keys.redb")).expect("exists").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}
