//! A gateway to ask, without sockets; and what tests read from answers.

use axum::body::Body;
use gateway::app::App;
use gateway::clock::Manual;
use gateway::config::{self, Settings};
use gateway::http::Edge;
use gateway::http::admin::Token;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::sync::Arc;
use tempfile::TempDir;

/// The key that the test configuration knows.
pub(crate) const KEY: &str = "qk_0123456789abcdef";
/// The gateway's key at its first upstream.
pub(crate) const UPSTREAM_KEY: &str = "sk-upstream-canary";
/// 2026-01-01, in milliseconds.
pub(crate) const NOW_MS: u64 = 1_767_225_600_000;

pub(crate) struct Gateway {
    pub(crate) app: Arc<App>,
    pub(crate) client: Edge,
    pub(crate) admin: Edge,
    pub(crate) token: String,
    _data: TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The test configuration; `more` goes at its end.
pub(crate) fn file(data: &TempDir, more: &str) -> String {
    format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        admin_listen = "127.0.0.1:0"
        data_dir = "{}"
        [[key]]
        name = "alice"
        key = "{KEY}"
        [[upstream]]
        id = "a"
        operator = "acme"
        base_url = "http://127.0.0.1:1/v1"
        api_key = "{UPSTREAM_KEY}"
        allow_private = true
        models = [
            {{ id = "pip", context = 2048 }},
            {{ id = "org/name:tag", context = 4096, price_in = 0.5 }},
        ]
        [[upstream]]
        id = "b"
        base_url = "http://127.0.0.1:2/v1"
        models = [{{ id = "pip", context = 8192 }}]
        [[model]]
        id = "pip"
        aliases = ["gpt-4o-mini", "team/fast"]
        {more}
        "#,
        data.path().display()
    )
}

pub(crate) fn settings(data: &TempDir, more: &str) -> Settings {
    config::parse(&file(data, more), &|_| None).expect("a valid configuration")
}

pub(crate) fn gateway(more: &str) -> Gateway {
    let data = tempfile::tempdir().expect("a folder");
    from_settings(settings(&data, more), data)
}

pub(crate) fn from_settings(settings: Settings, data: TempDir) -> Gateway {
    let clock = Arc::new(Manual::new(NOW_MS));
    let app = Arc::new(App::with_clock(settings, clock).expect("a market"));
    let token = Token::load_or_create(data.path()).expect("a token");
    let text = String::from_utf8(token.as_bytes().to_vec()).expect("text");
    Gateway {
        client: Edge::client(&app),
        admin: Edge::admin(&app, &token),
        token: text,
        app,
        _data: data,
    }
}

pub(crate) fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path)
}

/// A GET with the test configuration's key.
pub(crate) fn get(path: &str) -> Request<Body> {
    let request = request(Method::GET, path).header("authorization", format!("Bearer {KEY}"));
    request.body(Body::empty()).expect("a request")
}

pub(crate) async fn ask(edge: &Edge, request: Request<Body>) -> Answer {
    let (head, body) = edge.answer(request).await.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).expect("text"),
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}
