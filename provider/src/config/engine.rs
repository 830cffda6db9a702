//! The engine's part of the configuration: `[engine]`, `[upstream]`, `[script]`; `[toy]` is in `toy`.

use super::read::{Faults, Section};
use super::{Dtype, Engine, Flags, Mistral};
use crate::engine::scripted::{self, Script};
use crate::engine::upstream::{self, ApiKey, Dialect, ModelMap};
use http::Uri;
use serde_json::{Map, Value};
use std::path::PathBuf;

const CONCURRENT_MAX: u64 = 1_000_000;
const MISTRAL_CONCURRENT: usize = 16;
/// 512 MiB: of 150,000 ids about 900 tokens.
const SCORE_MATRIX: usize = 512 << 20;
const UPSTREAM_CONCURRENT: usize = 256;
const SCRIPTED_CONCURRENT: usize = 1024;

/// `None` only with at least one fault.
pub(super) fn read(root: &mut Section, flags: &Flags, faults: &mut Faults) -> Option<Engine> {
    let mut section = root.section("engine", faults);
    let upstream = root.section("upstream", faults);
    let script = root.section("script", faults);
    let toy = root.section("toy", faults);
    // Taken from the file in any case: what a flag overrules is still no unknown member.
    let kind = section.text("kind", faults);
    let (model, id) = (section.text("model", faults), section.text("model_id", faults));
    let concurrent = section.number("max_concurrent", 1..=CONCURRENT_MAX, faults);
    let kind = flags.engine.clone().or(kind).unwrap_or_else(|| {
        if flags.upstream.is_some() { "upstream".to_owned() } else { "mistral".to_owned() }
    });
    let common = Common {
        model: flags.model.clone().or(model),
        id: flags.model_id.clone().or(id),
        max_concurrent: flags
            .max_concurrent
            .or_else(|| concurrent.and_then(|number| usize::try_from(number).ok())),
    };
    let engine = match kind.as_str() {
        "mistral" => mistral(&mut section, flags, common, faults),
        "upstream" => {
            toy.finish(faults);
            return finish(section, self::upstream(upstream, flags, common, faults), faults);
        }
        "scripted" => {
            toy.finish(faults);
            return finish(section, scripted(script, flags, common, faults), faults);
        }
        "toy" => {
            upstream.finish(faults);
            script.finish(faults);
            return finish(section, super::toy::read(toy, common, faults), faults);
        }
        _ => {
            faults.add("engine.kind", "must be mistral, upstream, scripted or toy");
            None
        }
    };
    // A section of another engine would be silently without effect.
    upstream.finish(faults);
    script.finish(faults);
    toy.finish(faults);
    finish(section, engine, faults)
}

fn finish(section: Section, engine: Option<Engine>, faults: &mut Faults) -> Option<Engine> {
    section.finish(faults);
    engine
}

pub(super) struct Common {
    pub(super) model: Option<String>,
    pub(super) id: Option<String>,
    pub(super) max_concurrent: Option<usize>,
}

fn mistral(
    section: &mut Section,
    flags: &Flags,
    common: Common,
    faults: &mut Faults,
) -> Option<Engine> {
    let cpu = match section.text("device", faults).as_deref() {
        None | Some("auto") => false,
        Some("cpu") => true,
        Some(_) => {
            faults.add("engine.device", "must be auto or cpu");
            false
        }
    };
    let dtype = match section.text("dtype", faults).as_deref() {
        None | Some("auto") => Dtype::Auto,
        Some("f32") => Dtype::F32,
        Some("f16") => Dtype::F16,
        Some("bf16") => Dtype::Bf16,
        Some(_) => {
            faults.add("engine.dtype", "must be auto, f32, f16 or bf16");
            Dtype::Auto
        }
    };
    let matrix = section.count("score_matrix_bytes", 0, 1 << 40, SCORE_MATRIX, faults);
    let allow_download = section.flag("allow_download", faults);
    let embedding_model = section.text("embedding_model", faults);
    let embedding_model = flags.embedding_model.clone().or(embedding_model);
    let embedding_model_id = section.text("embedding_model_id", faults);
    let embedding_model_id = flags.embedding_model_id.clone().or(embedding_model_id);
    let Some(model) = common.model else {
        faults.add("engine.model", "is required (or --model): a folder, a GGUF file, or a hub id");
        return None;
    };
    Some(Engine::Mistral(Mistral {
        model,
        id: common.id,
        cpu,
        dtype,
        max_concurrent: common.max_concurrent.unwrap_or(MISTRAL_CONCURRENT),
        score_matrix_bytes: matrix,
        embedding_model,
        embedding_model_id,
        allow_download,
    }))
}

