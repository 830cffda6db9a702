//! A market of processes, and its client.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

use crate::process::{self, Process};

pub(crate) const MODEL: &str = "acme/test:1";
/// A model with more context, which the last provider of some markets serves.
pub(crate) const LARGE: &str = "acme/large:1";
/// A test that takes longer hangs.
const GUARD: Duration = Duration::from_secs(50);
/// All time-outs of the route, shortened.
const LIMITS: &str = "[limits]\nconnect_ms = 1000\nhead_ms = 1000\nfirst_content_ms = 1000\n\
                      stall_ms = 700\n";

pub(crate) async fn guarded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, test).await.expect("the test hangs")
}

pub(crate) struct Provider {
    pub(crate) process: Process,
    pub(crate) addr: String,
}

pub(crate) struct Market {
    pub(crate) addr: String,
    pub(crate) providers: Vec<Provider>,
    _gateway: Process,
    _data: tempfile::TempDir,
}

/// How a market is made.
pub(crate) struct Plan {
    scripts: Vec<(&'static str, Value)>,
    limits: String,
    more: String,
    concurrent: u32,
    /// Members of each upstream.
    upstream: &'static str,
}

/// A provider of [`MODEL`] for each script, `p0`, `p1`, …, behind a gateway that knows them by its
/// configuration.
pub(crate) async fn market(scripts: &[Value]) -> Market {
    Plan::new(scripts).start().await
}

impl Plan {
    pub(crate) fn new(scripts: &[Value]) -> Self {
        let scripts = scripts.iter().map(|script| (MODEL, script.clone())).collect();
        let (limits, more) = (LIMITS.to_owned(), String::new());
        Self { scripts, limits, more, concurrent: 64, upstream: "" }
    }

    /// Each goes on with a text that another began, by its configuration.
    pub(crate) fn with_prefill(mut self) -> Self {
        self.upstream = "prefill = \"continue_final_message\"\n";
        self
    }

    /// One more provider, of [`LARGE`].
    pub(crate) fn and_large(mut self, script: Value) -> Self {
        self.scripts.push((LARGE, script));
        self
    }

    /// In the place of the short time-outs.
    pub(crate) fn limits(mut self, limits: &str) -> Self {
        limits.clone_into(&mut self.limits);
        self
    }

    /// Sections of the gateway's configuration.
    pub(crate) fn more(mut self, more: &str) -> Self {
        more.clone_into(&mut self.more);
        self
    }

    /// Answers that a provider makes at once; as many may wait.
    pub(crate) fn concurrent(mut self, concurrent: u32) -> Self {
        self.concurrent = concurrent;
        self
    }

    fn config(&self, data: &tempfile::TempDir, more: &str) -> String {
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
             data_dir = {:?}\n[auth]\nmode = \"open\"\n{}{}{more}",
            data.path(),
            self.limits,
            self.more,
        )
    }

    pub(crate) async fn start(self) -> Market {
        let data = tempfile::tempdir().expect("a folder");
        let providers = self.providers(&data, &[]).await;
        let mut upstreams = format!("[[model]]\nid = {MODEL:?}\n[[model]]\nid = {LARGE:?}\n");
        for (number, (provider, (model, _))) in providers.iter().zip(&self.scripts).enumerate() {
            let context = if *model == LARGE { 100_000 } else { 1_000 };
            write!(
                upstreams,
                "[[upstream]]\nid = \"p{number}\"\noperator = \"op{number}\"\n\
                 allow_private = true\nbase_url = \"http://{}/v1\"\n{}\
                 models = [{{ id = {model:?}, context = {context} }}]\n",
                provider.addr, self.upstream
            )
            .expect("text");
        }
        self.gateway(data, &upstreams, providers).await.0
    }

