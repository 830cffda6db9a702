//! A gateway without a port, whose connections go where the test says, and what a client sees of it.

use axum::body::Body;
use bytes::BytesMut;
use gateway::app::App;
use gateway::http::Edge;
use gateway::metrics::Metrics;
use gateway::upstream::dial::Dial;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What every provider serves.
pub(crate) const MODEL: &str = "acme/test:1";

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Random numbers of this thread from here on.
pub(crate) fn seed(seed: u64) {
    STATE.set(seed);
}

/// SplitMix64.
pub(crate) fn random() -> u64 {
    let state = STATE.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A gateway in front of providers that are reached by their names.
#[derive(Clone)]
pub(crate) struct Gateway {
    edge: Arc<Edge>,
    metrics: Arc<Metrics>,
}

impl Gateway {
    /// `more` is TOML that follows the models.
    pub(crate) fn new(more: &str, providers: &[&str], dialer: Arc<dyn Dial>) -> Self {
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
             data_dir = \"/nonexistent\"\n[auth]\nmode = \"open\"\n{more}\n\
             [[model]]\nid = {MODEL:?}\n"
        );
        for name in providers {
            write!(
                text,
                "[[upstream]]\nid = {name:?}\noperator = \"of-{name}\"\nallow_private = true\n\
                 base_url = \"http://{name}:8080/v1\"\nmodels = [{{ id = {MODEL:?} }}]\n"
            )
            .expect("text");
        }
        let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
        let mut app = App::new(settings).expect("an app");
        let context = gateway::upstream::Context {
            dialer: Some(dialer),
            random,
            ..gateway::upstream::Context::clone(&app.upstream)
        };
        app.upstream = Arc::new(context);
        let metrics = app.metrics.clone();
        Self { metrics, edge: Arc::new(Edge::client(&Arc::new(app))) }
    }

    /// The answer to its end. Dropped before, the client has left.
    pub(crate) async fn ask(&self, body: &Value) -> Answer {
        self.ask_as(body, None, Duration::ZERO).await
    }

    /// The same by a client whose patience has an end.
    pub(crate) async fn ask_within(&self, body: &Value, patience: Option<Duration>) -> Answer {
        self.ask_as(body, patience, Duration::ZERO).await
    }

    /// The client takes so long over each piece of the answer.
    pub(crate) async fn ask_slowly(&self, body: &Value, pause: Duration) -> Answer {
        self.ask_as(body, None, pause).await
    }

    async fn ask_as(&self, body: &Value, patience: Option<Duration>, pause: Duration) -> Answer {
        let start = Instant::now();
        let request = Request::post("/v1/chat/completions");
        let request = match patience {
            Some(patience) => {
                request.header("x-quorate-timeout-ms", patience.as_millis().to_string())
            }
            None => request,
        };
        let request = request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let (parts, mut body) = self.edge.answer(request).await.into_parts();
        let mut answer = Answer {
            status: parts.status,
            headers: parts.headers,
            bytes: BytesMut::new(),
            first: None,
            took: Duration::ZERO,
        };
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.expect("a body that does not break off").into_data() {
                answer.bytes.extend_from_slice(&data);
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if answer.first.is_none() && !answer.content().is_empty() {
                answer.first = Some(start.elapsed());
            }
        }
        answer.took = start.elapsed();
        answer
    }

    /// Whether this line is among its metrics.
    pub(crate) fn counts(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|counted| counted == line)
    }

    /// The number behind this of its metrics.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let text = self.metrics.encode();
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        found.expect("it is counted")
    }

    /// So many good answers that every provider is known and hedges are affordable.
    pub(crate) async fn warm_up(&self, requests: usize) {
        for _ in 0..requests {
            let answer = self.ask(&stream(json!({"script": well()}))).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

/// A script that does well whatever the provider's own says.
pub(crate) fn well() -> Value {
    json!({"head_ms": 0, "ttft_ms": 100, "itl_ms": 5, "tokens": 4, "status": null,
           "reset_before_head": false, "cut_after": null, "stall_after": null})
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    bytes: BytesMut,
    /// When there was content.
    pub(crate) first: Option<Duration>,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The payloads of a stream's events.
    pub(crate) fn events(&self) -> Vec<&str> {
        let lines = self.text().lines();
        lines.filter_map(|line| Some(line.strip_prefix("data:")?.trim_start())).collect()
    }

    /// What a client would show.
    pub(crate) fn content(&self) -> String {
        let text = |value: &Value| {
            let choice = &value["choices"][0];
            let message = choice.get("delta").or(choice.get("message"));
            message.and_then(|m| m["content"].as_str()).unwrap_or_default().to_owned()
        };
        if let Ok(whole) = serde_json::from_slice::<Value>(&self.bytes) {
            return text(&whole);
        }
        let events = self.events();
        let chunks = events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        chunks.map(|chunk| text(&chunk)).collect()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.status == 200 && (!self.text().contains("data:") || self.is_done())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.events().last() == Some(&"[DONE]")
    }

    /// The error that a stream ended with.
    pub(crate) fn error(&self) -> Option<Value> {
        let value: Value = serde_json::from_str(self.events().last()?).ok()?;
        value.get("error").cloned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// A chat request with more members merged in.
pub(crate) fn chat(more: Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]});
    let (Value::Object(members), Value::Object(more)) = (&mut body, more) else {
        panic!("members are an object");
    };
    members.extend(more);
    body
}

pub(crate) fn stream(more: Value) -> Value {
    let mut body = chat(more);
    body["stream"] = json!(true);
    body
}

/// The same, asked of these providers in this order.
pub(crate) fn ordered(mut body: Value, order: &[&str]) -> Value {
    body["provider"] = json!({"order": order});
    body
}

/// Until another task has brought it about; simulated time passes meanwhile.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}
