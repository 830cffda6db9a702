//! A gateway's end of a tunnel: requests and the control exchange.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioExecutor;
use openapi::node::CONTROL_PATH;
use openapi::node::control::{ToGateway, ToNode};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) struct Tunnel {
    pub(crate) token: String,
    sender: SendRequest<Body>,
    connection: JoinSet<()>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Tunnel {
    pub(crate) async fn open(io: Upgraded, token: String) -> Self {
        let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        let mut connection = JoinSet::new();
        connection.spawn(async move { drop(driver.await) });
        Self { token, sender, connection }
    }

    /// The head; the body is read by the caller.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Body,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("http://node{path}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.sender.clone().send_request(request.body(body).unwrap()).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        whole(self.send(Method::GET, path, token, Body::empty()).await).await
    }

    /// With the right token and these headers, read to its end.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Value,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://node{path}"));
        request = request.header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        whole(self.sender.clone().send_request(request.body(body).unwrap()).await.unwrap()).await
    }

    /// With the right token.
    pub(crate) async fn chat(&self, body: Value) -> Response<Incoming> {
        let body = Body::from(body.to_string());
        self.send(Method::POST, "/v1/chat/completions", Some(&self.token), body).await
    }

    pub(crate) async fn control(&self) -> Control {
        let (out, lines) = mpsc::channel::<Bytes>(16);
        let lines = futures_util::stream::unfold(lines, |mut lines| async {
            let line = lines.recv().await?;
            Some((Ok::<_, std::io::Error>(line), lines))
        });
        let body = Body::from_stream(lines);
        let response = self.send(Method::POST, CONTROL_PATH, Some(&self.token), body).await;
        assert_eq!(response.status(), 200);
        Control { out, body: response.into_body(), buffer: BytesMut::new() }
    }

    /// The node has closed the connection.
    pub(crate) async fn closed(mut self) {
        drop(self.sender);
        self.connection.join_next().await.unwrap().unwrap();
    }
}

pub(crate) async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, text }
}

pub(crate) struct Control {
    out: mpsc::Sender<Bytes>,
    body: Incoming,
    buffer: BytesMut,
}

impl Control {
    pub(crate) async fn say(&self, message: &ToNode) {
        self.raw(&(serde_json::to_string(message).unwrap() + "\n")).await;
    }

    pub(crate) async fn raw(&self, text: &str) {
        self.out.send(Bytes::from(text.to_owned())).await.unwrap();
    }

    /// What the node says next; `None` when it has ended the exchange.
    pub(crate) async fn next(&mut self) -> Option<ToGateway> {
        loop {
            if let Some(at) = self.buffer.iter().position(|byte| *byte == b'\n') {
                return Some(serde_json::from_slice(&self.buffer.split_to(at + 1)).unwrap());
            }
            let frame = self.body.frame().await?.ok()?;
            self.buffer.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// The next message that is no heartbeat; heartbeats are answered.
    pub(crate) async fn news(&mut self) -> Option<ToGateway> {
        loop {
            match self.next().await? {
                ToGateway::Heartbeat { sequence, .. } => {
                    let renewed = serde_json::to_string(&ToNode::Renewed { sequence }).unwrap();
                    // The node may have ended the exchange behind its heartbeat.
                    let _gone = self.out.send(Bytes::from(renewed + "\n")).await;
                }
                news => return Some(news),
            }
        }
    }
}
