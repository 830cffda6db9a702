//! A small client: whole answers, streams read piece by piece, raw sockets for what no client sends.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use provider::app::Running;
use provider::counters::Counters;
use provider::engine::scripted::{Options, Scripted};
use provider::testing;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub(crate) const MODEL: &str = "acme/tiny:1";

pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// (message, type, param, code), after checking that all four members are there.
    pub(crate) fn error(&self) -> Value {
        let error = self.json()["error"].clone();
        let members: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(members, ["message", "type", "param", "code"], "{error}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
        error
    }
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { addr, http: legacy::Client::builder(TokioExecutor::new()).build(connector) }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("http://{}{path}", self.addr))
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = self.open(request).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    /// The head; the body is read by the caller, or dropped.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        self.http.request(request).await.unwrap()
    }

    pub(crate) async fn try_open(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, legacy::Error> {
        self.http.request(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Full::default()).unwrap()).await
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        self.request(Method::POST, path)
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap()
    }

    /// A chat request with `members` over the usual ones.
    pub(crate) fn chat_request(&self, members: Value) -> Request<Full<Bytes>> {
        self.post("/v1/chat/completions", chat_body(members).to_string())
    }

    pub(crate) async fn chat(&self, members: Value) -> Answer {
        self.send(self.chat_request(members)).await
    }

    pub(crate) async fn complete(&self, members: Value) -> Answer {
        let mut body = json!({"model": MODEL, "prompt": "one two"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.send(self.post("/v1/completions", body.to_string())).await
    }

    /// An embeddings request with `members` over the usual ones.
    pub(crate) fn embed_request(&self, members: Value) -> Request<Full<Bytes>> {
        let mut body = json!({"model": MODEL, "input": "one two"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.post("/v1/embeddings", body.to_string())
    }

    pub(crate) async fn embed(&self, members: Value) -> Answer {
        self.send(self.embed_request(members)).await
    }
}

pub(crate) fn chat_body(members: Value) -> Value {
    let mut body = json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": "Say something short"}],
    });
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

/// The next bytes of a body.
pub(crate) async fn next(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    Some(body.frame().await?.map(|frame| frame.into_data().unwrap_or_default()))
}

/// Everything until `needle` was seen.
pub(crate) async fn read_until(body: &mut Incoming, needle: &str) -> String {
    let mut text = String::new();
    while !text.contains(needle) {
        let piece = next(body).await.expect("the body goes on").expect("the body is whole");
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    text
}

/// The rest of a body and whether it ended well.
pub(crate) async fn rest(mut body: Incoming) -> (String, bool) {
    let mut text = String::new();
    while let Some(piece) = next(&mut body).await {
        match piece {
            Ok(piece) => text.push_str(std::str::from_utf8(&piece).unwrap()),
            Err(_) => return (text, false),
        }
    }
    (text, true)
}

/// A scripted provider and a client for it.
pub(crate) async fn scripted(script: Value) -> (Running, Client) {
    let running = testing::scripted(MODEL, script).await.unwrap();
    let client = Client::new(running.addr);
    (running, client)
}

/// The same with so many slots and places in the queue.
pub(crate) async fn scripted_with(
    script: Value,
    slots: usize,
    change: impl FnOnce(&mut provider::app::Serving),
) -> (Running, Client) {
    let counters = Arc::new(Counters::default());
    let options = Options {
        models: vec![MODEL.to_owned()],
        created: testing::NOW,
        max_concurrent: slots,
        script: testing::parse(script).unwrap(),
        ..Options::default()
    };
    let engine = Arc::new(Scripted::new(options, Arc::clone(&counters)));
    let mut serving = testing::defaults();
    change(&mut serving);
    let running = testing::serve_with(engine, counters, serving).await.unwrap();
    let client = Client::new(running.addr);
    (running, client)
}

/// Lets everything run that can run, until `done` or 60 s of paused time.
pub(crate) async fn eventually(what: &str, done: impl Fn() -> bool) {
    for _ in 0..6000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

pub(crate) fn jobs(counters: &Counters) -> (u64, u64, u64) {
    (
        counters.jobs_started.load(Relaxed),
        counters.jobs_finished.load(Relaxed),
        counters.jobs_cancelled.load(Relaxed),
    )
}

/// The text with the stream's own id replaced, which is random.
pub(crate) fn without_id(text: &str) -> String {
    let Some(start) = text.find("cmpl-") else { return text.to_owned() };
    let id = &text[start..start + "cmpl-".len() + 32];
    text.replace(id, "cmpl-ID")
}
