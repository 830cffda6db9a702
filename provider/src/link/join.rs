//! Joining on a fresh connection: challenge, hello, welcome, upgrade. The gateway is believed to be
//! who it says it is only when its welcome, signed for this very connection and this very hello, has
//! been read.

use super::dial::Dialled;
use super::lease::Token;
use super::{Fault, Gateway, Node, hello, words};
use crate::engine::ModelInfo;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use openapi::error::ErrorBody;
use openapi::node::{
    self, CHALLENGE_PATH, CLOCK_SKEW_MS, Challenge, Granted, HELLO_BYTES_MAX, JOIN_PATH, PROTOCOL,
    TUNNEL_PATH, Welcome,
};
use openapi::sign::{PublicKey, Signed};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Each answer of the gateway's.
const ANSWER: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A lease and the connection it is on.
pub(super) struct Joined {
    pub(super) granted: Granted,
    pub(super) token: Token,
    pub(super) io: Upgraded,
    /// What the hello said is served.
    pub(super) models: Vec<ModelInfo>,
    /// Number of the offer in the hello.
    pub(super) offer: u64,
    /// When rented capacity ends, as the hello said.
    pub(super) ends: Option<i64>,
}

/// Joins; what fails on the way leaves nothing behind.
pub(super) async fn join(
    node: &Node,
    gateway: &Gateway,
    dialled: Dialled,
) -> Result<Joined, Fault> {
    let Dialled { stream, exporter } = dialled;
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with `sender`, or hands the connection over.
    drop(node.shutdown.tracker().spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a gateway ended");
        }
    }));
    let mut talk = Talk { sender, host: host(gateway)? };
    let challenge: Challenge = read(talk.get(CHALLENGE_PATH).await?).await?;
    check(&challenge, gateway, node.clock.unix_millis())?;
    let said = hello::sign(node, &challenge, &exporter).map_err(Fault::Own)?;
    let hello::Said { hello, models, offer, ends } = said;
    let hello_sha256 = hex::encode(Sha256::digest(hello.statement.as_bytes()));
    let welcome: Welcome = read(talk.join(&hello, gateway).await?).await?;
    let expected = Expected { gateway: challenge.gateway, node, exporter: &exporter, hello_sha256 };
    let granted = words::of_granted(expected.check(&welcome.granted)?);
    let token = Token::parse(&welcome.token)
        .ok_or_else(|| Fault::Impostor("its lease token is no token".to_owned()))?;
    let io = talk.upgrade(&welcome.token).await?;
    Ok(Joined { granted, token, io, models, offer, ends })
}

/// Whether to say hello at all.
fn check(challenge: &Challenge, gateway: &Gateway, now_ms: i64) -> Result<(), Fault> {
    if gateway.key.is_some_and(|pinned| pinned != challenge.gateway) {
        let said = challenge.gateway;
        return Err(Fault::Impostor(format!("its key is {said}, not the one that is pinned")));
    }
    let Challenge { protocol_min, protocol_max, .. } = *challenge;
    if !(protocol_min..=protocol_max).contains(&PROTOCOL) {
        return Err(Fault::Protocol(format!(
            "it speaks protocols {protocol_min} to {protocol_max}, this program {PROTOCOL}"
        )));
    }
    let ahead_ms = now_ms.saturating_sub(challenge.time_ms);
    if ahead_ms.saturating_abs() > CLOCK_SKEW_MS {
        tracing::warn!(
            gateway = %gateway.url,
            ahead_s = ahead_ms / 1000,
            "this machine's clock differs from the gateway's by more than a minute; \
             it will refuse this node until the wrong one is set right"
        );
    }
    Ok(())
}

/// What an honest welcome says.
struct Expected<'a> {
    gateway: PublicKey,
    node: &'a Node,
    exporter: &'a [u8],
    hello_sha256: String,
}

