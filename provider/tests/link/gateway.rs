//! A gateway as far as a node sees one: TLS, challenge, welcome, upgrade. It can lie.

use crate::tunnel::Tunnel;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONNECTION, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use identity::Certificate;
use identity::tls::{self, Client};
use openapi::error::ErrorBody;
use openapi::node::{
    CHALLENGE_PATH, Challenge, EXPORTER_LABEL, Granted, Hello, JOIN_PATH, Selling, Standing,
    TUNNEL_PATH, Welcome,
};
use openapi::sign::{SecretKey, Signed};
use provider::app::{Joining, Running};
use provider::engine::scripted::Options;
use provider::testing;
use rustls::ServerConfig;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(crate) const MODEL: &str = "acme/tiny:1";

/// A hello as it came.
pub(crate) struct Heard {
    pub(crate) hello: Hello,
    pub(crate) authorization: Option<String>,
    pub(crate) exporter: [u8; 32],
    pub(crate) nonce: String,
}

/// A change of the welcome.
pub(crate) type Twist = fn(&mut Granted);

/// How it answers.
pub(crate) struct Manner {
    /// Said in the challenge instead of its own key.
    pub(crate) claims: SecretKey,
    /// Signs the welcome.
    pub(crate) signs: SecretKey,
    pub(crate) twist: Twist,
    pub(crate) refuses: Option<(StatusCode, &'static str)>,
    pub(crate) lease_ms: u64,
    pub(crate) heartbeat_ms: u64,
}

pub(crate) struct Gateway {
    pub(crate) key: SecretKey,
    pub(crate) addr: SocketAddr,
    pub(crate) heard: mpsc::UnboundedReceiver<Heard>,
    pub(crate) tunnels: mpsc::UnboundedReceiver<Tunnel>,
    _tasks: JoinSet<()>,
}

struct Inside {
    manner: Manner,
    said: mpsc::UnboundedSender<Heard>,
    opened: mpsc::UnboundedSender<Tunnel>,
    count: AtomicU64,
}

/// One connection's memory.
struct Talk {
    exporter: [u8; 32],
    nonce: String,
    token: Mutex<Option<String>>,
}

pub(crate) fn key(byte: u8) -> SecretKey {
    SecretKey::from_seed(&[byte; 32])
}

pub(crate) fn manner(byte: u8) -> Manner {
    Manner {
        claims: key(byte),
        signs: key(byte),
        twist: |_| {},
        refuses: None,
        lease_ms: 60_000,
        heartbeat_ms: 20_000,
    }
}

/// A member that serves [`MODEL`] by `script`.
pub(crate) async fn member(
    gateways: &[String],
    script: Value,
    change: impl FnOnce(&mut Joining, &mut Options),
) -> Running {
    let member = testing::member(gateways, |joining, options| {
        options.models = vec![MODEL.to_owned()];
        options.script = testing::parse(script).unwrap();
        change(joining, options);
    });
    member.await.unwrap()
}

impl Gateway {
    /// An honest one with the key of 32 such bytes.
    pub(crate) async fn start(byte: u8) -> Self {
        Self::with(byte, manner(byte)).await
    }

    pub(crate) async fn with(byte: u8, manner: Manner) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), byte, manner).await
    }

    pub(crate) async fn at(addr: SocketAddr, byte: u8, manner: Manner) -> Self {
        provider::app::install_crypto();
        let certificate = Certificate::self_signed(&key(byte), &["127.0.0.1".to_owned()]).unwrap();
        let config = tls::server(certificate, Client::Unasked).unwrap();
        Self::over(config, addr, byte, manner).await
    }

    /// With any certificate.
    pub(crate) async fn over(
        mut config: ServerConfig,
        addr: SocketAddr,
        byte: u8,
        manner: Manner,
    ) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (said, heard) = mpsc::unbounded_channel();
        let (opened, tunnels) = mpsc::unbounded_channel();
        let inside = Arc::new(Inside { manner, said, opened, count: AtomicU64::new(0) });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, inside) = (tls.clone(), Arc::clone(&inside));
                connections.spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        inside.serve(stream).await;
                    }
                });
            }
        });
        Self { key: key(byte), addr, heard, tunnels, _tasks: tasks }
    }

    /// Its URL, with its key.
    pub(crate) fn pinned(&self) -> String {
        format!("https://{}#{}", self.addr, self.key.public())
    }

    pub(crate) async fn heard(&mut self) -> Heard {
        self.heard.recv().await.unwrap()
    }

    pub(crate) async fn tunnel(&mut self) -> Tunnel {
        self.tunnels.recv().await.unwrap()
    }
}

