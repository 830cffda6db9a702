//! Sets up the engine the configuration names. The one place that knows all of them.

use super::Engine;
use super::scripted::Scripted;
#[cfg(feature = "mistralrs")]
use super::several::Several;
use super::toy::{self, Toy};
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
    #[error(
        "this build has no inference engine (feature `mistralrs`); use upstream, scripted or toy"
    )]
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
        config::Engine::Toy(options) => {
            let options = toy::Options { created: now_unix, ..options.as_ref().clone() };
            let toy =
                Toy::new(options, counters).map_err(|error| Error::Load(error.to_string()))?;
            Ok(Arc::new(toy))
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
    use super::mistral::{LoadError, ModelSource};
    // Before the first is loaded, which may take minutes.
    if let Some(model) = &settings.embedding_model {
        let refused = |error: LoadError| Error::Load(error.to_string());
        let source = ModelSource::parse(model, settings.allow_download).map_err(refused)?;
        if !source.is_encoder() {
            return Err(refused(LoadError::NotAnEncoder(model.into())));
        }
    }
    let first = load(settings, &settings.model, settings.id.as_deref(), &counters, shutdown);
    let first = Box::pin(first).await?;
    let Some(model) = &settings.embedding_model else { return Ok(first) };
    let id = settings.embedding_model_id.as_deref();
    let second = Box::pin(load(settings, model, id, &counters, shutdown)).await?;
    let (own, other) = (first.models(), second.models());
    if own.iter().any(|own| other.iter().any(|other| own.id == other.id)) {
        return Err(Error::Load("both models have one name; set embedding_model_id".to_owned()));
    }
    Ok(Arc::new(Several::new(vec![first, second])))
}

/// One model, of the kind its files say.
#[cfg(feature = "mistralrs")]
async fn load(
    settings: &config::Mistral,
    model: &str,
    id: Option<&str>,
    counters: &Arc<Counters>,
    shutdown: &Shutdown,
) -> Result<Arc<dyn Engine>, Error> {
    use super::mistral::{Device, Dtype, Embedder, Mistral, ModelSource, Options};
    let refused = |error: super::mistral::LoadError| Error::Load(error.to_string());
    let options = Options {
        model: ModelSource::parse(model, settings.allow_download).map_err(refused)?,
        id: id.map_or_else(|| model_name(model), str::to_owned),
        device: if settings.cpu { Device::Cpu } else { Device::Auto },
        dtype: match settings.dtype {
            config::Dtype::Auto => Dtype::Auto,
            config::Dtype::F32 => Dtype::F32,
            config::Dtype::F16 => Dtype::F16,
            config::Dtype::Bf16 => Dtype::Bf16,
        },
        max_concurrent: settings.max_concurrent,
        matrix_bytes: settings.score_matrix_bytes,
    };
    let (counters, tracker) = (Arc::clone(counters), shutdown.tracker().clone());
    if options.model.is_encoder() {
        let loaded = Embedder::load(options, counters, tracker);
        Ok(Arc::new(Box::pin(loaded).await.map_err(refused)?))
    } else {
        let loaded = Mistral::load(options, counters, tracker);
        Ok(Arc::new(Box::pin(loaded).await.map_err(refused)?))
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
