//! Loading: checks first, then mistral.rs in a task of its own, since a bad folder can make it panic.

use mistralrs::{
    EmbeddingModelBuilder, GgufModelBuilder, ModelDType, TextModelBuilder, TokenSource,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::runner::Runner;
use super::source::{hub_cache, hub_folder};
use super::{Device, Dtype, Inner, ModelSource, Options, embedder};
use crate::counters::Counters;
use crate::engine::ModelInfo;
use crate::engine::score::Reach;
use crate::model::Model;
use crate::model::encoder::Encoder;
use crate::{tokenizer, weights};
use openapi::gumbel;
use openapi::node::Feature;
use openapi::verify::TOKENS_MAX;

/// Name and version, as provenance gives it.
pub(super) const ENGINE: &str = "mistral.rs 0.8.1";
const CONCURRENT_MAX: usize = 1024;
/// The KV cache grows by this many tokens and fails where that passes the context.
const KV_BLOCK: u32 = 512;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{0}: no such folder or file")]
    NotFound(PathBuf),
    #[error("{0}: not a model; give a folder with safetensors, or a .gguf file")]
    NotAModel(PathBuf),
    #[error("`{0}` is no path here, and fetching models from the hub is not allowed")]
    HubNotAllowed(String),
    #[error("`{0}` was fetched, but its files are not in the hub's cache")]
    HubCache(String),
    #[error("{0}: no embedding model; give a folder with safetensors and modules.json")]
    NotAnEncoder(PathBuf),
    #[error("bf16 does not work on the CPU; use f32 or f16")]
    Bf16OnCpu,
    #[error(
        "models of the Harmony form (gpt-oss) are not served: mistral.rs fetches their vocabulary from the network at the first request"
    )]
    Harmony,
    #[error("max_concurrent: 1 to {CONCURRENT_MAX}")]
    Concurrency,
    #[error(transparent)]
    Files(#[from] tokenizer::Error),
    #[error("{path}: {source}")]
    Weights { path: PathBuf, source: std::io::Error },
    #[error("no usable device: {0}")]
    Device(String),
    #[error("mistral.rs cannot load this model: {0}")]
    Engine(String),
    #[error("loading broke off: {0}")]
    Panicked(String),
}

pub(super) async fn load(
    options: Options,
    counters: Arc<Counters>,
    tracker: TaskTracker,
) -> Result<Inner, LoadError> {
    let cpu = check(&options)?;
    // What stands on this disk is read before the engine is started: its errors are clearer.
    let mut read = match &options.model {
        ModelSource::Hub(_) => None,
        local => Some(read_files(local.clone(), &tracker).await?),
    };
    let concurrency = if cpu { 1 } else { options.max_concurrent };
    let build = build(options.clone(), cpu, concurrency);
    let runner = tracker.spawn(build).await.map_err(|error| panicked(&error))??;
    if read.is_none() {
        read = Some(read_files(options.model.clone(), &tracker).await?);
    }
    let Some(Read { mut model, weights: Weights { id: weights_id, created } }) = read else {
        return Err(LoadError::Panicked("no files".to_owned()));
    };
    let limit = runner.max_sequence_length().ok().flatten();
    let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(model.context);
    model.context = usable(model.context.min(limit));
    let gguf = matches!(options.model, ModelSource::Gguf(_));
    let stored_as = model.stored_as.clone();
    let quant = if gguf { None } else { precision(dtype(options.dtype, cpu)) };
    let quant = quant.or(stored_as).unwrap_or_else(|| "auto".to_owned());
    // GGUF computes, and keeps its cache, in f32 on the CPU.
    let kv_dtype = if gguf && cpu { "f32".to_owned() } else { quant.clone() };
    let info = ModelInfo {
        id: options.id,
        created,
        context_length: Some(model.context.into()),
        weights_id: Some(weights_id),
        quant: Some(quant),
        kv_dtype: Some(kv_dtype.clone()),
        engine: Some(ENGINE.to_owned()),
        template_sha256: model.template.as_ref().map(|template| template.sha256().to_owned()),
        features: features(model.template.is_some()),
        reach: Some(reach(options.matrix_bytes, model.row_len())),
        backend: backend(cpu),
    };
    Ok(Inner {
        info,
        model: Arc::new(model),
        runner: Runner::new(runner, Arc::clone(&counters)),
        permits: Arc::new(Semaphore::new(concurrency)),
        // One more than can run, so that the next is ready.
        preparing: Arc::new(Semaphore::new(concurrency.saturating_add(1))),
        concurrency,
        kv_dtype,
        matrix_bytes: options.matrix_bytes,
        counters,
        tracker,
    })
}