    /// The same, but the providers join by themselves.
    pub(crate) async fn start_joined(self) -> Market {
        let data = tempfile::tempdir().expect("a folder");
        let weights = provider::engine::scripted::weights_id();
        let more = format!(
            "[market]\nnode_listen = \"127.0.0.1:0\"\njoin = \"open\"\nmeasure = false\n\
             [[model]]\nid = {MODEL:?}\nweights_ids = [{weights:?}]\n"
        );
        let (mut market, join) = self.gateway(data, &more, Vec::new()).await;
        let join = join.expect("nodes may join");
        market.providers = self.providers(&market._data, &["--gateway", &join]).await;
        let path = format!("/v1/models/{MODEL}/endpoints");
        let offers = async {
            loop {
                let (_, endpoints) = get(&market.addr, &path).await;
                let list = endpoints["data"].as_array();
                if list.is_some_and(|list| list.len() == self.scripts.len()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        offers.await;
        market
    }

    async fn providers(&self, data: &tempfile::TempDir, more: &[&str]) -> Vec<Provider> {
        let start = async |number: usize, script: &Value| {
            let own = data.path().join(format!("p{number}"));
            std::fs::create_dir(&own).expect("a folder");
            let file = own.join("script.json");
            std::fs::write(&file, script.to_string()).expect("written");
            let [own, file] = [own, file].map(|path| path.to_str().expect("text").to_owned());
            let model = self.scripts[number].0;
            let concurrent = self.concurrent.to_string();
            let mut arguments: Vec<&str> = vec!["--engine", "scripted", "--listen", "127.0.0.1:0"];
            arguments.extend(["--model-id", model, "--script", &file, "--data", &own]);
            arguments.extend(["--max-concurrent", &concurrent, "--exit-with-parent"]);
            arguments.extend(more);
            let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
            let mut process = process::provider(&arguments);
            let addr = process.says("listening on http://").await;
            Provider { process, addr }
        };
        let all = self.scripts.iter().enumerate().map(|(n, (_, script))| start(n, script));
        futures_util::future::join_all(all).await
    }

    /// The market, and where nodes may join.
    async fn gateway(
        &self,
        data: tempfile::TempDir,
        more: &str,
        providers: Vec<Provider>,
    ) -> (Market, Option<String>) {
        let file = data.path().join("gateway.toml");
        std::fs::write(&file, self.config(&data, more)).expect("written");
        let mut gateway = process::gateway(&file);
        let addr = gateway.says("listening on http://").await;
        let join = match more.contains("node_listen") {
            true => Some(gateway.says("nodes join at ").await),
            false => None,
        };
        (Market { addr, providers, _gateway: gateway, _data: data }, join)
    }
}

impl Market {
    pub(crate) async fn ask(&self, body: &Value) -> Answer {
        ask(&self.addr, body).await
    }

    pub(crate) async fn open(&self, body: &Value) -> Open {
        Open::new(&self.addr, body).await
    }

    /// Jobs that each provider's engine began.
    pub(crate) async fn asked(&self) -> Vec<u64> {
        self.counted("jobs_started_total").await
    }

    pub(crate) async fn counted(&self, name: &str) -> Vec<u64> {
        let all = self.providers.iter().map(|provider| counter(provider, name));
        futures_util::future::join_all(all).await
    }
}

/// One of a provider's counters, by its name without the prefix.
pub(crate) async fn counter(provider: &Provider, name: &str) -> u64 {
    let bytes = request(&provider.addr, "GET", "/metrics", Bytes::new()).await;
    let bytes = bytes.into_body().collect().await.expect("a whole body").to_bytes();
    let text = std::str::from_utf8(&bytes).expect("UTF-8");
    let line = format!("quorate_provider_{name} ");
    let value = text.lines().find_map(|l| l.strip_prefix(&line));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).trim().parse().expect("a number")
}

pub(crate) async fn get(addr: &str, path: &str) -> (StatusCode, Value) {
    let answer = request(addr, "GET", path, Bytes::new()).await;
    let status = answer.status();
    let bytes = answer.into_body().collect().await.expect("a whole body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

pub(crate) async fn ask(addr: &str, body: &Value) -> Answer {
    Open::new(addr, body).await.rest().await
}

/// An answer that is being read. Dropped, the client has left.
pub(crate) struct Open {
    body: Incoming,
    answer: Answer,
    start: Instant,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    bytes: BytesMut,
    pub(crate) took: Duration,
}

impl Open {
    #[expect(clippy::disallowed_methods, reason = "a real client's clock")]
    async fn new(addr: &str, body: &Value) -> Self {
        let start = Instant::now();
        let body = Bytes::from(body.to_string());
        let (parts, body) = request(addr, "POST", "/v1/chat/completions", body).await.into_parts();
        let (status, headers) = (parts.status, parts.headers);
        let answer = Answer { status, headers, bytes: BytesMut::new(), took: Duration::ZERO };
        Self { body, answer, start }
    }

    /// Reads until the content has that.
    pub(crate) async fn until(&mut self, text: &str) {
        while !self.answer.content().contains(text) {
            assert!(self.more().await, "it ended before {text:?}: {}", self.answer.text());
        }
    }

    /// Reads until the bytes have that.
    pub(crate) async fn until_text(&mut self, text: &str) {
        while !self.answer.text().contains(text) {
            assert!(self.more().await, "it ended before {text:?}: {}", self.answer.text());
        }
    }

    async fn more(&mut self) -> bool {
        let Some(frame) = self.body.frame().await else { return false };
        if let Ok(data) = frame.expect("a body that does not break off").into_data() {
            self.answer.bytes.extend_from_slice(&data);
        }
        true
    }

    pub(crate) async fn rest(mut self) -> Answer {
        while self.more().await {}
        self.answer.took = self.start.elapsed();
        self.answer
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("UTF-8")
    }

    /// Of a whole answer.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The payloads of complete events.
    pub(crate) fn events(&self) -> Vec<&str> {
        let complete = self.text().rfind("\n\n").and_then(|end| self.text().get(..end));
        let lines = complete.unwrap_or_default().lines();
        lines.filter_map(|line| Some(line.strip_prefix("data:")?.trim_start())).collect()
    }

    /// The events but `[DONE]`.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let events = self.events();
        let chunks = events.iter().filter(|event| **event != "[DONE]");
        chunks.map(|event| serde_json::from_str(event).expect("JSON")).collect()
    }

    pub(crate) fn content(&self) -> String {
        if let Ok(whole) = serde_json::from_slice::<Value>(&self.bytes) {
            let text = whole["choices"][0]["message"]["content"].as_str();
            return text.unwrap_or_default().to_owned();
        }
        let text = |chunk: &Value| {
            let text = chunk["choices"][0]["delta"]["content"].as_str();
            text.unwrap_or_default().to_owned()
        };
        self.chunks().iter().map(text).collect()
    }

    /// The error of a refusal, or of a stream's end.
    pub(crate) fn error(&self) -> Value {
        if let Ok(whole) = serde_json::from_slice::<Value>(&self.bytes) {
            return whole["error"].clone();
        }
        self.chunks().last().map(|chunk| chunk["error"].clone()).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Complete, of this content, and by this provider.
    pub(crate) fn assert_good(&self, content: &str, provider: &str) {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.content(), content, "{}", self.text());
        assert_eq!(self.header("x-quorate-provider"), provider);
        if self.text().contains("data:") {
            let events = self.events();
            let done = events.iter().filter(|event| **event == "[DONE]").count();
            assert_eq!((done, events.last()), (1, Some(&"[DONE]")), "{}", self.text());
            let finished = self.chunks().iter().any(|c| c["choices"][0]["finish_reason"] == "stop");
            assert!(finished, "{}", self.text());
        }
    }

    /// A stream that says that it failed, after what came before.
    pub(crate) fn assert_broken(&self) {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(self.error()["message"].is_string(), "{}", self.text());
        assert!(!self.text().contains("[DONE]"), "{}", self.text());
    }
}

async fn request(addr: &str, method: &str, path: &str, body: Bytes) -> Response<Incoming> {
    let stream = TcpStream::connect(addr).await.expect("connects");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
    tokio::task::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", addr)
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request");
    sender.send_request(request).await.expect("an answer")
}

/// A chat request, asked of `p0` first.
pub(crate) fn chat() -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": "hello"}],
           "provider": {"order": ["p0", "p1"]}})
}

pub(crate) fn stream() -> Value {
    let mut body = chat();
    body["stream"] = json!(true);
    body
}

/// Both kinds.
pub(crate) fn kinds() -> [Value; 2] {
    [chat(), stream()]
}

/// Until a state of other processes is reached.
pub(crate) async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
