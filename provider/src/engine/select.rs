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

#[cfg(feature = "mistralrs")]
async fn mistral(
    settings: &config::Mistral,
    counters: Arc<Counters>,
    shutdown: &Shutdown,
) -> Result<Arc<dyn Engine>, Error> {
    use super::mistral::{Device, Dtype, Mistral, ModelSource, Options};
    let load = |error: super::mistral::LoadError| Error::Load(error.to_string());
    let options = Options {
        model: ModelSource::parse(&settings.model, settings.allow_download).map_err(load)?,
        id: settings.id.clone().unwrap_or_else(|| model_name(&settings.model)),
        device: if settings.cpu { Device::Cpu } else { Device::Auto },
        dtype: match settings.dtype {
            config::Dtype::Auto => Dtype::Auto,
            config::Dtype::F32 => Dtype::F32,
            config::Dtype::F16 => Dtype::F16,
            config::Dtype::Bf16 => Dtype::Bf16,
        },
        max_concurrent: settings.max_concurrent,
    };
    let loaded = Mistral::load(options, counters, shutdown.tracker().clone());
    Ok(Arc::new(Box::pin(loaded).await.map_err(load)?))
}

#[cfg(not(feature = "mistralrs"))]
fn mistral(
    _: &config::Mistral,
    _: Arc<Counters>,
    _: &Shutdown,
) -> std::future::Ready<Result<Arc<dyn Engine>, Error>> {
    std::future::ready(Err(Error::NotBuilt))
}

/// What a model is called when nobody gave it a name: the path's last part, the hub's id as it is.
#[cfg(feature = "mistralrs")]
fn model_name(model: &str) -> String {
    let path = std::path::Path::new(model);
    let name = if path.is_file() { path.file_stem() } else { path.file_name() };
    match name.and_then(std::ffi::OsStr::to_str) {
        Some(name) if path.exists() => name.to_owned(),
        _ => model.to_owned(),
    }
}
