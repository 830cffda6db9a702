//! A node by hand: dials, joins, and serves what a test wants.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use identity::tls::{Server, client};
use openapi::node::control::{Load, ToGateway, ToNode};
use openapi::node::{
    Capacity, Challenge, Delegation, EXPORTER_LABEL, Feature, Hardware, Hello, Link, Offer, Price,
    Served, Welcome,
};
use openapi::sign::{SecretKey, Signed};
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::harness::{Gateway, WEIGHTS};

/// What the node calls its model.
const THEIRS: &str = "theirs";
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Who a node is.
pub(crate) struct Identity {
    pub(crate) key: SecretKey,
    pub(crate) operator: SecretKey,
    pub(crate) link: Link,
}

/// A connection to a node listener, before the upgrade.
pub(crate) struct Dialed {
    pub(crate) sender: http1::SendRequest<Full<Bytes>>,
    pub(crate) exporter: [u8; 32],
}

/// A node that serves.
pub(crate) struct Node {
    pub(crate) work: Arc<Work>,
    /// What the gateway said, but pings.
    pub(crate) heard: mpsc::UnboundedReceiver<ToNode>,
    say: mpsc::UnboundedSender<Bytes>,
    cut: CancellationToken,
    retire: CancellationToken,
    _run: tokio_util::task::AbortOnDropHandle<()>,
}

/// What became of the requests.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) begun: AtomicU64,
    pub(crate) running: AtomicU32,
    /// Their Authorization headers.
    pub(crate) shown: Mutex<Vec<String>>,
    /// Bytes of `flood` answers that the connection took.
    pub(crate) flooded: AtomicU64,
    /// What the gateway's pings were called.
    pub(crate) pings: Mutex<Vec<u64>>,
    /// Answers well, whatever the prompt asks for.
    pub(crate) is_good: AtomicBool,
    /// Answers with half, for ever, and takes no request's body.
    pub(crate) is_deaf: AtomicBool,
    go: watch::Sender<bool>,
}

struct Running(Arc<Work>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Work {
    /// Lets answers go on that wait.
    pub(crate) fn go(&self) {
        self.go.send_replace(true);
    }

    pub(crate) fn running(&self) -> u32 {
        self.running.load(SeqCst)
    }
}

impl Identity {
    pub(crate) fn new(byte: u8) -> Self {
        Self {
            key: SecretKey::from_seed(&[byte; 32]),
            operator: SecretKey::from_seed(&[byte.wrapping_add(100); 32]),
            link: Link::Tunnel,
        }
    }

    pub(crate) fn hello(&self, challenge: &Challenge, exporter: [u8; 32]) -> Hello {
        let now = challenge.time_ms;
        let delegation = Delegation {
            operator: self.operator.public(),
            node: self.key.public(),
            issued_at_ms: now,
        };
        let price = Price {
            model: THEIRS.to_owned(),
            prompt_pusd: 50_000,
            cached_pusd: None,
            completion_pusd: 100_000,
        };
        let offer = Offer {
            node: self.key.public(),
            sequence: 1,
            issued_at_ms: now,
            valid_until_ms: now + DAY_MS,
            prices: vec![price],
            sla: None,
        };
        Hello {
            protocol: challenge.protocol_max,
            node: self.key.public(),
            delegation: Signed::new(&delegation, &self.operator).expect("signs"),
            gateway: challenge.gateway,
            exporter: hex::encode(exporter),
            nonce: challenge.nonce.clone(),
            time_ms: now,
            link: self.link.clone(),
            hardware: Hardware { backend: "cpu".to_owned(), ..Hardware::default() },
            models: vec![Served {
                id: THEIRS.to_owned(),
                weights_id: Some(WEIGHTS.to_owned()),
                quantization: None,
                kv_dtype: None,
                engine: None,
                template_sha256: None,
                context_length: Some(4096),
                features: vec![Feature::Chat],
            }],
            region: None,
            offer: Signed::new(&offer, &self.key).expect("signs"),
            capacity: Capacity { running_max: 1000, queued_max: 1000 },
            lease_expires_at_ms: None,
            software: "test 1".to_owned(),
        }
    }

    pub(crate) fn sign(&self, hello: &Hello) -> Signed<Hello> {
        Signed::new(hello, &self.key).expect("signs")
    }

    /// Joins and serves.
    pub(crate) async fn join(&self, gateway: &Gateway) -> Node {
        let mut dialed = Dialed::new(gateway).await;
        let welcome = dialed.welcome(self).await;
        Node::serve(dialed.tunnel(&welcome.token).await.expect("an upgrade"))
    }
}

// === impl Dialed ===

pub(crate) async fn tls(gateway: &Gateway) -> TlsStream<TcpStream> {
    let mut config = client(Server::Key(gateway.key()), None).expect("TLS");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(gateway.node_addr()).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS")
}

impl Dialed {
    pub(crate) async fn new(gateway: &Gateway) -> Self {
        let stream = tls(gateway).await;
        let exporter = stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("h1");
        tokio::task::spawn(connection.with_upgrades());
        Self { sender, exporter: exporter.expect("an exporter") }
    }

    pub(crate) async fn request(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.sender.send_request(request).await.expect("an answer")
    }

    pub(crate) async fn get(&mut self, path: &str) -> (StatusCode, Value) {
        read(self.request(Request::get(path).body(Full::default()).expect("a request")).await).await
    }

    pub(crate) async fn challenge(&mut self) -> Challenge {
        let (status, body) = self.get("/node/v1/challenge").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_value(body).expect("a challenge")
    }

    pub(crate) async fn hello(&mut self, hello: &Signed<Hello>) -> (StatusCode, Value) {
        let body = serde_json::to_vec(hello).expect("JSON");
        read(self.request(post(body.into())).await).await
    }

    pub(crate) async fn welcome(&mut self, identity: &Identity) -> Welcome {
        let challenge = self.challenge().await;
        let hello = identity.sign(&identity.hello(&challenge, self.exporter));
        let (status, body) = self.hello(&hello).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_value(body).expect("a welcome")
    }

    pub(crate) async fn tunnel(&mut self, token: &str) -> Result<Upgraded, (StatusCode, Value)> {
        let request = Request::get("/node/v1/tunnel")
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "quorate-node")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Full::default())
            .expect("a request");
        let answer = self.request(request).await;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(read(answer).await);
        }
        Ok(hyper::upgrade::on(answer).await.expect("upgraded"))
    }
}

