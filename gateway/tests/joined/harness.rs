//! Gateways and real providers that join them.

use bytes::Bytes;
use gateway::config::{Join, Market, Settings};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use provider::app::{Joining, Running};
use provider::engine::scripted::Options;
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpStream;

/// What clients ask for; a scripted provider's weights are listed under it.
pub(crate) const MODEL: &str = "acme/test:1";

pub(crate) struct Gateway {
    pub(crate) running: gateway::Running,
    folder: PathBuf,
    _data: Option<tempfile::TempDir>,
}

/// A gateway where any node may join.
pub(crate) async fn gateway(change: impl FnOnce(&mut Market)) -> Gateway {
    gateway_with(|settings| change(&mut settings.market)).await
}

/// The same with other settings.
pub(crate) async fn gateway_with(change: impl FnOnce(&mut Settings)) -> Gateway {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_owned();
    let mut settings = settings(&folder, |_| {});
    change(&mut settings);
    let running = gateway::serve(settings).await.expect("serves");
    Gateway { running, folder, _data: Some(data) }
}

fn settings(folder: &std::path::Path, change: impl FnOnce(&mut Market)) -> Settings {
    let weights = provider::engine::scripted::weights_id();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {folder:?}\n\
         [auth]\nmode = \"open\"\n[[model]]\nid = {MODEL:?}\nweights_ids = [{weights:?}]\n"
    );
    let mut settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    settings.market = Market {
        node_listen: Some(([127, 0, 0, 1], 0).into()),
        join: Join::Open,
        measure: false,
        ..Market::default()
    };
    change(&mut settings.market);
    settings
}

impl Gateway {
    pub(crate) fn url(&self) -> String {
        self.running.join_url().expect("nodes may join")
    }

    /// Ends it, and starts it anew where nodes knew it.
    pub(crate) async fn restarted(self) -> Self {
        let Self { running, folder, _data } = self;
        let addr = running.node_addr.expect("nodes may join");
        running.stop().await;
        let nodes = TcpListener::bind(addr).expect("the port is free again");
        let settings = settings(&folder, |_| {});
        let running = gateway::serve_with(settings, nodes).await.expect("serves again");
        Self { running, folder, _data }
    }

    /// Until so many nodes offer the model.
    pub(crate) async fn until_offers(&self, count: usize) {
        let market = &self.running.app.market;
        until(|| market.snapshot().model(MODEL).is_some_and(|model| model.offers.len() == count))
            .await;
    }

    pub(crate) async fn send(&self, body: &Value) -> Response<Incoming> {
        let body = Bytes::from(body.to_string());
        request(self.running.addr, "POST", "/v1/chat/completions", body).await
    }

    pub(crate) async fn ask(&self, body: &Value) -> (StatusCode, HeaderMap, Bytes) {
        let (parts, body) = self.send(body).await.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        (parts.status, parts.headers, bytes)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = request(self.running.addr, "GET", path, Bytes::new()).await;
        let bytes = answer.into_body().collect().await.expect("a whole body").to_bytes();
        serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {bytes:?}"))
    }
}

pub(crate) async fn post(addr: SocketAddr, path: &str, body: Bytes) -> Response<Incoming> {
    request(addr, "POST", path, body).await
}

async fn request(addr: SocketAddr, method: &str, path: &str, body: Bytes) -> Response<Incoming> {
    let stream = TcpStream::connect(addr).await.expect("connects");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
    tokio::task::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", addr.to_string())
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request");
    sender.send_request(request).await.expect("an answer")
}

/// A provider that plays `script` and has joined all of `gateways`.
pub(crate) async fn node(
    gateways: &[&Gateway],
    script: Value,
    change: impl FnOnce(&mut Joining, &mut Options),
) -> Running {
    let urls: Vec<String> = gateways.iter().map(|gateway| gateway.url()).collect();
    let script = provider::testing::parse(script).expect("a script");
    let running = provider::testing::member(&urls, |joining, options| {
        options.models = vec!["mine".to_owned()];
        options.script = script;
        change(joining, options);
    });
    let running = running.await.expect("serves");
    until_future(provider::testing::joined(&running)).await;
    running
}

pub(crate) fn chat() -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]})
}

pub(crate) fn stream() -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "stream": true})
}

/// Waits for a state that another task brings about. Bounded, so that a failure is a failure.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    until_future(async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while !is_so() {
            ticks.tick().await;
        }
    })
    .await;
}

pub(crate) async fn until_future<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("the state is reached")
}
