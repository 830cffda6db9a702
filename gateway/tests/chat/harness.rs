//! A market in a process: a gateway, its providers, and a plain HTTP client.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

/// The model every provider of a test market serves.
pub(crate) const MODEL: &str = "acme/test:1";

pub(crate) struct Market {
    pub(crate) gateway: gateway::Running,
    pub(crate) providers: Vec<provider::app::Running>,
    _data: tempfile::TempDir,
}

/// Scripted providers behind a gateway with default limits.
pub(crate) async fn market(scripts: &[Value]) -> Market {
    market_with("", scripts).await
}

/// The same, with a `[limits]` section of the test's.
pub(crate) async fn market_with(limits: &str, scripts: &[Value]) -> Market {
    let mut providers = Vec::new();
    for script in scripts {
        providers.push(provider::testing::scripted(MODEL, script.clone()).await.expect("serves"));
    }
    let addrs: Vec<SocketAddr> = providers.iter().map(|provider| provider.addr).collect();
    let (gateway, data) = gateway(limits, &addrs, MODEL).await;
    Market { gateway, providers, _data: data }
}

/// A gateway in front of whatever listens on `addrs`, which call the model `theirs`.
pub(crate) async fn gateway(
    limits: &str,
    addrs: &[SocketAddr],
    theirs: &str,
) -> (gateway::Running, tempfile::TempDir) {
    let urls: Vec<String> = addrs.iter().map(|addr| format!("http://{addr}/v1")).collect();
    gateway_at(limits, &urls, theirs).await
}

/// The same by URL.
pub(crate) async fn gateway_at(
    limits: &str,
    urls: &[String],
    theirs: &str,
) -> (gateway::Running, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         [auth]\nmode = \"open\"\n[limits]\n{limits}\n\
         [[model]]\nid = {MODEL:?}\naliases = [\"gpt-test\"]\n",
        data.path()
    );
    for (number, url) in urls.iter().enumerate() {
        text += &format!(
            "[[upstream]]\nid = \"p{number}\"\noperator = \"op{number}\"\nallow_private = true\n\
             base_url = {url:?}\n\
             models = [{{ id = {MODEL:?}, upstream_model = {theirs:?} }}]\n"
        );
    }
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    (gateway::serve(settings).await.expect("serves"), data)
}

impl Market {
    pub(crate) async fn send(&self, body: &Value) -> Response<Incoming> {
        send(self.gateway.addr, body).await
    }

    pub(crate) async fn ask(&self, body: &Value) -> (StatusCode, http::HeaderMap, Bytes) {
        ask(self.gateway.addr, body).await
    }

    /// Waits until a provider's counter says so. Bounded, so that a failure is a failure.
    pub(crate) async fn until(&self, what: impl Fn(&provider::counters::Counters) -> bool) {
        until(|| self.providers.iter().any(|provider| what(&provider.counters))).await;
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

/// A chat request for [`MODEL`] with more members merged in.
pub(crate) fn chat(more: Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "hello"}]});
    let (Value::Object(body_members), Value::Object(more)) = (&mut body, more) else {
        panic!("members are an object");
    };
    body_members.extend(more);
    body
}

pub(crate) fn stream(more: Value) -> Value {
    let mut body = chat(more);
    body["stream"] = json!(true);
    body
}

pub(crate) async fn send(addr: SocketAddr, body: &Value) -> Response<Incoming> {
    send_bytes(addr, Bytes::from(body.to_string())).await
}

/// One request on a connection of its own; dropping the answer closes it.
pub(crate) async fn send_bytes(addr: SocketAddr, body: Bytes) -> Response<Incoming> {
    post(addr, "/v1/chat/completions", body).await
}

/// The same to any path.
pub(crate) async fn post(addr: SocketAddr, path: &str, body: Bytes) -> Response<Incoming> {
    let stream = TcpStream::connect(addr).await.expect("connects");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
    tokio::task::spawn(connection);
    let request = Request::post(path)
        .header("host", addr.to_string())
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request");
    sender.send_request(request).await.expect("an answer")
}

pub(crate) async fn ask(addr: SocketAddr, body: &Value) -> (StatusCode, http::HeaderMap, Bytes) {
    let (parts, body) = send(addr, body).await.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    (parts.status, parts.headers, bytes)
}

pub(crate) fn json_of(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {bytes:?}"))
}

/// The `data:` payloads of a stream.
pub(crate) fn events(bytes: &Bytes) -> Vec<String> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let payloads = text.lines().filter_map(|line| line.strip_prefix("data:"));
    payloads.map(|payload| payload.trim_start().to_owned()).collect()
}

/// What a client would show of a stream.
pub(crate) fn content(events: &[String]) -> String {
    let mut text = String::new();
    for event in events.iter().filter(|event| *event != "[DONE]") {
        let chunk: Value = serde_json::from_str(event).expect("JSON");
        text += chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    }
    text
}

/// An upstream whose connections are each handled by `serve`, which is told the connection's number.
pub(crate) async fn upstream<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream, usize) -> Fut + Send + 'static,
    Fut: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("an address");
    tokio::task::spawn(async move {
        for number in 0.. {
            let (socket, _) = listener.accept().await.expect("accepts");
            socket.set_nodelay(true).expect("nodelay");
            tokio::task::spawn(serve(socket, number));
        }
    });
    addr
}

/// Reads a request to the end of its body.
pub(crate) async fn read_request(socket: &mut TcpStream) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0u8; 4096];
        let n = socket.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&read).to_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
        if read.len() >= head.len() + 4 + length.parse::<usize>().ok()? {
            return Some(());
        }
    }
}