impl Inside {
    async fn serve(
        self: Arc<Self>,
        stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    ) {
        let number = self.count.fetch_add(1, Relaxed);
        let (_, session) = stream.get_ref();
        let exporter = session.export_keying_material([0; 32], EXPORTER_LABEL, None).unwrap();
        let nonce = format!("{number:064x}");
        let talk = Arc::new(Talk { exporter, nonce, token: Mutex::new(None) });
        let service = service_fn(move |request: Request<Incoming>| {
            let (inside, talk) = (Arc::clone(&self), Arc::clone(&talk));
            async move { Ok::<_, Infallible>(inside.answer(&talk, request).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let _ended = served.await;
    }

    async fn answer(
        self: Arc<Self>,
        talk: &Talk,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
        let (path, headers) = (request.uri().path().to_owned(), request.headers().clone());
        match path.as_str() {
            CHALLENGE_PATH => json(&Challenge {
                protocol_min: 1,
                protocol_max: 3,
                gateway: self.manner.claims.public(),
                nonce: talk.nonce.clone(),
                time_ms: 1,
            }),
            JOIN_PATH => {
                let body = request.body_mut().collect().await.unwrap().to_bytes();
                self.join(talk, &headers, &body)
            }
            TUNNEL_PATH => {
                let token = talk.token.lock().unwrap().clone().unwrap();
                assert_eq!(text(&headers, AUTHORIZATION), Some(format!("Bearer {token}")));
                assert_eq!(text(&headers, UPGRADE).as_deref(), Some("quorate-node"));
                let upgraded = hyper::upgrade::on(request);
                let opened = self.opened.clone();
                #[expect(clippy::disallowed_methods, reason = "ends with its connection")]
                tokio::task::spawn(async move {
                    if let Ok(io) = upgraded.await {
                        let _gone = opened.send(Tunnel::open(io, token).await);
                    }
                });
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
                response.headers_mut().insert(UPGRADE, "quorate-node".parse().unwrap());
                response
            }
            other => panic!("a node asks for {other}"),
        }
    }

    fn join(&self, talk: &Talk, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        let signed: Signed<Hello> = serde_json::from_slice(body).unwrap();
        let node = signed.claims().unwrap().node;
        let hello = signed.open(&node).unwrap();
        let models = hello.models.clone();
        let _nobody_asks = self.said.send(Heard {
            hello,
            authorization: text(headers, AUTHORIZATION),
            exporter: talk.exporter,
            nonce: talk.nonce.clone(),
        });
        if let Some((status, code)) = self.manner.refuses {
            let error = ErrorBody::new("invalid_request_error", "no", None, Some(code));
            let mut response = Response::new(Body::from(error.to_json()));
            *response.status_mut() = status;
            return response;
        }
        let mut granted = Granted {
            gateway: self.manner.claims.public(),
            node,
            exporter: hex::encode(talk.exporter),
            hello_sha256: hex::encode(Sha256::digest(signed.statement.as_bytes())),
            lease_id: "lease-1".to_owned(),
            lease_ms: self.manner.lease_ms,
            heartbeat_ms: self.manner.heartbeat_ms,
            standing: Standing::Probation,
            provider: node.short(),
            selling: models
                .into_iter()
                .map(|model| Selling { name: model.id.clone(), model: model.id, verified: true })
                .collect(),
        };
        (self.manner.twist)(&mut granted);
        let granted = Signed::new(&granted, &self.manner.signs).unwrap();
        let token =
            hex::encode(Sha256::digest(format!("{}{}", self.manner.signs.public(), talk.nonce)));
        *talk.token.lock().unwrap() = Some(token.clone());
        json(&Welcome { granted, token })
    }
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn json(value: &impl serde::Serialize) -> Response<Body> {
    Response::new(Body::from(serde_json::to_vec(value).unwrap()))
}

/// A chat request's body.
pub(crate) fn chat(stream: bool) -> Value {
    json!({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}
