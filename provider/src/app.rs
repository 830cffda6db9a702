//! The one composition root: settings in, a serving provider out.

mod joining;

pub use joining::Joining;

use crate::admission::Admission;
use crate::clock::{Clock, System};
use crate::config::Settings;
use crate::counters::Counters;
use crate::engine::{Engine, select};
use crate::http::{self, Context, Guard, Trust};
use crate::identity;
use crate::link::{self, Links};
use crate::metrics::Metrics;
use crate::offer::{self, Terms};
use crate::shutdown::Shutdown;
use secrecy::SecretString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Where the running process listens, for `provider status`.
const ADDR_FILE: &str = "addr";

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
    /// Where gateways with a direct link reach it.
    pub direct: Option<SocketAddr>,
    pub counters: Arc<Counters>,
    pub shutdown: Shutdown,
    /// Absent where no gateway is configured.
    pub links: Option<Arc<Links>>,
    /// Key files made at this start.
    pub made: Vec<PathBuf>,
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
    #[error("{error}{}", source_of(error))]
    Identity { error: identity::Error },
    #[error("the offer can't be made: {0}")]
    Offer(#[from] offer::Error),
    #[error("a gateway's certificates can't be used: {0}")]
    Tls(#[from] ::identity::tls::Error),
    #[error("the direct link can't be offered: {0}")]
    Direct(#[from] link::DirectError),
    #[error("{}: {error}", path.display())]
    Data { path: PathBuf, error: io::Error },
    #[error("no listener")]
    Socket(#[from] io::Error),
}

/// The cause of what names only a file.
fn source_of(error: &identity::Error) -> String {
    let source = std::error::Error::source(error);
    source.map(|source| format!(": {source}")).unwrap_or_default()
}

impl From<identity::Error> for Error {
    fn from(error: identity::Error) -> Self {
        Self::Identity { error }
    }
}

/// Binds, sets up the engine, serves, joins. Nothing is answered before the engine is ready.
pub async fn start(settings: &Settings) -> Result<Running, Error> {
    let (counters, shutdown) = (Arc::new(Counters::default()), Shutdown::default());
    // Before the model is loaded: a port in use should be known at once, and a key that can't be used.
    let listener = bind(settings.listen).await?;
    let clock: Arc<dyn Clock> = Arc::new(System);
    let mut data = settings.data_dir.clone();
    let joining = if settings.market.gateways.is_empty() {
        None
    } else {
        let folder = data.clone().map_or_else(identity::default_folder, Ok)?;
        let joining = Joining::read(&settings.market, &folder, clock.as_ref()).await?;
        data = Some(folder);
        Some(joining)
    };
    let engine =
        select::engine(&settings.engine, clock.unix_seconds(), &counters, &shutdown).await?;
    let api_key = settings.api_key.clone();
    let serving = Serving::from(settings);
    let setup = Setup { serving, listener, engine, counters, clock, shutdown, api_key, joining };
    let running = serve(setup).await?;
    if let Some(folder) = data.filter(|folder| running.links.is_some() || folder.is_dir()) {
        let path = folder.join(ADDR_FILE);
        let written = std::fs::write(&path, running.addr.to_string());
        written.map_err(|error| Error::Data { path, error })?;
    }
    Ok(running)
}

/// Where the provider of a data folder listens, if one runs.
///
/// # Errors
/// None ever ran with it, or the file can't be read.
pub fn published_addr(folder: &Path) -> Result<String, Error> {
    let path = folder.join(ADDR_FILE);
    std::fs::read_to_string(&path).map_err(|error| Error::Data { path, error })
}

async fn bind(addr: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(addr).await.map_err(|error| Error::Listen(addr, error))
}

/// The part of the settings that is left once there is an engine.
#[derive(Debug, Clone, Copy)]
pub struct Serving {
    pub requests: http::Limits,
    pub connections: http::listen::Limits,
    pub queue: usize,
    pub drain: Duration,
}

impl From<&Settings> for Serving {
    fn from(settings: &Settings) -> Self {
        let Settings { requests, connections, queue, drain, .. } = *settings;
        Self { requests, connections, queue, drain }
    }
}

/// Everything a provider is made of.
#[derive(Debug)]
pub struct Setup {
    pub serving: Serving,
    pub listener: TcpListener,
    pub engine: Arc<dyn Engine>,
    /// Those the engine was made with.
    pub counters: Arc<Counters>,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
    /// Wanted of clients of the listener.
    pub api_key: Option<SecretString>,
    /// Absent: in no market.
    pub joining: Option<Joining>,
}

/// Serves an engine on a listener, and over links to gateways.
pub async fn serve(setup: Setup) -> Result<Running, Error> {
    let Setup { serving, listener, engine, counters, clock, shutdown, api_key, joining } = setup;
    let addr = listener.local_addr()?;
    let admission = Admission::new(engine.concurrency(), serving.queue);
    let metrics = Arc::new(Metrics::new(Arc::clone(&counters), admission.clone()));
    let mut made = Vec::new();
    let mut direct = None;
    let links = match joining {
        None => None,
        Some(mut joining) => {
            made = std::mem::take(&mut joining.identity.made);
            direct = joining.direct.take();
            let url = direct.as_ref().map(|(_, url)| url.clone());
            let (engine, clock) = (Arc::clone(&engine), Arc::clone(&clock));
            let (admission, shutdown) = (admission.clone(), shutdown.clone());
            let node = joining::Inside { engine, admission, clock, shutdown, drain: serving.drain };
            Some(Arc::new(node.links(joining, url).await?))
        }
    };
    let key = links.as_ref().map(|links| Arc::clone(&links.node.key));
    let leases = links.as_ref().map(|links| Arc::clone(&links.node.leases));
    let router = http::router(Context {
        engine,
        admission: admission.clone(),
        shutdown: shutdown.clone(),
        clock,
        metrics: Arc::clone(&metrics),
        limits: serving.requests,
        bodies: Arc::new(Semaphore::new(serving.requests.bodies_bytes.min(Semaphore::MAX_PERMITS))),
        counters: Arc::clone(&counters),
        guard: Guard { api_key, leases },
        trust: Trust::new(key),
        links: links.clone(),
    });
    let accept = |listener, tls| {
        let (router, metrics) = (router.clone(), Arc::clone(&metrics));
        let accept = http::listen::serve(
            listener,
            router,
            serving.connections,
            metrics,
            shutdown.clone(),
            tls,
        );
        drop(shutdown.tracker().spawn(accept));
    };
    let direct = match (direct, &links) {
        (Some((listener, url)), Some(links)) => {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            let tls = link::listener_tls(&links.node.key, host)?;
            let addr = listener.local_addr()?;
            accept(listener, Some(TlsAcceptor::from(tls)));
            Some(addr)
        }
        _ => None,
    };
    accept(listener, None);
    if let Some(links) = &links {
        links.start(&router)?;
    }
    Ok(Running { addr, direct, counters, shutdown, links, made, admission, drain: serving.drain })
}

impl Running {
    /// Jobs in the queue.
    pub fn waiting(&self) -> usize {
        self.admission.waiting()
    }

    /// Refuses new work, tells the gateways, lets the running work end until the deadline, then
    /// closes.
    pub async fn stop(&self) {
        self.shutdown.drain(self.drain, self.admission.idle()).await;
    }

    /// Puts new prices in force with every gateway, and a new end of rented capacity.
    ///
    /// # Errors
    /// The new offer's number can't be kept; then the old one stays.
    pub fn reprice(&self, terms: Terms, lease_ends_ms: Option<i64>) -> Result<(), Error> {
        let Some(links) = &self.links else { return Ok(()) };
        let issued = links.node.desk.reprice(terms)?;
        links
            .node
            .lease_ends
            .send_if_modified(|ends| std::mem::replace(ends, lease_ends_ms) != lease_ends_ms);
        tracing::info!(sequence = issued.offer.sequence, "new prices");
        Ok(())
    }
}
