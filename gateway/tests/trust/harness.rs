//! A gateway, and toys that join it.

use bytes::Bytes;
use gateway::config::{Join, Market, Settings};
use gateway::market::Verdicts;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openapi::node::Standing;
use openapi::nodes::EvidenceRecord;
use openapi::sign::PublicKey;
use provider::app::Running;
use provider::counters::Counters;
use provider::engine::Engine;
use provider::engine::toy::{Cheat, Options, Toy, weights_id};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

pub(crate) const MODEL: &str = "acme/toy";

pub(crate) struct Gateway {
    pub(crate) running: gateway::Running,
    folder: PathBuf,
    weights: String,
    _data: tempfile::TempDir,
}

pub(crate) struct Node {
    _running: Running,
    pub(crate) key: PublicKey,
}

fn settings(folder: &Path, weights: &str) -> Settings {
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
    settings
}

pub(crate) async fn gateway(change: impl FnOnce(&mut Settings)) -> Gateway {
    gateway_of(&weights_id(&Options::default().weights), change).await
}

/// Where these weights are listed.
pub(crate) async fn gateway_of(weights: &str, change: impl FnOnce(&mut Settings)) -> Gateway {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_owned();
    let mut settings = settings(&folder, weights);
    change(&mut settings);
    let running = gateway::serve(settings).await.expect("serves");
    Gateway { running, folder, weights: weights.to_owned(), _data: data }
}

impl Gateway {
    /// Ends it, and starts it anew with what it kept.
    pub(crate) async fn restarted(self) -> Self {
        let Self { running, folder, weights, _data } = self;
        running.stop().await;
        let running = gateway::serve(settings(&folder, &weights)).await.expect("serves again");
        Self { running, folder, weights, _data }
    }

    /// A node that sells the toy, honestly or not.
    pub(crate) async fn node(&self, cheat: Option<Cheat>) -> Node {
        self.node_with(|options| options.cheat = cheat).await
    }

    pub(crate) async fn node_with(&self, change: impl FnOnce(&mut Options)) -> Node {
        let counters = Arc::new(Counters::default());
        let mut options = Options::default();
        change(&mut options);
        let toy = Arc::new(Toy::new(options, counters.clone()).expect("a toy"));
        self.join(toy, counters).await
    }

    /// A node of any engine; `counters` are those it was made with.
    pub(crate) async fn join(&self, engine: Arc<dyn Engine>, counters: Arc<Counters>) -> Node {
        let url = self.running.join_url().expect("nodes may join");
        let mut key = None;
        let joining = |joining: &mut provider::app::Joining| {
            key = Some(joining.identity.node.public());
        };
        let urls = [url];
        let running = provider::testing::member_of(&urls, engine, counters, joining);
        let running = running.await.expect("serves");
        until_future(provider::testing::joined(&running)).await;
        Node { _running: running, key: key.expect("a key") }
    }

    pub(crate) async fn until_offers(&self, count: usize) {
        let market = &self.running.app.market;
        until(|| market.snapshot().model(MODEL).is_some_and(|model| model.offers.len() == count))
            .await;
    }

    pub(crate) async fn ask(&self, body: &Value) -> (StatusCode, Bytes) {
        let (status, _, bytes) =
            self.send("POST", "/v1/chat/completions", Bytes::from(body.to_string())).await;
        (status, bytes)
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let addr = self.running.addr;
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
        let answer = sender.send_request(request).await.expect("an answer");
        let (parts, body) = answer.into_parts();
        (parts.status, parts.headers, body.collect().await.expect("a whole body").to_bytes())
    }

    /// Asks `node` alone until so many of its answers were judged, one way or the other.
    pub(crate) async fn audited(&self, node: &Node, body: &Value, count: u64) -> Verdicts {
        for number in 0..count {
            let mut body = body.clone();
            body["provider"] = json!({"order": [self.name(node)]});
            let question = body["messages"][0]["content"].as_str().expect("text");
            body["messages"][0]["content"] = json!(format!("{question} {number}"));
            let (status, bytes) = self.ask(&body).await;
            assert_eq!(status, 200, "{bytes:?}");
        }
        self.settled().await;
        self.verdicts(node)
    }

    /// Until nothing is being checked.
    pub(crate) async fn settled(&self) {
        let metrics = &self.running.app.metrics.trust;
        until(|| metrics.under_way.get() == 0).await;
    }

    pub(crate) fn verdicts(&self, node: &Node) -> Verdicts {
        let known = self.running.app.market.known(&node.key).expect("it is known");
        known.verdicts().into_iter().find(|(name, _)| &**name == MODEL).expect("sold").1
    }

    pub(crate) fn evidence(&self, node: &Node) -> Vec<EvidenceRecord> {
        self.running.app.market.known(&node.key).expect("it is known").evidence.records()
    }

    pub(crate) fn standing(&self, node: &Node) -> Option<Standing> {
        self.running.app.market.member(&node.key).map(|member| member.standing())
    }

    /// What it is called here.
    pub(crate) fn name(&self, node: &Node) -> String {
        let member = self.running.app.market.member(&node.key).expect("it is here");
        member.provider.to_string()
    }
}

/// Long enough to be judged alone.
pub(crate) fn long() -> Value {
    json!({"model": MODEL, "max_tokens": 96, "temperature": 0.9, "stream": true,
        "messages": [{"role": "user", "content": "tell me of"}]})
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
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("the state is reached")
}
