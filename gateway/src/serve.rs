//! A gateway in this process, from its ports to its drain. Nothing at start waits for a provider: with
//! all of them down it is ready as soon as its ports are bound.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{self, App};
use crate::config::Settings;
use crate::http::Edge;
use crate::http::admin::{Token, TokenError, publish_addr};
use crate::metrics::{ConnectionState, Phase};
use crate::nodes;
use crate::receipts;
use crate::route::Gate;
use crate::server::Listener;
use crate::shutdown::{Drained, Shutdown};
use crate::upstream::Pool;

/// How often idle connections to providers are looked at.
const SWEEP: Duration = Duration::from_secs(15);
/// The admin listener outlives the clients' and has nothing worth waiting for.
const ADMIN_DRAIN: Duration = Duration::from_millis(500);
/// For nodes to understand that the gateway stops; nothing of theirs is in flight any more.
const NODES_DRAIN: Duration = Duration::from_secs(1);
/// For the last receipts to be on disk.
const RECEIPTS_DRAIN: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {addr} ({member})")]
    Bind { member: &'static str, addr: SocketAddr, source: io::Error },
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    App(#[from] app::Error),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error(transparent)]
    Receipts(#[from] receipts::Error),
    #[error(transparent)]
    Nodes(#[from] nodes::Error),
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
}

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    /// Where clients connect.
    pub addr: SocketAddr,
    pub admin_addr: SocketAddr,
    /// Where nodes dial, if they may.
    pub node_addr: Option<SocketAddr>,
    pub app: Arc<App>,
    admin: Shutdown,
    /// Tunnels carry requests until the last one is over.
    nodes: Shutdown,
    /// Receipts come until the last request is over.
    receipts: Shutdown,
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Starts a gateway; it serves when this returns.
///
/// # Errors
/// A port is taken, or the data folder can't be used.
pub async fn serve(settings: Settings) -> Result<Running, Error> {
    serve_app(App::new(settings)?).await
}

/// As [`serve`], with parts of the caller's choice.
///
/// # Errors
/// As [`serve`].
pub async fn serve_app(app: App) -> Result<Running, Error> {
    start(app, None).await
}

/// As [`serve`]; nodes join on a port that is bound already, so that they could be told of it before
/// there are settings.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with(
    settings: Settings,
    nodes: std::net::TcpListener,
) -> Result<Running, Error> {
    start(App::new(settings)?, Some(nodes)).await
}

async fn start(app: App, bound: Option<std::net::TcpListener>) -> Result<Running, Error> {
    let server = &app.settings.server;
    let clients = bind("server.listen", server.listen).await?;
    let operators = bind("server.admin_listen", server.admin_listen).await?;
    let nodes_at = match (bound, app.settings.market.node_listen) {
        (Some(bound), _) => Some(nodes::Listener::from_std(bound)?),
        (None, Some(addr)) => Some(nodes::Listener::bind(addr).await?),
        (None, None) => None,
    };
    let token = Token::load_or_create(&server.data_dir)?;
    app.receipts.open(&server.data_dir)?;
    if app.settings.market.node_listen.is_some() {
        app.trust.open(&server.data_dir)?;
    }
    for warning in app.settings.warnings() {
        tracing::warn!("{warning}");
    }
    if app.keys.is_empty() {
        tracing::warn!("there is no key yet, and nobody is let in: make one with `key create`");
    }
    let (addr, admin_addr) = (clients.addr(), operators.addr());
    if let Err(error) = publish_addr(&server.data_dir, admin_addr) {
        tracing::warn!(%error, "the command line can't be told where the admin API is");
    }
    let app = Arc::new(app);
    let (admin, nodes, receipts) = (Shutdown::new(), Shutdown::new(), Shutdown::new());
    receipts.spawn(app.receipts.clone().run(receipts.clone()));
    let node_addr = nodes_at.as_ref().map(nodes::Listener::addr);
    if let Some(listener) = nodes_at {
        listener.serve(&app, &nodes)?;
        tracing::info!(addr = ?node_addr, gateway = %app.market.identity().public(), "nodes may join");
    }
    let limits = &app.settings.limits;
    operators.serve(Arc::new(Edge::admin(&app, &token)), limits, &admin, &app.metrics);
    clients.serve(Arc::new(Edge::client(&app)), limits, &app.shutdown, &app.metrics);
    app.shutdown.spawn(sweep(app.clone()));
    app.shutdown.spawn(app.market.clone().run(app.shutdown.clone()));
    if app.settings.market.node_listen.is_some() {
        app.shutdown.spawn(app.bench.clone().run());
        app.shutdown.spawn(app.trust.clone().run(app.upstream.clone()));
    }
    tracing::info!(%addr, %admin_addr, "serving");
    Ok(Running { addr, admin_addr, node_addr, app, admin, nodes, receipts })
}

async fn bind(member: &'static str, addr: SocketAddr) -> Result<Listener, Error> {
    Listener::bind(addr).await.map_err(|source| Error::Bind { member, addr, source })
}

/// Closes connections to providers that have been idle for too long: no task of theirs would.
async fn sweep(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.shutdown.draining() => return,
        }
        let mut idle = 0;
        for endpoint in app.market.snapshot().endpoints() {
            idle += endpoint.pool().map_or(0, Pool::sweep);
        }
        app.metrics.upstream_connections.get(ConnectionState::Idle).set(idle);
        app.metrics.route.ejected.set(ejected(&app));
    }
}

