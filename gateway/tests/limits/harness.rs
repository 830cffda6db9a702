//! A gateway with keys, in front of one scripted provider, and a plain client.

use bytes::Bytes;
use gateway::app::App;
use gateway::clock::Manual;
use gateway::http::admin::Token;
use gateway::limit::State;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

pub(crate) const MODEL: &str = "acme/test:1";
pub(crate) const KEY: &str = "qk_0123456789abcdef";

pub(crate) struct Market {
    pub(crate) gateway: gateway::Running,
    pub(crate) clock: Arc<Manual>,
    pub(crate) provider: provider::app::Running,
    pub(crate) data: TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A market whose key [`KEY`] has `rules` (TOML), and whose provider plays `script`.
pub(crate) async fn market(rules: &str, script: Value) -> Market {
    let provider = provider::testing::scripted(MODEL, script).await.expect("serves");
    let data = tempfile::tempdir().expect("a folder");
    let key = format!("[[key]]\nname = \"alice\"\nkey = \"{KEY}\"\n{rules}\n");
    let text = settings(data.path(), provider.addr, &key);
    let (gateway, clock) = start(&text).await;
    Market { gateway, clock, provider, data }
}

/// A configuration; `more` goes at its end.
pub(crate) fn settings(data: &Path, provider: SocketAddr, more: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {data:?}\n\
         [[model]]\nid = {MODEL:?}\naliases = [\"gpt-test\"]\n\
         [[upstream]]\nid = \"p\"\noperator = \"op\"\nregion = \"eu\"\nallow_private = true\n\
         base_url = \"http://{provider}/v1\"\nmodels = [{{ id = {MODEL:?} }}]\n{more}\n"
    )
}

/// Serves, with a clock that stands still.
pub(crate) async fn start(text: &str) -> (gateway::Running, Arc<Manual>) {
    let settings = gateway::config::parse(text, &|_| None).expect("valid settings");
    let clock = Arc::new(Manual::new(1_767_225_600_000));
    let app = App::with_clock(settings, clock.clone()).expect("an app");
    (gateway::serve_app(app).await.expect("serves"), clock)
}

impl Market {
    /// What is left for [`KEY`].
    pub(crate) fn state(&self) -> State {
        let app = &self.gateway.app;
        let principal = app.keys.find(KEY.as_bytes()).expect("the key");
        principal.grant.account.state(app.limit_time.now_ns())
    }

    pub(crate) fn tokens_left(&self) -> u32 {
        self.state().tokens.expect("limited").remaining
    }

    pub(crate) async fn send(&self, body: &Value) -> Response<Incoming> {
        send(self.gateway.addr, KEY, body).await
    }

    pub(crate) async fn ask(&self, body: &Value) -> Answer {
        read(self.send(body).await).await
    }

    /// Sends `body`, waits until the provider has the job, and leaves.
    pub(crate) async fn leave(&self, body: Value) {
        let addr = self.gateway.addr;
        let request = tokio::task::spawn(async move { send(addr, KEY, &body).await });
        until(|| self.provider.counters.jobs_started() > 0).await;
        request.abort();
        let _ = request.await;
    }

    /// Asks the admin API.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &str) -> Answer {
        admin(&self.gateway, self.data.path(), method, path, body).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// Asks the admin API of the gateway on a data folder.
pub(crate) async fn admin(
    gateway: &gateway::Running,
    data: &Path,
    method: Method,
    path: &str,
    body: &str,
) -> Answer {
    let token = Token::load(data).expect("a token");
    let token = String::from_utf8(token.as_bytes().to_vec()).expect("text");
    let body = Bytes::from(body.to_owned());
    read(call(gateway.admin_addr, &token, method, path, body).await).await
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

/// A chat request for [`MODEL`], with more members merged in.
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

/// The estimate for a request's prompt.
pub(crate) fn prompt_of(body: &Value) -> u32 {
    u32::try_from(body.to_string().len().div_ceil(4)).expect("short")
}

pub(crate) async fn send(addr: SocketAddr, key: &str, body: &Value) -> Response<Incoming> {
    let body = Bytes::from(body.to_string());
    call(addr, key, Method::POST, "/v1/chat/completions", body).await
}

pub(crate) async fn ask(addr: SocketAddr, key: &str, body: &Value) -> Answer {
    read(send(addr, key, body).await).await
}

pub(crate) async fn get(addr: SocketAddr, key: &str, path: &str) -> Answer {
    read(call(addr, key, Method::GET, path, Bytes::new()).await).await
}

/// One request on a connection of its own; dropping the answer closes it.
pub(crate) async fn call(
    addr: SocketAddr,
    key: &str,
    method: Method,
    path: &str,
    body: Bytes,
) -> Response<Incoming> {
    let stream = TcpStream::connect(addr).await.expect("connects");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
    tokio::task::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", addr.to_string())
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request");
    sender.send_request(request).await.expect("an answer")
}

pub(crate) async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}
