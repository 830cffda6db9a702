//! The admin API of a running gateway, as a client. It speaks to one address, with the token that lies
//! in the data folder, and prints no secret.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openapi::error::ErrorBody;
use openapi::keys::{KeyList, KeyRequest, KeyRevoked, NewKey};
use openapi::nodes::{EjectRequest, NodeChanged, NodeDetail, NodeList};
use openapi::receipt;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

use crate::http::admin::{self, Token};

const KEYS: &str = "/admin/v1/keys";
const NODES: &str = "/admin/v1/nodes";
const RECEIPTS: &str = "/admin/v1/receipts";
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Remote {
    /// Host and port.
    authority: String,
    token: Token,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("its admin API is not known: name it with --admin URL")]
    NoAddress,
    #[error("--admin {0:?} is not of the form http://HOST:PORT")]
    Address(String),
    #[error("its token can't be read: {0}")]
    Token(#[from] admin::TokenError),
    #[error(
        "its admin API at http://{authority} does not answer ({cause}): name it with --admin URL"
    )]
    Silent { authority: String, cause: String },
    #[error(
        "the admin API at http://{0} does not take its token: it is another gateway's; name the right one with --admin URL"
    )]
    Stranger(String),
    #[error("it refused: {0}")]
    Refused(String),
}

impl Remote {
    pub(super) fn new(data: &Path, given: Option<&str>) -> Result<Self, Error> {
        let authority = match given {
            Some(url) => {
                let bare = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
                let is_address = bare
                    .parse::<http::uri::Authority>()
                    .is_ok_and(|authority| authority.port_u16().is_some() && !bare.contains('@'));
                if !is_address {
                    return Err(Error::Address(url.to_owned()));
                }
                bare.to_owned()
            }
            None => admin::known_addr(data).ok_or(Error::NoAddress)?.to_string(),
        };
        Ok(Self { authority, token: Token::load(data)? })
    }

    pub(super) async fn create(&self, request: &KeyRequest) -> Result<NewKey, Error> {
        let body =
            serde_json::to_vec(request).map_err(|error| Error::Refused(error.to_string()))?;
        self.ask(Method::POST, KEYS.to_owned(), body).await
    }

    pub(super) async fn list(&self, after: Option<&str>, limit: usize) -> Result<KeyList, Error> {
        let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
        self.ask(Method::GET, format!("{KEYS}?limit={limit}{after}"), Vec::new()).await
    }

    pub(super) async fn revoke(&self, id_or_name: &str) -> Result<KeyRevoked, Error> {
        let path = format!("{KEYS}/{}", escaped(id_or_name));
        self.ask(Method::DELETE, path, Vec::new()).await
    }

    pub(super) async fn nodes(&self, after: Option<&str>, limit: usize) -> Result<NodeList, Error> {
        let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
        self.ask(Method::GET, format!("{NODES}?limit={limit}{after}"), Vec::new()).await
    }

    pub(super) async fn node(&self, id: &str) -> Result<NodeDetail, Error> {
        self.ask(Method::GET, format!("{NODES}/{}", escaped(id)), Vec::new()).await
    }

    pub(super) async fn eject(&self, id: &str, reason: String) -> Result<NodeChanged, Error> {
        let body = serde_json::to_vec(&EjectRequest { reason: Some(reason) });
        let body = body.map_err(|error| Error::Refused(error.to_string()))?;
        self.ask(Method::POST, format!("{NODES}/{}/eject", escaped(id)), body).await
    }

    pub(super) async fn readmit(&self, id: &str) -> Result<NodeChanged, Error> {
        self.ask(Method::POST, format!("{NODES}/{}/readmit", escaped(id)), Vec::new()).await
    }

    pub(super) async fn drain(&self, id: &str) -> Result<NodeChanged, Error> {
        self.ask(Method::POST, format!("{NODES}/{}/drain", escaped(id)), Vec::new()).await
    }

    /// As it was signed for, members of later versions included.
    pub(super) async fn receipt(&self, id: &str) -> Result<serde_json::Value, Error> {
        self.ask(Method::GET, format!("{RECEIPTS}/{}", escaped(id)), Vec::new()).await
    }

    pub(super) async fn rotate_receipt_key(&self) -> Result<receipt::Key, Error> {
        self.ask(Method::POST, format!("{RECEIPTS}/rotate-key"), Vec::new()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
    ) -> Result<T, Error> {
        let silent = |cause: String| Error::Silent { authority: self.authority.clone(), cause };
        let exchange = tokio::time::timeout(PATIENCE, self.exchange(method, path, body));
        let (status, body) = match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(cause)) => return Err(silent(cause.to_string())),
            Err(_) => return Err(silent("it takes too long".to_owned())),
        };
        if status == StatusCode::UNAUTHORIZED {
            return Err(Error::Stranger(self.authority.clone()));
        }
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| silent(error.to_string()));
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => Err(Error::Refused(body.error.message)),
            Err(_) => Err(silent(format!("it answered {status}"))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, self.token.bearer()?)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))?;
        let answered = async move {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?;
            Ok((status, body.to_bytes()))
        };
        tokio::join!(answered, connection).0
    }
}

/// One segment of a path.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for &byte in text.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(escaped("a b/ключ"), "a%20b%2F%D0%BA%D0%BB%D1%8E%D1%87");
    }
}