/// Providers that are left alone after failures, each of their models by itself.
fn ejected(app: &App) -> i64 {
    let snapshot = app.market.snapshot();
    let now_ms = app.market.time().now().run_ms;
    let offers = snapshot.models().iter().flat_map(|model| &model.offers);
    let count = offers.filter(|offer| offer.learned.gate(now_ms) != Gate::Closed).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

// === impl Signals ===

impl Signals {
    /// From now on the process does not end by itself on SIGTERM or SIGINT. To be called before
    /// anybody is told that the gateway is ready.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Self, Error> {
        let terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
        Ok(Self { terminate, interrupt })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

// === impl Running ===

impl Running {
    /// What nodes are told to join at; the gateway's key is in it.
    pub fn join_url(&self) -> Option<String> {
        let addr = self.node_addr?;
        Some(format!("https://{addr}#{}", self.app.market.identity().public()))
    }

    /// Serves until a signal (or until the accept loop breaks), then drains; a second signal cuts the
    /// drain short.
    pub async fn until(self, mut signals: Signals) -> Drained {
        tokio::select! {
            () = signals.next() => {}
            () = self.app.shutdown.draining() => {}
        }
        let shutdown = self.app.shutdown.clone();
        let again = async {
            signals.next().await;
            tracing::warn!("second signal: cutting what is in flight");
            shutdown.cut_now();
            std::future::pending::<Drained>().await
        };
        tokio::select! {
            drained = self.stop() => drained,
            drained = again => drained,
        }
    }

    /// As [`Self::until`], listening for signals from now on. Who says that it is ready before calling
    /// this may be ended by a signal without a drain.
    ///
    /// # Errors
    /// Signals can't be waited for.
    pub async fn until_signal(self) -> Result<Drained, Error> {
        Ok(self.until(Signals::listen()?).await)
    }

    /// Drains: the port closes, requests in flight may end within `drain_ms`, then they are cut.
    pub async fn stop(self) -> Drained {
        let drain = self.app.settings.limits.drain;
        tracing::info!(?drain, "draining");
        self.app.metrics.set_phase(Phase::Draining);
        let drained = self.app.shutdown.finish(drain).await;
        if let Drained::Cut { tasks } = drained {
            self.app.metrics.set_phase(Phase::Cut);
            tracing::warn!(tasks, "the drain's deadline came: cut");
        }
        self.receipts.finish(RECEIPTS_DRAIN).await;
        self.nodes.finish(NODES_DRAIN).await;
        self.admin.finish(ADMIN_DRAIN).await;
        tracing::info!("stopped");
        drained
    }
}
