//! The one composition root: settings in, a serving provider out.

use crate::admission::Admission;
use crate::clock::{Clock, System};
use crate::config::Settings;
use crate::counters::Counters;
use crate::engine::{Engine, select};
use crate::http::{self, Context};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Installs the TLS library's cryptography for the process. First thing in every main and test: with
/// mistral.rs in the build two are present, and rustls refuses to choose.
pub fn install_crypto() {
    // An error says that one was installed before, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A provider that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; the port is the real one.
    pub addr: SocketAddr,
    pub counters: Arc<Counters>,
    pub shutdown: Shutdown,
    admission: Admission,
    drain: Duration,
}

/// Why there is nothing to serve with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error(transparent)]
    Engine(#[from] select::Error),
}

/// Binds, sets up the engine, serves. Nothing is answered before the engine is ready.
pub async fn start(settings: &Settings) -> Result<Running, Error> {
    let (counters, shutdown) = (Arc::new(Counters::default()), Shutdown::default());
    let refused = |error| Error::Listen(settings.listen, error);
    // Before the model is loaded: a port in use should be known at once.
    let listener = TcpListener::bind(settings.listen).await.map_err(refused)?;
    let clock = Arc::new(System);
    let now = clock.unix_seconds();
    let engine = select::engine(&settings.engine, now, &counters, &shutdown).await?;
    serve(settings.clone().into(), listener, engine, counters, clock, shutdown).map_err(refused)
}

/// The part of the settings that is left once there is an engine.
#[derive(Debug, Clone, Copy)]
pub struct Serving {
    pub requests: http::Limits,
    pub connections: http::listen::Limits,
    pub queue: usize,
    pub drain: Duration,
}

impl From<Settings> for Serving {
    fn from(settings: Settings) -> Self {
        let Settings { requests, connections, queue, drain, .. } = settings;
        Self { requests, connections, queue, drain }
    }
}

/// Serves an engine on a listener.
pub fn serve(
    serving: Serving,
    listener: TcpListener,
    engine: Arc<dyn Engine>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) -> io::Result<Running> {
    let addr = listener.local_addr()?;
    let admission = Admission::new(engine.concurrency(), serving.queue);
    let metrics = Arc::new(Metrics::new(Arc::clone(&counters), admission.clone()));
    let router = http::router(Context {
        engine,
        admission: admission.clone(),
        shutdown: shutdown.clone(),
        clock,
        metrics: Arc::clone(&metrics),
        limits: serving.requests,
    });
    let accept =
        http::listen::serve(listener, router, serving.connections, metrics, shutdown.clone());
    shutdown.tracker().spawn(accept);
    Ok(Running { addr, counters, shutdown, admission, drain: serving.drain })
}

impl Running {
    /// Jobs in the queue.
    pub fn waiting(&self) -> usize {
        self.admission.waiting()
    }

    /// Refuses new work, lets the running work end until the deadline, then closes.
    pub async fn stop(&self) {
        self.shutdown.drain(self.drain, self.admission.idle()).await;
    }
}