fn upstream(
    mut section: Section,
    flags: &Flags,
    common: Common,
    faults: &mut Faults,
) -> Option<Engine> {
    let base_url = section.text("base_url", faults);
    let base_url = flags.upstream.clone().or(base_url);
    let key = section.text("api_key", faults);
    let api_key = key.and_then(|key| match ApiKey::new(&key) {
        Ok(key) => Some(key),
        Err(error) => {
            faults.add("upstream.api_key", error);
            None
        }
    });
    let models = section.sections("models", faults);
    let mut models: Vec<ModelMap> =
        models.into_iter().filter_map(|section| model_map(section, faults)).collect();
    // One model by flags: `--model` is its name there, `--model-id` ours.
    if let Some(upstream_model) = common.model {
        let id = common.id.unwrap_or_else(|| upstream_model.clone());
        models.push(ModelMap { id, upstream_model, ..ModelMap::default() });
    }
    let scorer = section.text("scorer", faults).and_then(|name| {
        let found = Dialect::ALL.into_iter().find(|(known, _)| *known == name);
        if found.is_none() {
            faults.add("upstream.scorer", "must be vllm, sglang or llama_cpp");
        }
        found.map(|(_, dialect)| dialect)
    });
    let options = |base_url| upstream::Options {
        scorer,
        base_url,
        api_key,
        models,
        max_concurrent: common.max_concurrent.unwrap_or(UPSTREAM_CONCURRENT),
        connect_timeout: section.millis("connect_timeout_ms", 5_000, faults),
        header_timeout: section.millis("header_timeout_ms", 600_000, faults),
        idle_timeout: section.millis("idle_timeout_ms", 300_000, faults),
        refresh: section.millis("refresh_ms", 60_000, faults),
    };
    let parsed = base_url.as_deref().map(str::parse::<Uri>);
    let engine = match parsed {
        Some(Ok(uri)) if uri.scheme().is_some() && uri.host().is_some() => {
            Some(Engine::Upstream(Box::new(options(uri))))
        }
        Some(_) => {
            faults.add("upstream.base_url", "must be a URL like http://127.0.0.1:8000/v1");
            None
        }
        None => {
            faults.add("upstream.base_url", "is required (or --upstream)");
            None
        }
    };
    section.finish(faults);
    engine
}

fn model_map(mut section: Section, faults: &mut Faults) -> Option<ModelMap> {
    let path = section.path("id");
    let id = section.text("id", faults);
    let upstream_model = section.text("upstream_model", faults);
    let weights_id = section.text("weights_id", faults);
    let quant = section.text("quant", faults);
    let files = section.text("files", faults).map(PathBuf::from);
    let context_length = section.number("context", 1..=u64::from(u32::MAX), faults);
    section.finish(faults);
    let Some(id) = id else {
        faults.add(&path, "is required");
        return None;
    };
    Some(ModelMap {
        upstream_model: upstream_model.unwrap_or_else(|| id.clone()),
        id,
        context_length,
        weights_id,
        quant,
        files,
    })
}

fn scripted(
    section: Section,
    flags: &Flags,
    common: Common,
    faults: &mut Faults,
) -> Option<Engine> {
    let script = match &flags.script {
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Script::parse(&text).map_err(|error| error.to_string()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        },
        None => match serde_json::to_value(section.into_rest()) {
            Ok(Value::Object(members)) => inline(&members),
            _ => Err("must be a table".to_owned()),
        },
    };
    match script {
        Ok(script) => Some(Engine::Scripted(Box::new(scripted::Options {
            models: vec![common.id.or(common.model).unwrap_or_else(|| "scripted".to_owned())],
            max_concurrent: common.max_concurrent.unwrap_or(SCRIPTED_CONCURRENT),
            script,
            ..scripted::Options::default()
        }))),
        Err(error) => {
            faults.add("script", error);
            None
        }
    }
}

fn inline(members: &Map<String, Value>) -> Result<Script, String> {
    Script::default().overridden(members).map_err(|error| error.to_string())
}
