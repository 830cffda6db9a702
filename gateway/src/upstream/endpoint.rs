//! One provider as the gateway reaches it: where, with which credentials, its pooled connections,
//! and how it has been doing. A static upstream of the configuration today.

use http::{HeaderValue, Uri, uri::PathAndQuery};
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

use super::pool::Pool;
use crate::config::{Limits, Upstream};
use crate::request::{self, Dialect};

/// First pause after a failure; it doubles with each further one.
const COOL_DOWN_MIN: Duration = Duration::from_millis(500);
const COOL_DOWN_MAX: Duration = Duration::from_secs(30);

pub struct Endpoint {
    pub id: Arc<str>,
    pub operator: Arc<str>,
    /// The id as a response header's value.
    pub id_header: HeaderValue,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) allow_private: bool,
    pub(super) dialect: Dialect,
    pub(super) host_header: HeaderValue,
    pub(super) authorization: Option<HeaderValue>,
    uris: [Uri; 3],
    pub(super) pool: Pool,
    in_flight: AtomicU32,
    failures: AtomicU32,
    /// Milliseconds after `born` before which it is not chosen.
    not_before_ms: AtomicU64,
    born: Instant,
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
    what: String,
}

impl Endpoint {
    /// # Errors
    /// A URL, id or key that can't be used.
    pub fn new(upstream: &Upstream, limits: &Limits) -> Result<Self, Invalid> {
        let invalid = |what: &str| Invalid { id: upstream.id.clone(), what: what.to_owned() };
        let url = &upstream.base_url;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid("base_url must be http or https")),
        };
        let host = url.host_str().ok_or_else(|| invalid("base_url has no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| invalid("base_url has no port"))?;
        let host_header =
            url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let base = url.path().trim_end_matches('/');
        let uri = |path: &str| match format!("{base}/{path}").parse::<PathAndQuery>() {
            Ok(path) => Ok(Uri::from(path)),
            Err(_) => Err(invalid("base_url's path is not usable")),
        };
        let authorization = match &upstream.api_key {
            Some(key) => {
                let value = format!("Bearer {}", key.expose_secret());
                let mut value = HeaderValue::from_str(&value)
                    .map_err(|_| invalid("api_key does not fit into a header"))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self {
            id: upstream.id.as_str().into(),
            operator: upstream.operator.as_str().into(),
            id_header: HeaderValue::from_str(&upstream.id)
                .map_err(|_| invalid("id does not fit into a header"))?,
            // An IPv6 literal's brackets belong to the URL, not to the address.
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            tls,
            allow_private: upstream.allow_private,
            dialect: upstream.dialect,
            host_header: HeaderValue::from_str(&host_header)
                .map_err(|_| invalid("base_url's host does not fit into a header"))?,
            authorization,
            uris: [uri("chat/completions")?, uri("completions")?, uri("embeddings")?],
            pool: Pool::new(limits.upstream_idle, limits.upstream_idle_for),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            not_before_ms: AtomicU64::new(0),
            born: Instant::now(),
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

    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// How long it is still to be left alone; zero when it may be asked.
    pub fn cool_down(&self) -> Duration {
        let since = self.born.elapsed();
        Duration::from_millis(self.not_before_ms.load(Relaxed)).saturating_sub(since)
    }

    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.clone())
    }

    pub(super) fn succeeded(&self) {
        // A plain load first: the line stays shared between cores while all is well.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    pub(super) fn failed(&self) {
        let earlier = self.failures.fetch_add(1, Relaxed);
        let pause = COOL_DOWN_MIN.saturating_mul(1u32 << earlier.min(10)).min(COOL_DOWN_MAX);
        self.pause(pause);
    }

    /// Not to be asked before `pause` is over.
    pub(super) fn pause(&self, pause: Duration) {
        let until = self.born.elapsed().saturating_add(pause.min(Duration::from_secs(300)));
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.not_before_ms.fetch_max(until, Relaxed);
    }
}

/// One attempt in progress on an endpoint.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Endpoint>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
