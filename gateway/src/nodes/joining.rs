//! A connection that has not joined yet: how far it has come. The handlers of `http::node` move it on;
//! what it says is HTTP/1.1 until the upgrade, and must be said within [`PHASE_MAX`].

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use openapi::node::{EXPORTER_BYTES, EXPORTER_LABEL, HELLO_BYTES_MAX};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::leases::{InForce, Leases};
use super::{PHASE_MAX, Shared};
use crate::market::{Admission, Refusal};
use crate::server::Handler as _;
use crate::upstream::Endpoint;

/// One connection on its way in.
pub(crate) struct Joining {
    /// Binds a hello to this connection.
    pub(crate) exporter: [u8; EXPORTER_BYTES],
    pub(crate) remote: SocketAddr,
    leases: Leases,
    step: Mutex<Step>,
}

#[derive(Default)]
enum Step {
    #[default]
    Begun,
    /// Given a challenge that was not used yet.
    Challenged(String),
    Admitted(Ticket),
    Upgrading(Ticket, OnUpgrade),
}

/// A node that may come in.
pub(crate) struct Ticket {
    pub(super) admission: Admission,
    /// Where a direct link leads.
    pub(super) direct: Option<Arc<Endpoint>>,
    pub(super) in_force: InForce,
}

// === impl Joining ===

impl Joining {
    fn step(&self) -> MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew: an earlier challenge or admission on this connection is worth nothing.
    pub(crate) fn challenged(&self, nonce: String) {
        *self.step() = Step::Challenged(nonce);
    }

    /// The challenge, once.
    pub(crate) fn take_challenge(&self) -> Option<String> {
        match std::mem::take(&mut *self.step()) {
            Step::Challenged(nonce) => Some(nonce),
            _ => None,
        }
    }

    pub(crate) fn admitted(&self, admission: Admission, direct: Option<Arc<Endpoint>>) {
        let in_force = self.leases.add(&admission.token);
        *self.step() = Step::Admitted(Ticket { admission, direct, in_force });
    }

    /// Upgrades the connection for who holds its own lease.
    ///
    /// # Errors
    /// The token is another connection's, or nobody's.
    pub(crate) fn upgrade(&self, token: &[u8], upgrade: OnUpgrade) -> Result<(), Refusal> {
        let mut step = self.step();
        match std::mem::take(&mut *step) {
            Step::Admitted(ticket) if is(&ticket.admission, token) => {
                *step = Step::Upgrading(ticket, upgrade);
                Ok(())
            }
            other => {
                *step = other;
                drop(step);
                Err(if self.leases.knows(token) {
                    Refusal::LeaseNotYours
                } else {
                    Refusal::LeaseUnknown
                })
            }
        }
    }
}

fn is(admission: &Admission, token: &[u8]) -> bool {
    std::str::from_utf8(token).is_ok_and(|token| admission.token.is(token))
}

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joining").field("remote", &self.remote).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    /// Up to the upgrade; nothing for who did not get so far.
    pub(super) async fn join(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> Option<(Ticket, Upgraded)> {
        stream.set_nodelay(true).ok()?;
        let stream = timeout(PHASE_MAX, self.acceptor.accept(stream)).await.ok()?;
        let stream =
            stream.inspect_err(|error| tracing::debug!(%error, "no TLS with a node")).ok()?;
        let exporter = stream
            .get_ref()
            .1
            .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, None)
            .ok()?;
        let (leases, step) = (self.leases.clone(), Mutex::default());
        let joining = Arc::new(Joining { exporter, remote, leases, step });
        let service = service_fn(|mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(joining.clone());
            let answer = self.edge.clone().handle(request);
            async move { Ok::<http::Response<Body>, Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PHASE_MAX)
            .max_buf_size(HELLO_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let said = timeout(PHASE_MAX, connection).await;
        if let Ok(Err(error)) = said {
            tracing::debug!(%error, "a joining node's connection failed");
        }
        let step = std::mem::take(&mut *joining.step());
        match step {
            Step::Upgrading(ticket, upgrade) => {
                Some((ticket, timeout(PHASE_MAX, upgrade).await.ok()?.ok()?))
            }
            _ => None,
        }
    }
}
