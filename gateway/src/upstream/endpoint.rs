//! One provider as the gateway reaches it: which way, and with which credentials. A static upstream of
//! the configuration, or a node that joined.

use http::{HeaderValue, Uri, uri::PathAndQuery};
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::Context;
use url::Url;

use super::link::LinkBody;
use super::pool::Pool;
use super::tunnel::STREAMS_MAX;
use super::way::{Dialed, Security, Way};
use crate::config::{Limits, Upstream};
use crate::request::{self, Dialect};

mod joined;

pub struct Endpoint {
    pub id: Arc<str>,
    pub operator: Arc<str>,
    /// The id as a response header's value.
    pub id_header: HeaderValue,
    pub(super) way: Way,
    pub(super) dialect: Dialect,
    /// Whether it goes on with an answer that it is told as the assistant's turn so far.
    pub(crate) continues: bool,
    /// HTTP/1.1 asks for it; HTTP/2 has it in its URIs.
    pub(super) host_header: Option<HeaderValue>,
    pub(super) authorization: Option<HeaderValue>,
    uris: [Uri; 3],
    in_flight: AtomicU32,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("id", &self.id)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("upstream {id}: {what}")]
pub struct Invalid {
    id: String,
    /// One sentence's end.
    pub(crate) what: String,
}

impl Endpoint {
    /// # Errors
    /// A URL, id or key that can't be used.
    pub fn new(upstream: &Upstream, limits: &Limits) -> Result<Self, Invalid> {
        let invalid = |what: &str| Invalid::new(&upstream.id, what);
        let url = &upstream.base_url;
        let security = match url.scheme() {
            "https" => Security::Public,
            "http" => Security::Plain,
            _ => return Err(invalid("base_url must be http or https")),
        };
        let base = url.path().trim_end_matches('/');
        let uri = |path: &str| match format!("{base}/{path}").parse::<PathAndQuery>() {
            Ok(path) => Ok(Uri::from(path)),
            Err(_) => Err(invalid("base_url's path is not usable")),
        };
        let key = upstream.api_key.as_ref().map(|key| bearer(key.expose_secret())).transpose();
        let authorization = key.map_err(|_| invalid("api_key does not fit into a header"))?;
        let (way, host) = dialed(url, security, upstream.allow_private, limits).map_err(invalid)?;
        Ok(Self {
            dialect: upstream.dialect,
            continues: upstream.continues,
            host_header: Some(host),
            authorization,
            ..Self::by(
                &upstream.id,
                &upstream.operator,
                way,
                [uri("chat/completions")?, uri("completions")?, uri("embeddings")?],
            )?
        })
    }

    /// Without credentials.
    fn by(id: &str, operator: &str, way: Way, uris: [Uri; 3]) -> Result<Self, Invalid> {
        Ok(Self {
            id: id.into(),
            operator: operator.into(),
            id_header: HeaderValue::from_str(id)
                .map_err(|_| Invalid::new(id, "id does not fit into a header"))?,
            way,
            dialect: Dialect::default(),
            continues: false,
            host_header: None,
            authorization: None,
            uris,
            in_flight: AtomicU32::new(0),
        })
    }

    /// Where this provider serves what the client asked for.
    pub(super) fn uri(&self, asked: request::Endpoint) -> &Uri {
        let [chat, completions, embeddings] = &self.uris;
        match asked {
            request::Endpoint::ChatCompletions => chat,
            request::Endpoint::Completions => completions,
            request::Endpoint::Embeddings => embeddings,
        }
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether it can be asked for one more answer.
    pub(super) fn has_room(&self, limits: &Limits) -> bool {
        let max = match self.way {
            Way::Dialed(_) => limits.upstream_connections,
            Way::Tunnel(_) => limits.upstream_connections.min(STREAMS_MAX as usize),
        };
        (self.in_flight() as usize) < max && self.way.is_open()
    }

    /// Its idle connections, where they are dialled here.
    pub fn pool(&self) -> Option<&Pool> {
        match &self.way {
            Way::Dialed(dialed) => Some(&dialed.pool),
            Way::Tunnel(_) => None,
        }
    }

    /// The connection of a body that has ended, if it can be used again.
    pub(super) fn take_back(&self, body: LinkBody, cx: &mut Context<'_>) {
        if let Some(pool) = self.pool() {
            pool.give_body(body, cx);
        }
    }

    /// Nothing more is sent there. A tunnel is cut, with what it carries.
    pub fn close(&self) {
        self.way.close();
    }

    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.clone())
    }
}

// === impl Invalid ===

impl Invalid {
    fn new(id: &str, what: impl Into<String>) -> Self {
        Self { id: id.to_owned(), what: what.into() }
    }
}

/// The way to a URL's host, and the header that names it; or what is wrong with the URL.
fn dialed(
    url: &Url,
    security: Security,
    allow_private: bool,
    limits: &Limits,
) -> Result<(Way, HeaderValue), &'static str> {
    let host = url.host_str().ok_or("the URL has no host")?;
    let port = url.port_or_known_default().ok_or("the URL has no port")?;
    let header = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let header =
        HeaderValue::from_str(&header).map_err(|_| "the URL's host does not fit into a header")?;
    let way = Way::Dialed(Dialed {
        // An IPv6 literal's brackets belong to the URL, not to the address.
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port,
        allow_private,
        security,
        pool: Pool::new(limits.upstream_idle, limits.upstream_idle_for),
    });
    Ok((way, header))
}

/// An Authorization header's value, which is printed by nothing.
fn bearer(secret: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// One attempt in progress on an endpoint.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Endpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