pub(crate) fn post(body: Bytes) -> Request<Full<Bytes>> {
    let request = Request::post("/node/v1/join").header("content-type", "application/json");
    request.body(Full::new(body)).expect("a request")
}

pub(crate) async fn read(answer: Response<Incoming>) -> (StatusCode, Value) {
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (parts.status, serde_json::from_slice(&bytes).unwrap_or_default())
}

pub(crate) fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

// === impl Node ===

impl Node {
    pub(crate) fn serve(io: Upgraded) -> Self {
        let work = Arc::new(Work::default());
        let (said, heard) = mpsc::unbounded_channel();
        let (say, to_say) = mpsc::unbounded_channel();
        let to_say = Arc::new(Mutex::new(Some(to_say)));
        let (cut, retire) = (CancellationToken::new(), CancellationToken::new());
        let retiring = retire.clone();
        let (on_control, cutting, counted) = (say.clone(), cut.clone(), work.clone());
        let run = tokio::task::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (said, say, to_say) = (said.clone(), on_control.clone(), to_say.clone());
                let (work, cut) = (counted.clone(), cutting.clone());
                async move {
                    Ok::<_, Infallible>(match request.uri().path() {
                        "/node/v1/control" => {
                            let lines = to_say.lock().expect("a lock").take().expect("one control");
                            tokio::task::spawn(listen(request.into_body(), said, say, work));
                            Response::new(Lines(lines).boxed())
                        }
                        _ => answer(request, work, cut).await,
                    })
                }
            });
            let connection = http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(1024)
                .serve_connection(io, service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                () = cutting.cancelled() => {}
                () = retiring.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        _ = connection => {}
                        () = cutting.cancelled() => {}
                    }
                }
            }
        });
        let node = Self {
            work,
            heard,
            say,
            cut,
            retire,
            _run: tokio_util::task::AbortOnDropHandle::new(run),
        };
        node.say(&ToGateway::Heartbeat { sequence: 1, load: Load::default() });
        node
    }

    pub(crate) fn say(&self, message: &ToGateway) {
        self.say_line(serde_json::to_string(message).expect("JSON"));
    }

    pub(crate) fn say_line(&self, line: String) {
        self.say.send(Bytes::from(line + "\n")).expect("somebody listens");
    }

    /// The connection is gone from one moment to the next.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Takes no new streams, and says so by HTTP/2 alone.
    pub(crate) fn goaway(&self) {
        self.retire.cancel();
    }

    /// What the gateway says when it ends the lease.
    pub(crate) async fn bye(&mut self) -> (String, bool) {
        loop {
            if let ToNode::Bye { reason, retry } = self.heard.recv().await.expect("a goodbye") {
                return (reason, retry);
            }
        }
    }
}

