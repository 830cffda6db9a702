//! A gateway that takes nodes, and its clients.

use bytes::Bytes;
use gateway::config::{Join, Market, Settings};
use gateway::metrics::{JoinOutcome, Metrics};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openapi::sign::PublicKey;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// What clients ask for, and the weights that may be sold under that name.
pub(crate) const MODEL: &str = "acme/test:1";
pub(crate) const WEIGHTS: &str =
    "b3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(crate) struct Gateway {
    pub(crate) running: gateway::Running,
    _data: tempfile::TempDir,
}

pub(crate) async fn gateway() -> Gateway {
    gateway_with("", |_| {}).await
}

/// With a `[limits]` section and a market of the test's.
pub(crate) async fn gateway_with(limits: &str, change: impl FnOnce(&mut Market)) -> Gateway {
    let data = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         [auth]\nmode = \"open\"\n[limits]\n{limits}\n\
         [[model]]\nid = {MODEL:?}\nweights_ids = [{WEIGHTS:?}]\n",
        data.path()
    );
    let mut settings: Settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    settings.market = Market {
        node_listen: Some(([127, 0, 0, 1], 0).into()),
        join: Join::Open,
        measure: false,
        // The node says one heartbeat, and a busy machine may be slow.
        lease: Duration::from_secs(600),
        ..Market::default()
    };
    // What is said here is written by hand, without evidence.
    settings.audit.enabled = false;
    change(&mut settings.market);
    let running = gateway::serve(settings).await.expect("serves");
    Gateway { running, _data: data }
}

impl Gateway {
    pub(crate) fn key(&self) -> PublicKey {
        self.running.app.market.identity().public()
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    pub(crate) fn node_addr(&self) -> SocketAddr {
        self.running.node_addr.expect("nodes may join")
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.running.app.metrics
    }

    pub(crate) fn refused(&self, outcome: JoinOutcome) -> u64 {
        self.metrics().joins.get(outcome).get()
    }

    /// Until the model is offered by so many.
    pub(crate) async fn until_offers(&self, count: usize) {
        let market = &self.running.app.market;
        until(|| market.snapshot().model(MODEL).is_some_and(|model| model.offers.len() == count))
            .await;
    }

    /// Until nothing is left of any node or request.
    pub(crate) async fn until_quiet(&self) {
        let metrics = self.metrics();
        until(|| metrics.nodes.get() == 0 && metrics.node_connections.get() == 0).await;
        self.until_offers(0).await;
    }
}

/// Waits for a state that another task brings about.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let reached = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while !is_so() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the state is reached");
}

/// A streamed chat request whose prompt tells the node what to do.
pub(crate) fn stream(prompt: &str) -> Bytes {
    let messages = json!([{"role": "user", "content": prompt}]);
    Bytes::from(json!({"model": MODEL, "messages": messages, "stream": true}).to_string())
}

pub(crate) fn request(addr: SocketAddr, body: Bytes) -> Request<Full<Bytes>> {
    Request::post("/v1/chat/completions")
        .header("host", addr.to_string())
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request")
}

/// One request on a connection of its own; dropping the answer closes it.
pub(crate) async fn send(addr: SocketAddr, body: Bytes) -> Response<Incoming> {
    let stream = TcpStream::connect(addr).await.expect("connects");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
    tokio::task::spawn(connection);
    sender.send_request(request(addr, body)).await.expect("an answer")
}

pub(crate) async fn ask(addr: SocketAddr, body: Bytes) -> (StatusCode, http::HeaderMap, String) {
    let (parts, body) = send(addr, body).await.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

/// What a client would show of a stream.
pub(crate) fn content(text: &str) -> String {
    let payloads = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = payloads.filter_map(|payload| serde_json::from_str::<Value>(payload).ok());
    events
        .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect()
}
