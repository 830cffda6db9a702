//! Who may ask for what: by the listener or link a request came over, and what it shows. A provider
//! of a market serves its gateways alone: a lease token counts on the tunnel it was given for, or
//! from the gateway it was given to. What is not named here needs the highest right.

use super::Context;
use super::error::Error;
use crate::link::lease::{Direct, Token};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use openapi::sign::PublicKey;
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Where a request came from; each listener and link marks its own.
#[derive(Debug, Clone)]
pub enum Peer {
    /// The plain listener.
    Plain(SocketAddr),
    /// The tunnel with this token.
    Tunnel(Arc<Token>),
    /// The direct listener, from the holder of this key.
    Direct(PublicKey),
    /// Nowhere that requests may come from.
    Stranger,
}

/// What is asked of the plain listener's clients.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    pub api_key: Option<SecretString>,
    /// Absent where no gateway is configured.
    pub leases: Option<Arc<Direct>>,
}

/// What a path is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Health,
    /// For whoever runs this provider.
    Operation,
    Documents,
    Work,
}

impl Area {
    fn of(path: &str) -> Self {
        match path {
            "/healthz" | "/readyz" => Self::Health,
            "/metrics" | "/status" => Self::Operation,
            "/openapi.json" | "/docs" => Self::Documents,
            _ => Self::Work,
        }
    }
}

pub(super) async fn check(
    State(context): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().unwrap_or(&Peer::Stranger);
    let area = Area::of(request.uri().path());
    match context.guard.check(peer, area, bearer(request.headers())) {
        Ok(()) => next.run(request).await,
        Err(Refused::Elsewhere) => {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            super::error::unknown_path(method, uri).await.into_response()
        }
        Err(Refused::Key) => Error::ApiKey.into_response(),
        Err(Refused::Lease) => Error::Lease.into_response(),
    }
}

/// The bearer token a request shows.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// Not served on this link.
    Elsewhere,
    Key,
    Lease,
}

// === impl Guard ===

impl Guard {
    fn check(&self, peer: &Peer, area: Area, shown: Option<&str>) -> Result<(), Refused> {
        let leased = match peer {
            Peer::Plain(from) => return self.check_plain(from, area, shown),
            _ if area == Area::Health => return Ok(()),
            Peer::Tunnel(token) => shown.is_some_and(|shown| token.fits(shown)),
            Peer::Direct(key) => shown
                .zip(self.leases.as_ref())
                .is_some_and(|(shown, leases)| leases.fits(key, shown)),
            Peer::Stranger => false,
        };
        match area {
            _ if !leased => Err(Refused::Lease),
            Area::Operation | Area::Documents => Err(Refused::Elsewhere),
            Area::Health | Area::Work => Ok(()),
        }
    }

    fn check_plain(
        &self,
        from: &SocketAddr,
        area: Area,
        shown: Option<&str>,
    ) -> Result<(), Refused> {
        let free = match area {
            Area::Health | Area::Documents => true,
            Area::Operation => from.ip().to_canonical().is_loopback() || self.is_open(),
            Area::Work => self.is_open(),
        };
        let knows = |key: &SecretString| {
            let key = key.expose_secret().as_bytes();
            shown.is_some_and(|shown| key.ct_eq(shown.as_bytes()).into())
        };
        if free || self.api_key.as_ref().is_some_and(knows) { Ok(()) } else { Err(Refused::Key) }
    }

    fn is_open(&self) -> bool {
        self.api_key.is_none() && self.leases.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREAS: [Area; 4] = [Area::Health, Area::Operation, Area::Documents, Area::Work];

    /// Which areas are open to `peer` who shows `shown`.
    fn open(guard: &Guard, peer: &Peer, shown: Option<&str>) -> [bool; 4] {
        AREAS.map(|area| guard.check(peer, area, shown).is_ok())
    }

    #[test]
    fn the_plain_listener_by_key_address_and_market() {
        let near = Peer::Plain("127.0.0.1:1".parse().unwrap());
        let mapped = Peer::Plain("[::ffff:127.0.0.1]:1".parse().unwrap());
        let far = Peer::Plain("192.0.2.1:1".parse().unwrap());
        let alone = Guard::default();
        assert_eq!(open(&alone, &far, None), [true; 4], "as it always was");
        let keyed = Guard { api_key: Some("k".into()), leases: None };
        let market = Guard { api_key: None, leases: Some(Arc::default()) };
        let both = Guard { api_key: Some("k".into()), leases: Some(Arc::default()) };
        for guard in [&keyed, &market, &both] {
            assert_eq!(open(guard, &near, None), [true, true, true, false]);
            assert_eq!(open(guard, &mapped, Some("x")), [true, true, true, false]);
            assert_eq!(open(guard, &far, Some("x")), [true, false, true, false]);
        }
        for guard in [&keyed, &both] {
            assert_eq!(open(guard, &far, Some("k")), [true; 4]);
        }
        assert_eq!(open(&market, &near, Some("")), [true, true, true, false]);
    }

    #[test]
    fn links_serve_work_for_their_lease_and_nothing_else() {
        let token = "ab".repeat(32);
        let tunnel = Peer::Tunnel(Arc::new(Token::parse(&token).unwrap()));
        let guard = Guard { api_key: Some("k".into()), leases: Some(Arc::default()) };
        assert_eq!(open(&guard, &tunnel, Some(&token)), [true, false, false, true]);
        for shown in [None, Some("k"), Some(""), Some(&token[..63])] {
            assert_eq!(open(&guard, &tunnel, shown), [true, false, false, false], "{shown:?}");
        }
        let direct = Peer::Direct(PublicKey::from_bytes([1; 32]));
        assert_eq!(open(&guard, &direct, Some(&token)), [true, false, false, false]);
        assert_eq!(open(&guard, &Peer::Stranger, Some(&token)), [true, false, false, false]);
        let refused = guard.check(&tunnel, Area::Operation, Some(&token));
        assert_eq!(refused, Err(Refused::Elsewhere));
    }
}
