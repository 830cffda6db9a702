//! A gateway with two keys, in front of scripted providers, and a client that keeps every byte.

use bytes::Bytes;
use gateway::app::App;
use gateway::clock::Manual;
use gateway::http::admin::Token;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openapi::receipt::{Claims, Fault, Keys, Receipt, verify};
use openapi::sign::PublicKey;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

pub(crate) const MODEL: &str = "acme/test:1";
pub(crate) const KEY: &str = "qk_0123456789abcdef";
pub(crate) const OTHER_KEY: &str = "qk_another_01234567";
const NOW_MS: u64 = 1_767_225_600_000;

pub(crate) struct Market {
    pub(crate) gateway: gateway::Running,
    pub(crate) clock: Arc<Manual>,
    pub(crate) providers: Vec<provider::app::Running>,
    pub(crate) data: TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// `more` is TOML at the end of the configuration.
pub(crate) async fn market(more: &str, scripts: &[Value]) -> Market {
    let mut providers = Vec::new();
    for script in scripts {
        providers.push(provider::testing::scripted(MODEL, script.clone()).await.expect("serves"));
    }
    let data = tempfile::tempdir().expect("a folder");
    let (gateway, clock) = start(data.path(), &providers, more).await;
    Market { gateway, clock, providers, data }
}

pub(crate) async fn start(
    data: &Path,
    providers: &[provider::app::Running],
    more: &str,
) -> (gateway::Running, Arc<Manual>) {
    let addrs: Vec<SocketAddr> = providers.iter().map(|provider| provider.addr).collect();
    let text = settings(data, &addrs, more);
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    let clock = Arc::new(Manual::new(NOW_MS));
    let app = App::with_clock(settings, clock.clone()).expect("an app");
    (gateway::serve_app(app).await.expect("serves"), clock)
}

pub(crate) fn settings(data: &Path, providers: &[SocketAddr], more: &str) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {data:?}\n\
         [[key]]\nname = \"alice\"\nkey = {KEY:?}\n[[key]]\nname = \"bob\"\nkey = {OTHER_KEY:?}\n\
         [[model]]\nid = {MODEL:?}\n"
    );
    for (number, addr) in providers.iter().enumerate() {
        write!(
            text,
            "[[upstream]]\nid = \"p{number}\"\noperator = \"op{number}\"\nallow_private = true\n\
             base_url = \"http://{addr}/v1\"\nmodels = [{{ id = {MODEL:?} }}]\n"
        )
        .expect("text");
    }
    text + more
}

impl Market {
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = Bytes::from(body.to_string());
        read(call(self.gateway.addr, KEY, Method::POST, path, body).await).await
    }

    pub(crate) async fn chat(&self, body: &Value) -> Answer {
        let answer = self.post("/v1/chat/completions", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        read(call(self.gateway.addr, key, Method::GET, path, Bytes::new()).await).await
    }

    /// The receipt, once it is there.
    pub(crate) async fn receipt(&self, id: &str) -> Answer {
        let reached = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            loop {
                ticks.tick().await;
                let answer = self.get(KEY, &format!("/v1/receipts/{id}")).await;
                if answer.code() != "receipt_pending" {
                    return answer;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect("it is written")
    }

    pub(crate) async fn receipt_of(&self, answer: &Answer) -> Answer {
        let receipt = self.receipt(answer.header("x-quorate-receipt")).await;
        assert_eq!(receipt.status, StatusCode::OK, "{receipt:?}");
        receipt
    }

    /// What a client trusts.
    pub(crate) async fn keys(&self) -> Vec<PublicKey> {
        let keys: Keys =
            serde_json::from_slice(&self.get(KEY, "/v1/receipts/keys").await.body).expect("keys");
        keys.data.into_iter().map(|key| key.key).collect()
    }

    /// The claims of an answer's receipt, which holds.
    pub(crate) async fn checked(&self, request: &Value, answer: &Answer) -> Claims {
        let receipt = self.receipt_of(answer).await;
        let request = request.to_string();
        self.verify(&receipt.body, Some(request.as_bytes()), Some(&answer.body))
            .await
            .expect("it holds")
    }

    pub(crate) async fn verify(
        &self,
        receipt: &[u8],
        request: Option<&[u8]>,
        response: Option<&[u8]>,
    ) -> Result<Claims, Fault> {
        verify(receipt, request, response, &self.keys().await)
    }

    pub(crate) async fn admin(&self, method: Method, path: &str) -> Answer {
        let token = Token::load(self.data.path()).expect("a token");
        let token = String::from_utf8(token.as_bytes().to_vec()).expect("text");
        read(call(self.gateway.admin_addr, &token, method, path, Bytes::new()).await).await
    }

    pub(crate) async fn stop(self) -> (TempDir, Vec<provider::app::Running>) {
        let Self { gateway, providers, data, .. } = self;
        gateway.stop().await;
        (data, providers)
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

pub(crate) fn receipt(answer: &Answer) -> Receipt {
    serde_json::from_slice(&answer.body).expect("a receipt")
}

/// A chat request, with more members merged in.
pub(crate) fn chat(more: Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": "a canary"}]});
    let (Value::Object(members), Value::Object(more)) = (&mut body, more) else {
        panic!("members are an object");
    };
    members.extend(more);
    body
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
