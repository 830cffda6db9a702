//! Which paths need what, for each of the two listeners. Everything is closed but what is listed here.

use axum::body::Body;
use http::{Method, Request};
use std::net::SocketAddr;
use subtle::ConstantTimeEq;

use super::admin::Token;
use super::error::{Credentials, Error};
use super::is_probe;
use crate::app::App;
use crate::auth::{Principal, bearer, browser, digest};
use crate::config::{CorsOrigins, Mode};

pub enum Gate {
    /// Whoever reaches the node listener: joining is its own proof.
    Node,
    /// `/v1` needs a key; health and the documentation are for anybody. In open mode browsers are
    /// looked at on every path.
    Client,
    /// Everything needs the token, but health, and on a loopback listener `/metrics`, so that a local
    /// scraper needs no secret. A browser's page from elsewhere is refused on any of them.
    Admin { token: [u8; 32], loopback: bool },
}

// === impl Gate ===

impl Gate {
    pub fn admin(token: &Token, listen: SocketAddr) -> Self {
        Self::Admin {
            token: digest(token.as_bytes()),
            loopback: listen.ip().to_canonical().is_loopback(),
        }
    }

    /// Who the request comes from; nobody on a path that is open to all.
    pub(super) fn check(
        &self,
        app: &App,
        request: &Request<Body>,
    ) -> Result<Option<Principal>, Error> {
        let path = request.uri().path();
        match self {
            Self::Node => Ok(None),
            Self::Client => {
                // OPTIONS tells which methods there are; clients send it without a key.
                let public = is_public(path) || request.method() == Method::OPTIONS;
                if app.settings.auth.mode == Mode::Open {
                    let origins = &app.settings.server.cors_origins;
                    browser::local_only(request.uri(), request.headers(), origins)?;
                }
                if public {
                    return Ok(None);
                }
                app.keys.authenticate(request.headers()).map(Some)
            }
            Self::Admin { token, loopback } => {
                if *loopback {
                    let nobody = CorsOrigins::default();
                    browser::local_only(request.uri(), request.headers(), &nobody)?;
                }
                if is_probe(path) || (*loopback && path == "/metrics") {
                    return Ok(None);
                }
                let given = bearer(request.headers()).map_err(Error::Unauthorized)?;
                if bool::from(digest(given).ct_eq(token)) {
                    return Ok(None);
                }
                Err(Error::Unauthorized(Credentials::Unknown))
            }
        }
    }
}

fn is_public(path: &str) -> bool {
    is_probe(path) || matches!(path, "/openapi.json" | "/docs")
}

/// Says nothing of the token, not even its digest.
impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Node => "Node",
            Self::Client => "Client",
            Self::Admin { .. } => "Admin",
        })
    }
}
