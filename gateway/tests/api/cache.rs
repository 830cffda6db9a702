//! The response cache: what is given again, to whom, for how long, and what never is.

use axum::body::Body;
use gateway::app::App;
use gateway::auth::{Scope, mint};
use gateway::clock::Manual;
use gateway::config;
use gateway::http::Edge;
use gateway::limit::Rules;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use provider::app::Running;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

use crate::support::{Answer, KEY, NOW_MS, ask, request};

const MODEL: &str = "acme/test:1";
const OTHER_KEY: &str = "qk_other_0123456789";
const LIMITED_KEY: &str = "qk_limited_0123456789";
/// A key that always wants the cache.
const CACHED_KEY: &str = "qk_cached_0123456789";

struct Cached {
    app: Arc<App>,
    edge: Edge,
    clock: Arc<Manual>,
    provider: Running,
    _data: TempDir,
}

/// A gateway with a cache of these settings before one scripted provider.
async fn cached(settings: &str, script: Value) -> Cached {
    let provider = provider::testing::scripted(MODEL, script).await.expect("serves");
    let data = tempfile::tempdir().expect("a folder");
    let text = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        admin_listen = "127.0.0.1:0"
        data_dir = {:?}
        [[key]]
        name = "alice"
        key = "{KEY}"
        [[key]]
        name = "bob"
        key = "{OTHER_KEY}"
        [[key]]
        name = "dora"
        key = "{LIMITED_KEY}"
        tokens_per_minute = 1000
        [[key]]
        name = "carol"
        key = "{CACHED_KEY}"
        cache = true
        [[upstream]]
        id = "p"
        base_url = "http://{}/v1"
        allow_private = true
        models = [{{ id = "{MODEL}" }}]
        [cache]
        {settings}
        "#,
        data.path(),
        provider.addr,
    );
    let settings = config::parse(&text, &|_| None).expect("a valid configuration");
    let clock = Arc::new(Manual::new(NOW_MS));
    let app = Arc::new(App::with_clock(settings, clock.clone()).expect("a market"));
    Cached { edge: Edge::client(&app), app, clock, provider, _data: data }
}

/// A chat request that is the same each time.
fn chat(more: Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]});
    let members = body.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    body
}

fn post(key: &str, body: &Value, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = request(Method::POST, "/v1/chat/completions")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_string())).expect("a request")
}

const ON: [(&str, &str); 1] = [("x-quorate-cache", "on")];

impl Cached {
    async fn ask(&self, body: &Value) -> Answer {
        self.ask_as(KEY, body, &ON).await
    }

    async fn ask_as(&self, key: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        ask(&self.edge, post(key, body, headers)).await
    }

    fn jobs(&self) -> u64 {
        self.provider.counters.jobs_started()
    }
}

fn said(answer: &Answer) -> &str {
    answer.header("x-quorate-cache")
}

