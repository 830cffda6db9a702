//! For tests and benches, here and in the gateway: the shipped server on a loopback port.

use crate::admission::Admission;
use crate::app::{self, Joining, Running, Serving, Setup};
use crate::clock::{Clock as _, Fixed, System};
use crate::config::{Flags, Settings};
use crate::counters::Counters;
use crate::engine::Engine;
use crate::engine::scripted::{Options, Script, ScriptError, Scripted};
use crate::http;
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::offer::{Sequence, Terms};
use crate::shutdown::Shutdown;
use axum::Router;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// The date all test servers believe in, Unix seconds.
pub const NOW: i64 = 1_700_000_000;

/// Serves any engine with default limits. `counters` are those the engine was made with.
pub async fn serve(engine: Arc<dyn Engine>, counters: Arc<Counters>) -> io::Result<Running> {
    serve_with(engine, counters, defaults()).await
}

/// The limits [`serve`] uses.
pub fn defaults() -> Serving {
    Serving {
        requests: http::Limits::default(),
        connections: http::listen::Limits::default(),
        queue: 64,
        drain: Duration::from_secs(30),
    }
}

/// The same with other limits.
pub async fn serve_with(
    engine: Arc<dyn Engine>,
    counters: Arc<Counters>,
    serving: Serving,
) -> io::Result<Running> {
    app::install_crypto();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (clock, shutdown) = (Arc::new(Fixed(NOW)), Shutdown::default());
    let (api_key, joining) = (None, None);
    let setup = Setup { serving, listener, engine, counters, clock, shutdown, api_key, joining };
    app::serve(setup).await.map_err(io::Error::other)
}

/// A scripted provider, with keys of its own in memory, that joins the gateways at these URLs
/// (`https://127.0.0.1:7443`, or with the gateway's key behind a `#`). It returns at once; see
/// [`joined`].
pub async fn member(
    gateways: &[String],
    change: impl FnOnce(&mut Joining, &mut Options),
) -> io::Result<Running> {
    app::install_crypto();
    let mut joining = joining(gateways)?;
    let mut options = Options { created: NOW, ..Options::default() };
    change(&mut joining, &mut options);
    let counters = Arc::new(Counters::default());
    let engine = Arc::new(Scripted::new(options, Arc::clone(&counters)));
    join(joining, engine, counters).await
}

/// The same with any engine. `counters` are those it was made with.
pub async fn member_of(
    gateways: &[String],
    engine: Arc<dyn Engine>,
    counters: Arc<Counters>,
    change: impl FnOnce(&mut Joining),
) -> io::Result<Running> {
    app::install_crypto();
    let mut joining = joining(gateways)?;
    change(&mut joining);
    join(joining, engine, counters).await
}

fn joining(gateways: &[String]) -> io::Result<Joining> {
    let flags = Flags {
        engine: Some("scripted".to_owned()),
        gateways: gateways.to_vec(),
        ..Flags::default()
    };
    let market = Settings::parse("", &flags).map_err(io::Error::other)?.market;
    Ok(Joining {
        identity: Identity::passing(System.unix_millis()).map_err(io::Error::other)?,
        sequence: Sequence::passing(),
        gateways: market.gateways,
        terms: Terms::default(),
        region: None,
        lease_ends_ms: None,
        direct: None,
    })
}

async fn join(
    joining: Joining,
    engine: Arc<dyn Engine>,
    counters: Arc<Counters>,
) -> io::Result<Running> {
    let clock = Arc::new(System);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (serving, shutdown) = (defaults(), Shutdown::default());
    let (api_key, joining) = (None, Some(joining));
    let setup = Setup { serving, listener, engine, counters, clock, shutdown, api_key, joining };
    app::serve(setup).await.map_err(io::Error::other)
}

/// Resolves when every gateway has answered a heartbeat of this provider.
pub async fn joined(running: &Running) {
    let Some(links) = &running.links else { return };
    links
        .until(|gateways| {
            gateways.iter().all(|gateway| {
                gateway.lease.as_ref().is_some_and(|lease| lease.renewed_ms.is_some())
            })
        })
        .await;
}

/// A scripted provider whose only model is `model`; `script` as in a request's `script` member.
pub async fn scripted(model: &str, script: Value) -> io::Result<Running> {
    let counters = Arc::new(Counters::default());
    let script = parse(script).map_err(io::Error::other)?;
    let options =
        Options { models: vec![model.to_owned()], created: NOW, script, ..Options::default() };
    let engine = Arc::new(Scripted::new(options, Arc::clone(&counters)));
    serve(engine, counters).await
}

/// A scripted provider without a port: connections are brought to it, in whatever time and network
/// the test has.
#[derive(Debug, Clone)]
pub struct Portless {
    router: Router,
    pub counters: Arc<Counters>,
    pub admission: Admission,
    shutdown: Shutdown,
}

impl Portless {
    pub fn new(options: Options) -> Self {
        let counters = Arc::new(Counters::default());
        let engine: Arc<dyn Engine> = Arc::new(Scripted::new(options, Arc::clone(&counters)));
        let Serving { requests: limits, queue, .. } = defaults();
        let admission = Admission::new(engine.concurrency(), queue);
        let shutdown = Shutdown::default();
        let router = http::router(http::Context {
            engine,
            admission: admission.clone(),
            shutdown: shutdown.clone(),
            clock: Arc::new(Fixed(NOW)),
            metrics: Arc::new(Metrics::new(Arc::clone(&counters), admission.clone())),
            limits,
            bodies: Arc::new(Semaphore::new(limits.bodies_bytes)),
            counters: Arc::clone(&counters),
            guard: http::Guard::default(),
            trust: http::Trust::default(),
            links: None,
        });
        Self { router, counters, admission, shutdown }
    }

    /// Serves one connection to its end.
    ///
    /// # Errors
    /// It did not end well.
    pub async fn serve<S>(&self, stream: S) -> Result<(), http::listen::Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = http::Peer::Plain(([127, 0, 0, 1], 0).into());
        let limits = defaults().connections;
        http::listen::over(stream, peer, self.router.clone(), limits, self.shutdown.clone()).await
    }
}

/// A script from JSON.
pub fn parse(script: Value) -> Result<Script, ScriptError> {
    match script {
        Value::Null => Ok(Script::default()),
        Value::Object(members) => Script::default().overridden(&members),
        _ => Err(ScriptError("a script is an object".to_owned())),
    }
}