/// The same for an embedding model, whose files are on this disk.
pub(super) async fn embedder(
    options: Options,
    counters: Arc<Counters>,
    tracker: TaskTracker,
) -> Result<embedder::Inner, LoadError> {
    let cpu = check(&options)?;
    let folder = match &options.model {
        ModelSource::Folder(folder) => folder.clone(),
        ModelSource::Gguf(file) => return Err(LoadError::NotAnEncoder(file.clone())),
        ModelSource::Hub(name) => {
            hub_folder(&hub_cache(), name).ok_or_else(|| LoadError::HubCache(name.clone()))?
        }
    };
    let read = {
        let folder = folder.clone();
        move || Ok::<_, LoadError>((Encoder::from_folder(&folder)?, weights_of(&folder)?))
    };
    let read = tracker.spawn_blocking(read).await.map_err(|error| panicked(&error))?;
    let (mut encoder, weights) = read?;
    let concurrency = if cpu { 1 } else { options.max_concurrent };
    let dtype = dtype(options.dtype, cpu);
    let mut builder = EmbeddingModelBuilder::new(folder.display())
        .with_token_source(TokenSource::None)
        .with_dtype(dtype)
        .with_max_num_seqs(concurrency);
    if cpu {
        builder = builder.with_force_cpu();
    }
    let build = async move { Box::pin(builder.build()).await };
    let built = tracker.spawn(build).await.map_err(|error| panicked(&error))?;
    let model = built.map_err(|error| LoadError::Engine(first_line(&error.to_string())))?;
    let limit = model.max_sequence_length().ok().flatten();
    let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX);
    encoder.context = encoder.context.min(limit);
    let quant = precision(dtype).or(encoder.stored_as.clone());
    Ok(embedder::Inner {
        info: ModelInfo {
            id: options.id,
            created: weights.created,
            context_length: Some(encoder.context.into()),
            weights_id: Some(weights.id),
            quant: Some(quant.unwrap_or_else(|| "auto".to_owned())),
            kv_dtype: None,
            engine: Some(ENGINE.to_owned()),
            template_sha256: None,
            features: vec![Feature::Embeddings],
            reach: None,
            backend: backend(cpu),
        },
        encoder,
        runner: Runner::new(model, Arc::clone(&counters)),
        permits: Arc::new(Semaphore::new(concurrency)),
        preparing: Arc::new(Semaphore::new(concurrency.saturating_add(1))),
        concurrency,
        counters,
        tracker,
    })
}

/// Without a template there is nothing to turn messages into.
fn features(has_template: bool) -> Vec<Feature> {
    let mut features = vec![
        Feature::Completions,
        Feature::JsonSchema,
        Feature::Logprobs,
        Feature::Evidence,
        Feature::Resume,
        Feature::Score,
    ];
    if has_template {
        features.extend([Feature::Chat, Feature::Tools]);
    }
    features
}

/// As far as the matrix of logits has room, a prompt of a quarter of the answer included.
fn reach(matrix_bytes: usize, row_len: usize) -> Reach {
    let rows = matrix_bytes / row_len.saturating_mul(size_of::<f32>()).max(1);
    let tokens = (rows - rows / 5).min(TOKENS_MAX);
    Reach { tokens_max: tokens as u64, sampler: Some(gumbel::NAME) }
}

fn backend(cpu: bool) -> &'static str {
    match cpu {
        true => "cpu",
        false if cfg!(feature = "metal") => "metal",
        false => "cuda",
    }
}

/// What can be said before anything is read. Whether it will run on the CPU.
fn check(options: &Options) -> Result<bool, LoadError> {
    options.model.check()?;
    if !(1..=CONCURRENT_MAX).contains(&options.max_concurrent) {
        return Err(LoadError::Concurrency);
    }
    let cpu = is_cpu(options.device)?;
    if cpu && options.dtype == Dtype::Bf16 {
        return Err(LoadError::Bf16OnCpu);
    }
    Ok(cpu)
}

struct Read {
    model: Model,
    weights: Weights,
}