#[tokio::test]
async fn a_kept_answer_is_given_again_byte_by_byte_and_costs_no_provider() {
    let cached = cached("enabled = true", json!({"tokens": 5, "comment_every": 2})).await;
    let usage = json!({"include_usage": true});
    for body in [
        chat(json!({"temperature": 0})),
        chat(json!({"seed": 7, "n": 2, "logprobs": true})),
        chat(json!({"seed": 7, "stream": true, "stream_options": usage})),
    ] {
        let before = cached.jobs();
        let first = cached.ask(&body).await;
        assert_eq!((first.status.as_u16(), said(&first)), (200, "miss"), "{body}");
        let after = cached.jobs();
        assert!(after > before);
        let second = cached.ask(&body).await;
        assert_eq!((second.status.as_u16(), said(&second)), (200, "hit"), "{body}");
        assert_eq!(second.body, first.body);
        assert_eq!(second.header("content-type"), first.header("content-type"));
        assert_eq!(second.header("x-quorate-provider"), "p");
        assert_eq!(
            (first.header("x-quorate-attempts"), second.header("x-quorate-attempts")),
            ("1", "0")
        );
        assert_ne!(second.header("x-request-id"), first.header("x-request-id"));
        assert_eq!(cached.jobs(), after, "{body}");
    }
    let text = cached.app.metrics.encode();
    for line in [
        r#"quorate_cache_total{outcome="hit"} 3"#,
        r#"quorate_cache_total{outcome="miss"} 3"#,
        r#"quorate_requests_total{endpoint="chat",status_class="2xx",outcome="ok"} 6"#,
        r#"quorate_attempts_total{outcome="ok"} 3"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(!format!("{:?}", cached.app).contains("tok1"), "answers stay out of debug texts");
}

#[tokio::test]
async fn no_two_keys_and_no_two_requests_share_an_answer() {
    let cached = cached("enabled = true", json!({"tokens": 2})).await;
    let body = chat(json!({"seed": 1}));
    assert_eq!(said(&cached.ask(&body).await), "miss");
    assert_eq!(said(&cached.ask_as(OTHER_KEY, &body, &ON).await), "miss");
    assert_eq!(said(&cached.ask_as(OTHER_KEY, &body, &ON).await), "hit");
    for other in [chat(json!({"seed": 2})), chat(json!({"seed": 1, "stream": true}))] {
        assert_eq!(said(&cached.ask(&other).await), "miss", "{other}");
    }
    let policy = [ON[0], ("x-quorate-provider", "{\"only\":[\"p\"]}")];
    assert_eq!(said(&cached.ask_as(KEY, &body, &policy).await), "miss");
    assert_eq!(said(&cached.ask_as(KEY, &body, &policy).await), "hit");
    assert_eq!(said(&cached.ask(&body).await), "hit");
    assert_eq!(cached.jobs(), 5);
}

#[tokio::test]
async fn the_next_key_of_a_name_does_not_inherit_its_answers() {
    let cached = cached("enabled = true", json!({"tokens": 2})).await;
    let body = chat(json!({"seed": 1}));
    let made = || {
        let (rules, scope) = (Rules::default(), Scope::default());
        let minted = mint("dave".to_owned(), rules, scope, NOW_MS).expect("random numbers");
        let (_, key) = cached.app.keys.create(minted).expect("made");
        key.expose_secret().to_owned()
    };
    let first = made();
    assert_eq!(said(&cached.ask_as(&first, &body, &ON).await), "miss");
    assert_eq!(said(&cached.ask_as(&first, &body, &ON).await), "hit");
    cached.app.keys.revoke("dave").expect("revoked");
    let second = made();
    assert_eq!(said(&cached.ask_as(&second, &body, &ON).await), "miss");
    assert_eq!(cached.jobs(), 2);
}

#[tokio::test]
async fn who_wants_it_and_for_what() {
    let cached = cached("enabled = true", json!({"tokens": 2})).await;
    let (fixed, free) = (chat(json!({"seed": 1})), chat(json!({})));
    let off = [("x-quorate-cache", "off")];
    for (key, body, headers, want) in [
        (KEY, &fixed, &[][..], ""),
        (KEY, &fixed, &off, ""),
        (KEY, &free, &ON, "bypass"),
        (CACHED_KEY, &free, &[], "bypass"),
        (CACHED_KEY, &fixed, &[], "miss"),
        (CACHED_KEY, &fixed, &off, ""),
        (CACHED_KEY, &fixed, &[], "hit"),
        (KEY, &fixed, &ON, "miss"),
    ] {
        let answer = cached.ask_as(key, body, headers).await;
        assert_eq!(
            (answer.status.as_u16(), said(&answer)),
            (200, want),
            "{key} {body} {headers:?}"
        );
    }
    for not_fixed in [json!({"temperature": 0.1}), json!({"temperature": null, "seed": null})] {
        assert_eq!(said(&cached.ask(&chat(not_fixed)).await), "bypass");
    }
    let wrong = cached.ask_as(KEY, &fixed, &[("x-quorate-cache", "maybe")]).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["error"]["param"], "x-quorate-cache");
}

#[tokio::test]
async fn a_cache_that_is_not_enabled_is_passed_by() {
    let cached = cached("", json!({"tokens": 2})).await;
    for _ in 0..2 {
        let answer = cached.ask(&chat(json!({"seed": 1}))).await;
        assert_eq!((answer.status.as_u16(), said(&answer)), (200, "bypass"));
    }
    assert_eq!((cached.jobs(), cached.app.cache.len_bytes()), (2, 0));
    assert!(cached.app.settings.warnings().iter().any(|warning| warning.contains("carol")));
}

#[tokio::test]
async fn a_hit_costs_no_tokens() {
    let cached = cached("enabled = true", json!({"tokens": 50})).await;
    let left = async || {
        let models = request(Method::GET, "/v1/models");
        let models = models.header("authorization", format!("Bearer {LIMITED_KEY}"));
        let answer = ask(&cached.edge, models.body(Body::empty()).expect("a request")).await;
        answer.header("x-ratelimit-remaining-tokens").parse::<u32>().expect("a number")
    };
    let body = chat(json!({"seed": 1, "max_tokens": 60}));
    let before = left().await;
    assert_eq!(said(&cached.ask_as(LIMITED_KEY, &body, &ON).await), "miss");
    let after = left().await;
    assert!(after < before, "{after} of {before}");
    assert_eq!(said(&cached.ask_as(LIMITED_KEY, &body, &ON).await), "hit");
    assert_eq!(left().await, after);
}

