//! A market in this process, and a plain client of /v1/responses.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(crate) const MODEL: &str = "acme/test:1";

pub(crate) struct Market {
    pub(crate) gateway: gateway::Running,
    pub(crate) provider: Option<provider::app::Running>,
    _data: tempfile::TempDir,
}

/// One scripted provider behind a gateway.
pub(crate) async fn market(script: Value) -> Market {
    market_with("", script).await
}

/// The same, with limits of the test's.
pub(crate) async fn market_with(limits: &str, script: Value) -> Market {
    let provider = provider::testing::scripted(MODEL, script).await.expect("serves");
    let mut market = in_front_of(limits, provider.addr).await;
    market.provider = Some(provider);
    market
}

/// A gateway in front of whatever listens on `addr`.
pub(crate) async fn in_front_of(limits: &str, addr: SocketAddr) -> Market {
    let data = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         [auth]\nmode = \"open\"\n[limits]\n{limits}\n[[model]]\nid = {MODEL:?}\n\
         [[upstream]]\nid = \"p0\"\noperator = \"op0\"\nallow_private = true\n\
         base_url = \"http://{addr}/v1\"\nmodels = [{{ id = {MODEL:?}, upstream_model = {MODEL:?} }}]\n",
        data.path()
    );
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    let gateway = gateway::serve(settings).await.expect("serves");
    Market { gateway, provider: None, _data: data }
}

/// A server that answers everything with one stream, and shows the bodies it was sent.
pub(crate) async fn raw(stream: &str) -> (SocketAddr, mpsc::UnboundedReceiver<Value>) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{stream}", stream.len());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let addr = listener.local_addr().expect("an address");
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::task::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (sender, answer) = (sender.clone(), answer.clone());
            tokio::task::spawn(async move {
                while let Some(body) = read_request(&mut socket).await {
                    let _ = sender.send(body);
                    if socket.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (addr, receiver)
}

async fn read_request(socket: &mut TcpStream) -> Option<Value> {
    let mut read = Vec::new();
    loop {
        let mut buffer = [0u8; 4096];
        let n = socket.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&buffer[..n]);
        let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
        let whole = end + 4 + length.parse::<usize>().ok()?;
        if read.len() >= whole {
            return serde_json::from_slice(&read[end + 4..whole]).ok();
        }
    }
}

impl Market {
    pub(crate) async fn send(&self, body: &Value) -> Response<Incoming> {
        self.request(Method::POST, "/v1/responses", body.to_string()).await
    }

    /// One request on a connection of its own; dropping the answer closes it.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Response<Incoming> {
        self.request_with(method, path, ("accept", "*/*"), body).await
    }

    /// With a header of the test's.
    pub(crate) async fn request_with(
        &self,
        method: Method,
        path: &str,
        (name, value): (&str, &str),
        body: String,
    ) -> Response<Incoming> {
        let addr = self.gateway.addr;
        let stream = TcpStream::connect(addr).await.expect("connects");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
        tokio::task::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", addr.to_string())
            .header("content-type", "application/json")
            .header(name, value)
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        sender.send_request(request).await.expect("an answer")
    }

    pub(crate) async fn ask(&self, body: &Value) -> (StatusCode, http::HeaderMap, Bytes) {
        whole(self.send(body).await).await
    }

    /// Waits until the provider's counters say so. Bounded, so that a failure is a failure.
    pub(crate) async fn until(&self, what: impl Fn(&provider::counters::Counters) -> bool) {
        let counters = &self.provider.as_ref().expect("a scripted provider").counters;
        let reached = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(2));
            while !what(counters) {
                ticks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the state is reached");
    }
}

pub(crate) async fn whole(response: Response<Incoming>) -> (StatusCode, http::HeaderMap, Bytes) {
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.expect("a whole body").to_bytes())
}

/// A request for [`MODEL`] with more members merged in.
pub(crate) fn ask_for(more: Value) -> Value {
    let mut body = json!({"model": MODEL, "input": "hello"});
    let (Value::Object(members), Value::Object(more)) = (&mut body, more) else {
        panic!("members are an object");
    };
    members.extend(more);
    body
}

pub(crate) fn json_of(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {bytes:?}"))
}

pub(crate) fn text_of(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}