impl Expected<'_> {
    fn check(&self, granted: &Signed<Granted>) -> Result<Granted, Fault> {
        let impostor = |what: &str| Fault::Impostor(what.to_owned());
        let granted = granted
            .open(&self.gateway)
            .map_err(|error| Fault::Impostor(format!("its welcome is not its own: {error}")))?;
        if granted.gateway != self.gateway {
            return Err(impostor("its welcome names another gateway"));
        }
        if granted.node != self.node.key.public() {
            return Err(impostor("its welcome is for another node"));
        }
        if granted.exporter != hex::encode(self.exporter) {
            return Err(impostor("its welcome is for another connection"));
        }
        if granted.hello_sha256 != self.hello_sha256 {
            return Err(impostor("its welcome answers another hello"));
        }
        if granted.heartbeat_ms == 0 || granted.lease_ms < granted.heartbeat_ms {
            return Err(impostor("its lease ends before a heartbeat is due"));
        }
        Ok(granted)
    }
}

/// The requests on the connection.
struct Talk {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Talk {
    async fn get(&mut self, path: &'static str) -> Result<Response<Incoming>, Fault> {
        self.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await
    }

    async fn join(
        &mut self,
        hello: &Signed<node::Hello>,
        gateway: &Gateway,
    ) -> Result<Response<Incoming>, Fault> {
        let body = serde_json::to_vec(hello).map_err(|error| Fault::Own(error.to_string()))?;
        if body.len() > HELLO_BYTES_MAX {
            return Err(Fault::Own("the hello is longer than a gateway reads".to_owned()));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &gateway.join_token {
            headers.insert(AUTHORIZATION, bearer(token.expose_secret())?);
        }
        self.send(Method::POST, JOIN_PATH, headers, body.into()).await
    }

    async fn upgrade(&mut self, token: &str) -> Result<Upgraded, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(node::UPGRADE));
        headers.insert(AUTHORIZATION, bearer(token)?);
        let response = self.send(Method::GET, TUNNEL_PATH, headers, Bytes::new()).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(response).await);
        }
        hyper::upgrade::on(response).await.map_err(broken)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &'static str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Fault> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = http::Uri::from_static(path);
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, self.host.clone());
        self.sender.ready().await.map_err(broken)?;
        tokio::time::timeout(ANSWER, self.sender.send_request(request))
            .await
            .map_err(|_| Fault::Broken("no answer in time".to_owned()))?
            .map_err(broken)
    }
}

fn host(gateway: &Gateway) -> Result<HeaderValue, Fault> {
    let authority = gateway.url.authority();
    HeaderValue::from_str(authority).map_err(|error| Fault::Own(error.to_string()))
}

fn bearer(token: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Fault::Own("the token fits into no header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A good answer's JSON, or why there is none.
async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, Fault> {
    if response.status() != StatusCode::OK {
        return Err(refusal(response).await);
    }
    let body = body(response).await?;
    // What the library would say of the text may show it, and a welcome holds a token.
    serde_json::from_slice(&body)
        .map_err(|error| Fault::Broken(format!("its answer can't be read: line {}", error.line())))
}

async fn refusal(response: Response<Incoming>) -> Fault {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let body = body(response).await.unwrap_or_default();
    let (code, message) = match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(ErrorBody { error }) => (error.code.unwrap_or_default(), error.message),
        Err(_) => (String::new(), "without saying why".to_owned()),
    };
    let message = words::plain(&message);
    let code = code.chars().filter(char::is_ascii_graphic).take(64).collect();
    Fault::Refused { status, code, message, after }
}

async fn body(response: Response<Incoming>) -> Result<Bytes, Fault> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
    let body = tokio::time::timeout(ANSWER, body)
        .await
        .map_err(|_| Fault::Broken("its answer does not end".to_owned()))?;
    Ok(body.map_err(|error| Fault::Broken(error.to_string()))?.to_bytes())
}

fn broken(error: hyper::Error) -> Fault {
    Fault::Broken(error.to_string())
}