#[tokio::test]
async fn an_answer_grows_too_old() {
    let cached = cached("enabled = true\nttl_ms = 60000", json!({"tokens": 2})).await;
    let body = chat(json!({"seed": 1}));
    assert_eq!(said(&cached.ask(&body).await), "miss");
    cached.clock.advance(Duration::from_millis(59_999));
    assert_eq!(said(&cached.ask(&body).await), "hit");
    cached.clock.advance(Duration::from_millis(1));
    assert_eq!(said(&cached.ask(&body).await), "miss");
    assert_eq!(said(&cached.ask(&body).await), "hit");
    assert_eq!(cached.jobs(), 2);
}

#[tokio::test]
async fn the_bytes_kept_are_bounded_and_the_oldest_go_first() {
    let text = "word ".repeat(2000);
    let settings = "enabled = true\nbytes = 65536\nentry_bytes = 65536";
    let cached = cached(settings, json!({"text": text})).await;
    for seed in 0..20 {
        assert_eq!(said(&cached.ask(&chat(json!({"seed": seed}))).await), "miss");
        assert!(cached.app.cache.len_bytes() <= 65536);
    }
    assert!(cached.app.cache.len_bytes() > 40_000);
    assert_eq!(said(&cached.ask(&chat(json!({"seed": 19}))).await), "hit");
    assert_eq!(said(&cached.ask(&chat(json!({"seed": 0}))).await), "miss");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_kept() {
    let settings = "enabled = true\nentry_bytes = 1024";
    let cached = cached(settings, json!({"text": "word ".repeat(400)})).await;
    for stream in [false, true] {
        let body = chat(json!({"seed": 1, "stream": stream}));
        for _ in 0..2 {
            let answer = cached.ask(&body).await;
            assert_eq!((answer.status.as_u16(), said(&answer)), (200, "miss"));
        }
    }
    assert_eq!(cached.app.cache.len_bytes(), 0);
}

#[tokio::test]
async fn what_fails_or_breaks_off_is_not_kept() {
    for script in [
        json!({"status": 500}),
        json!({"status": 400, "body": "{}"}),
        json!({"error_after": 2}),
        json!({"tokens": 3, "no_finish": true}),
        json!({"tokens": 3, "no_finish": true, "no_done": true}),
        json!({"cut_after": 3, "itl_ms": 10}),
    ] {
        let cached = cached("enabled = true", script.clone()).await;
        for stream in [false, true] {
            let body = chat(json!({"seed": 1, "stream": stream}));
            for _ in 0..2 {
                let answer = cached.ask(&body).await;
                assert!(said(&answer) != "hit", "{script}");
                assert!(answer.body.contains("\"error\""), "{script}: {}", answer.body);
            }
        }
        assert_eq!(cached.app.cache.len_bytes(), 0, "{script}");
    }
}

#[tokio::test]
async fn a_stream_whose_client_left_is_not_kept() {
    let cached = cached("enabled = true", json!({"tokens": 50, "itl_ms": 5})).await;
    let body = chat(json!({"seed": 1, "stream": true}));
    let mut answer = cached.edge.answer(post(KEY, &body, &ON)).await.into_body();
    answer.frame().await.expect("a frame").expect("data");
    drop(answer);
    assert_eq!(cached.app.cache.len_bytes(), 0);
    assert_eq!(said(&cached.ask(&body).await), "miss");
    assert_eq!(said(&cached.ask(&body).await), "hit");
}

#[tokio::test]
async fn what_is_recorded_at_once_is_bounded_too() {
    let settings = "enabled = true\nbytes = 65536\nentry_bytes = 65536";
    let cached = cached(settings, json!({"text": "word ".repeat(220)})).await;
    let body = |seed: u32| chat(json!({"seed": seed, "stream": true}));
    let mut first = cached.edge.answer(post(KEY, &body(1), &ON)).await.into_body();
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: [DONE]\n\n") {
        let frame = first.frame().await.expect("a frame").expect("data");
        seen.extend_from_slice(&frame.into_data().expect("data"));
    }
    assert!((33_000..65_000).contains(&seen.len()), "{}", seen.len());
    // There is no room to record a second one, which is answered all the same.
    let second = cached.ask(&body(2)).await;
    assert_eq!((second.status.as_u16(), second.body.len()), (200, seen.len()));
    assert_eq!(cached.app.cache.len_bytes(), 0);
    assert!(first.frame().await.is_none());
    assert_eq!(said(&cached.ask(&body(1)).await), "hit");
    assert_eq!(said(&cached.ask(&body(2)).await), "miss");
    // The room is given back.
    assert_eq!(said(&cached.ask(&body(2)).await), "hit");
}
