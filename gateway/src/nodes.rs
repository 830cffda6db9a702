//! The node listener: where providers dial to join. Each connection is TLS 1.3, says a few requests of
//! HTTP/1.1 (the handlers are `http::node`), and is upgraded; from then on it is a tunnel and its
//! control exchange. It owns how many connections may be joining and how long they may take. It
//! refuses to judge a hello (that is `market`) and to send requests (that is `upstream`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::http::Edge;
use crate::metrics::{Held, JoinOutcome};
use crate::shutdown::Shutdown;

mod control;
mod crowd;
mod joining;
mod leases;
mod lines;
mod said;
mod session;
mod tls;

use crowd::{Crowd, Place};
pub(crate) use joining::Joining;
use leases::Leases;

/// For the TLS handshake, and then for all that is said until the upgrade.
const PHASE_MAX: Duration = Duration::from_secs(10);
/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {addr} (market.node_listen)")]
    Bind { addr: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// A bound port.
#[derive(Debug)]
pub(crate) struct Listener {
    inner: TcpListener,
    addr: SocketAddr,
}

/// What all connections share.
struct Shared {
    app: Arc<App>,
    edge: Arc<Edge>,
    acceptor: TlsAcceptor,
    leases: Leases,
    /// Ends after the clients' listener: tunnels carry requests until then.
    tasks: Shutdown,
}

// === impl Listener ===

impl Listener {
    /// # Errors
    /// The address can't be bound.
    pub(crate) async fn bind(addr: SocketAddr) -> Result<Self, Error> {
        let bind = async {
            let inner = TcpListener::bind(addr).await?;
            Ok(Self { addr: inner.local_addr()?, inner })
        };
        bind.await.map_err(|source| Error::Bind { addr, source })
    }

    /// # Errors
    /// The socket is none that can be listened on.
    pub(crate) fn from_std(bound: std::net::TcpListener) -> Result<Self, Error> {
        let addr = bound.local_addr();
        let fallback = SocketAddr::from(([0, 0, 0, 0], 0));
        let bind = |source| Error::Bind { addr: *addr.as_ref().unwrap_or(&fallback), source };
        bound.set_nonblocking(true).map_err(bind)?;
        let inner = TcpListener::from_std(bound).map_err(bind)?;
        Ok(Self { addr: inner.local_addr().map_err(bind)?, inner })
    }

    /// With the port that the system chose, when it was asked to.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until the gateway drains; connections that have joined last until `tasks` drains.
    ///
    /// # Errors
    /// The configured certificates can't be used.
    pub(crate) fn serve(self, app: &Arc<App>, tasks: &Shutdown) -> Result<(), Error> {
        let shared = Arc::new(Shared {
            acceptor: tls::acceptor(app, self.addr)?,
            edge: Arc::new(Edge::node(app)),
            leases: Leases::default(),
            app: app.clone(),
            tasks: tasks.clone(),
        });
        tasks.spawn(async move {
            tokio::select! {
                () = shared.accept(&self.inner) => {}
                () = shared.app.shutdown.draining() => {}
                () = shared.tasks.draining() => {}
            }
        });
        Ok(())
    }
}

// === impl Shared ===

impl Shared {
    /// Never ends by itself.
    async fn accept(self: &Arc<Self>, listener: &TcpListener) {
        let crowd = Crowd::new(self.app.settings.market.joining_max);
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => match crowd.enter(remote.ip()) {
                    Some(place) => {
                        self.tasks.spawn(self.clone().connection(stream, remote, place));
                    }
                    // Closed at once: who waits unserved holds a socket just the same.
                    None => {
                        self.app.metrics.joins.get(JoinOutcome::Crowded).inc();
                    }
                },
                Err(error) => {
                    self.app.metrics.accept_errors.inc();
                    tracing::debug!(%error, "cannot accept a node's connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// One connection, from its first byte to its last.
    async fn connection(self: Arc<Self>, stream: TcpStream, remote: SocketAddr, place: Place) {
        let held = Held::new(&self.app.metrics.node_connections);
        let joined = tokio::select! {
            joined = self.join(stream, remote) => joined,
            () = self.tasks.draining() => None,
        };
        drop(place);
        if let Some((ticket, upgraded)) = joined {
            session::run(self, ticket, upgraded, held).await;
        }
    }
}
