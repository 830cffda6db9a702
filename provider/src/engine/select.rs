//! Sets up the engine the configuration names. The one place that knows all of them.

use super::Engine;
use super::scripted::Scripted;
use super::upstream::{SetupError, Upstream};
use crate::config;
use crate::counters::Counters;
use crate::shutdown::Shutdown;
use std::sync::Arc;

/// The engine can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("upstream: {0}")]
    Upstream(#[from] SetupError),
    #[error("this build has no inference engine (feature `mistralrs`); use upstream or scripted")]
    NotBuilt,
    #[error("the model can't be loaded: {0}")]
    Load(String),
}

/// Loads or connects; the engine is ready to serve when this returns.
pub async fn engine(
    settings: &config::Engine,
    now_unix: i64,
    counters: &Arc<Counters>,
    shutdown: &Shutdown,
) -> Result<Arc<dyn Engine>, Error> {
    let counters = Arc::clone(counters);
    match settings {
        config::Engine::Scripted(options) => {
            let mut options = options.as_ref().clone();
            options.created = now_unix;
            Ok(Arc::new(Scripted::new(options, counters)))
        }
        config::Engine::Upstream(options) => {
            let upstream = Arc::new(Upstream::new(options.as_ref().clone(), counters)?);
            upstream.refresh().await;
            let fresh = Arc::clone(&upstream).keep_fresh(shutdown.draining().clone());
            shutdown.tracker().spawn(fresh);
            Ok(upstream)
        }
        config::Engine::Mistral(options) => mistral(options, counters, shutdown).await,
    }
}

#[cfg(not(feature = "mistralrs"))]
fn mistral(
    _: &config::Mistral,
    _: Arc<Counters>,
    _: &Shutdown,
) -> std::future::Ready<Result<Arc<dyn Engine>, Error>> {
    std::future::ready(Err(Error::NotBuilt))
}