struct Weights {
    id: String,
    /// When they were last written, Unix seconds.
    created: i64,
}

async fn read_files(source: ModelSource, tracker: &TaskTracker) -> Result<Read, LoadError> {
    let read = tracker.spawn_blocking(move || {
        let (path, model) = match source {
            ModelSource::Folder(path) => (path.clone(), Model::from_folder(&path)?),
            ModelSource::Gguf(path) => (path.clone(), Model::from_gguf(&path)?),
            ModelSource::Hub(name) => {
                let folder = hub_folder(&hub_cache(), &name).ok_or(LoadError::HubCache(name))?;
                (folder.clone(), Model::from_folder(&folder)?)
            }
        };
        if model.template.as_ref().is_some_and(|template| is_harmony(template.source())) {
            return Err(LoadError::Harmony);
        }
        Ok(Read { model, weights: weights_of(&path)? })
    });
    read.await.map_err(|error| panicked(&error))?
}

fn weights_of(path: &Path) -> Result<Weights, LoadError> {
    let failed = |source| LoadError::Weights { path: path.to_owned(), source };
    let id = weights::id(path).map_err(failed)?;
    let files = weights::files(path).map_err(failed)?;
    let created = files.iter().filter_map(|file| modified(file)).max().unwrap_or(0);
    Ok(Weights { id, created })
}

async fn build(
    options: Options,
    cpu: bool,
    concurrency: usize,
) -> Result<mistralrs::Model, LoadError> {
    let built = match &options.model {
        ModelSource::Gguf(file) => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut builder = GgufModelBuilder::new(folder.display(), vec![name])
                .with_token_source(TokenSource::None)
                .with_max_num_seqs(concurrency);
            if cpu {
                builder = builder.with_force_cpu().with_prefix_cache_n(None);
            }
            Box::pin(builder.build()).await
        }
        ModelSource::Folder(_) | ModelSource::Hub(_) => {
            let (name, token) = match &options.model {
                ModelSource::Hub(name) => (name.clone(), TokenSource::CacheToken),
                ModelSource::Folder(path) | ModelSource::Gguf(path) => {
                    (path.display().to_string(), TokenSource::None)
                }
            };
            let mut builder = TextModelBuilder::new(name)
                .with_token_source(token)
                .with_dtype(dtype(options.dtype, cpu))
                .with_max_num_seqs(concurrency);
            if cpu {
                builder = builder.with_force_cpu().with_prefix_cache_n(None);
            }
            Box::pin(builder.build()).await
        }
    };
    built.map_err(|error| LoadError::Engine(first_line(&error.to_string())))
}

/// As mistral.rs tells it.
fn is_harmony(template: &str) -> bool {
    let marks = ["<|start|>", "<|message|>", "<|end|>"];
    template.contains("<|channel|>") || marks.iter().all(|mark| template.contains(mark))
}

fn is_cpu(device: Device) -> Result<bool, LoadError> {
    let found = mistralrs::best_device(device == Device::Cpu);
    found.map(|device| device.is_cpu()).map_err(|e| LoadError::Device(first_line(&e.to_string())))
}

fn dtype(dtype: Dtype, cpu: bool) -> ModelDType {
    match dtype {
        Dtype::Auto if cpu => ModelDType::F32,
        Dtype::Auto => ModelDType::Auto,
        Dtype::F32 => ModelDType::F32,
        Dtype::F16 => ModelDType::F16,
        Dtype::Bf16 => ModelDType::BF16,
    }
}

/// What the weights are loaded as, where that is fixed.
fn precision(dtype: ModelDType) -> Option<String> {
    match dtype {
        ModelDType::F32 => Some("f32".to_owned()),
        ModelDType::F16 => Some("f16".to_owned()),
        ModelDType::BF16 => Some("bf16".to_owned()),
        ModelDType::Auto => None,
    }
}

/// The context an answer can really reach.
pub(super) fn usable(context: u32) -> u32 {
    if context < KV_BLOCK { context } else { context - context % KV_BLOCK }
}

/// mistral.rs' messages carry back traces.
pub(super) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(400).collect()
}

fn panicked(error: &tokio::task::JoinError) -> LoadError {
    LoadError::Panicked(first_line(&error.to_string()))
}

fn modified(file: &Path) -> Option<i64> {
    let modified = std::fs::metadata(file).ok()?.modified().ok()?;
    i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}
