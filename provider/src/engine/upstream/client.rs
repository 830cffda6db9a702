//! The HTTP client towards the fronted server: timeouts, key, no redirects, no other host.

use super::Options;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::uri::{Parts, PathAndQuery};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use std::time::Duration;

/// Connections kept open without use.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// Of an answer that is read here: the likeliest of 2,048 positions are about 3 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// The fronted server's key. Never printed.
#[derive(Debug, Clone)]
pub struct ApiKey(HeaderValue);

/// The options can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SetupError {
    #[error("base_url must be http://… or https://… with a host")]
    BaseUrl,
    #[error("base_url must not hold a name or a password, which logs would show; use api_key")]
    UserInfo,
    #[error("the key holds characters no header can carry")]
    ApiKey,
    #[error("TLS can't be set up: {0}")]
    Tls(String),
    #[error("a model's files can't be used: {0}")]
    Files(String),
}

impl ApiKey {
    pub fn new(key: &str) -> Result<Self, SetupError> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| SetupError::ApiKey)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

#[derive(Debug)]
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: Parts,
    /// Without a slash at its end.
    base_path: String,
    key: Option<ApiKey>,
    header_timeout: Duration,
}

impl Client {
    pub(super) fn new(options: &Options) -> Result<Self, SetupError> {
        let scheme = options.base_url.scheme_str();
        if !matches!(scheme, Some("http" | "https")) || options.base_url.host().is_none() {
            return Err(SetupError::BaseUrl);
        }
        if options.base_url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(SetupError::UserInfo);
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(options.connect_timeout));
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|error| SetupError::Tls(error.to_string()))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(https);
        Ok(Self {
            http,
            base_path: options.base_url.path().trim_end_matches('/').to_owned(),
            base: options.base_url.clone().into_parts(),
            key: options.api_key.clone(),
            header_timeout: options.header_timeout,
        })
    }

    /// `path` is ours (`/v1/…`); the version is part of the base URL there.
    pub(super) async fn post(&self, path: &str, body: Bytes) -> Result<Response<Incoming>, String> {
        self.send(Method::POST, path, body).await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Response<Incoming>, String> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// What no OpenAI client asks: a path below the server's own root, or of ours, and JSON both ways.
    pub(super) async fn ask(&self, path: &str, body: &Value) -> Result<Value, String> {
        let sent = self.send(Method::POST, path, Bytes::from(body.to_string())).await?;
        let status = sent.status();
        if !status.is_success() {
            return Err(format!("{path} answers {}", status.as_u16()));
        }
        let body = Limited::new(sent.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| format!("{path}: {error}"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.uri(path)?)
            .header(ACCEPT, HeaderValue::from_static("*/*"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        if let Some(ApiKey(key)) = &self.key {
            request.headers_mut().insert(AUTHORIZATION, key.clone());
        }
        let sent = tokio::time::timeout(self.header_timeout, self.http.request(request)).await;
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err("can't be reached".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", self.header_timeout.as_secs())),
        }
    }

    fn uri(&self, path: &str) -> Result<Uri, String> {
        let path = match path.strip_prefix("/v1") {
            Some(path) => format!("{}{path}", self.base_path),
            // Beside the version, not below it.
            None => format!("{}{path}", self.base_path.strip_suffix("/v1").unwrap_or_default()),
        };
        let mut parts = Parts::default();
        parts.scheme.clone_from(&self.base.scheme);
        parts.authority.clone_from(&self.base.authority);
        parts.path_and_query =
            Some(PathAndQuery::try_from(path).map_err(|error| error.to_string())?);
        Uri::from_parts(parts).map_err(|error| error.to_string())
    }
}