/// Hears the gateway, and answers its pings.
async fn listen(
    mut body: Incoming,
    said: mpsc::UnboundedSender<ToNode>,
    say: mpsc::UnboundedSender<Bytes>,
    work: Arc<Work>,
) {
    let mut text = String::new();
    while let Some(Ok(frame)) = body.frame().await {
        text += std::str::from_utf8(frame.data_ref().expect("data")).expect("UTF-8");
        while let Some((line, rest)) = text.split_once('\n') {
            let message: ToNode = serde_json::from_str(line).expect("a message");
            text = rest.to_owned();
            if let ToNode::Ping { sequence } = message {
                work.pings.lock().expect("a lock").push(sequence);
                let pong = serde_json::to_string(&ToGateway::Pong { sequence }).expect("JSON");
                let _gone = say.send(Bytes::from(pong + "\n"));
            } else {
                let _gone = said.send(message);
            }
        }
    }
}

struct Lines(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// The prompt says what to do.
async fn answer(
    request: Request<Incoming>,
    work: Arc<Work>,
    cut: CancellationToken,
) -> Response<BoxBody<Bytes, Infallible>> {
    work.begun.fetch_add(1, SeqCst);
    work.running.fetch_add(1, SeqCst);
    let running = Running(work.clone());
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default();
    work.shown.lock().expect("a lock").push(shown);
    if work.is_deaf.load(SeqCst) {
        std::mem::forget(request.into_body());
        let (pieces, then) = (vec![event("half", None)].into(), Then::Hang);
        let answer = Answer { pieces, then, work, waiting: None, _running: running };
        let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
        return response.body(answer.boxed()).expect("a response");
    }
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let prompt = body["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
    let prompt = if work.is_good.load(SeqCst) { String::new() } else { prompt };
    if prompt == "no head" {
        std::future::pending::<()>().await;
    }
    if prompt == "leave before the head" {
        cut.cancel();
        std::future::pending::<()>().await;
    }
    let (pieces, then) = match prompt.as_str() {
        "no content" => (vec![], Then::Hang),
        "leave before content" => (vec![], Then::Cut(cut)),
        "half" => (vec![event("half", None)], Then::Hang),
        "leave" => (vec![event("half", None)], Then::Cut(cut)),
        "flood" => (vec![event("flood", None)], Then::Flood),
        "boast" => (whole().into_iter().map(boasting).collect(), Then::End),
        "wait" => (vec![event("ready", None)], Then::Wait(work.go.subscribe())),
        _ => (whole(), Then::End),
    };
    let answer = Answer { pieces: pieces.into(), then, work, waiting: None, _running: running };
    Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .header("x-quorate-load", "running=7,queued=2,kv=0.50")
        .body(answer.boxed())
        .expect("a response")
}

fn whole() -> Vec<Bytes> {
    vec![event("he", None), event("llo", None), event("", Some("stop")), "data: [DONE]\n\n".into()]
}

/// As many tokens as fit into a number.
fn boasting(piece: Bytes) -> Bytes {
    let boast = r#""completion_tokens":18446744073709551615"#;
    String::from_utf8_lossy(&piece).replace(r#""completion_tokens":2"#, boast).into()
}

fn event(content: &str, finish: Option<&str>) -> Bytes {
    let event = serde_json::json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": THEIRS,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": finish}],
        "usage": finish.map(|_| serde_json::json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})),
    });
    format!("data: {event}\n\n").into()
}

struct Answer {
    pieces: VecDeque<Bytes>,
    then: Then,
    work: Arc<Work>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    _running: Running,
}

/// When the pieces are out.
enum Then {
    End,
    Hang,
    /// The connection breaks, once the pieces are through.
    Cut(CancellationToken),
    /// Goes on for ever.
    Flood,
    /// The rest comes when the test says so.
    Wait(watch::Receiver<bool>),
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            if let Some(piece) = this.pieces.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if let Some(waiting) = &mut this.waiting {
                if waiting.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                (this.waiting, this.pieces) = (None, whole().into());
                this.then = Then::End;
                continue;
            }
            match &mut this.then {
                Then::End => return Poll::Ready(None),
                Then::Hang => return Poll::Pending,
                Then::Cut(cut) => {
                    let cut = cut.clone();
                    // The connection writes what it has before it looks at this again.
                    tokio::task::spawn(async move {
                        tokio::task::yield_now().await;
                        tokio::task::yield_now().await;
                        cut.cancel();
                    });
                    this.then = Then::Hang;
                }
                Then::Flood => {
                    let piece = event(&"x".repeat(8 * 1024), None);
                    this.work.flooded.fetch_add(piece.len() as u64, SeqCst);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Then::Wait(go) => {
                    let mut go = go.clone();
                    this.waiting = Some(Box::pin(async move {
                        let _ended = go.wait_for(|go| *go).await;
                    }));
                }
            }
        }
    }
}

/// Where a raw connection goes.
pub(crate) async fn raw(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).await.expect("connects")
}
