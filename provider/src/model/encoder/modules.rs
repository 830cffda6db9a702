//! `modules.json`: the steps from a model's rows to one vector. Only those are taken that mistral.rs
//! 0.8.1 does right: others it leaves undone, does otherwise, or panics over.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Component, Path};

use crate::tokenizer::{Error, json};

pub(super) const FILE: &str = "modules.json";

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(default)]
struct Pooling {
    word_embedding_dimension: u32,
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
    pooling_mode_lasttoken: bool,
    include_prompt: bool,
}

#[derive(Deserialize)]
struct Dense {
    out_features: u32,
    bias: bool,
}

impl Default for Pooling {
    fn default() -> Self {
        Self {
            word_embedding_dimension: 0,
            pooling_mode_cls_token: false,
            pooling_mode_mean_tokens: false,
            pooling_mode_max_tokens: false,
            pooling_mode_mean_sqrt_len_tokens: false,
            pooling_mode_weightedmean_tokens: false,
            pooling_mode_lasttoken: false,
            include_prompt: true,
        }
    }
}

impl Pooling {
    /// The mean of all rows, or the last one; nothing else, and not both.
    fn is_served(&self) -> bool {
        let others = self.pooling_mode_cls_token
            || self.pooling_mode_max_tokens
            || self.pooling_mode_mean_sqrt_len_tokens
            || self.pooling_mode_weightedmean_tokens
            || !self.include_prompt;
        !others && (self.pooling_mode_mean_tokens != self.pooling_mode_lasttoken)
    }
}

/// Numbers of the vector that comes out of the last module.
pub(super) fn dimensions(folder: &Path) -> Result<u32, Error> {
    let modules: Vec<Module> = read(folder, FILE)?;
    let refused = |what: &str| Err(malformed(folder, FILE, what));
    let [first, pooling, rest @ ..] = modules.as_slice() else {
        return refused("a Transformer and a Pooling module are needed");
    };
    if first.kind() != "transformer" || pooling.kind() != "pooling" {
        return refused("the first modules must be a Transformer and a Pooling");
    }
    let pooling: Pooling = read(folder, &pooling.config(folder)?)?;
    if !pooling.is_served() {
        return refused("only pooling by mean or by last token is served");
    }
    let mut dimensions = pooling.word_embedding_dimension;
    for module in rest {
        match module.kind().as_str() {
            "normalize" => {}
            "dense" => {
                let dense: Dense = read(folder, &module.config(folder)?)?;
                // mistral.rs sums where it should average: the direction is the same until
                // something is added.
                if dense.bias && pooling.pooling_mode_mean_tokens {
                    return refused("a Dense module with a bias after a mean is not served");
                }
                dimensions = dense.out_features;
            }
            _ => return refused("only Dense and Normalize may follow the Pooling"),
        }
    }
    if dimensions == 0 {
        return refused("the modules do not say how long a vector is");
    }
    Ok(dimensions)
}

impl Module {
    /// `sentence_transformers.models.Pooling` as `pooling`.
    fn kind(&self) -> String {
        self.kind.rsplit('.').next().unwrap_or_default().to_ascii_lowercase()
    }

    fn config(&self, folder: &Path) -> Result<String, Error> {
        let mut parts = Path::new(&self.path).components();
        if !parts.all(|part| matches!(part, Component::Normal(_))) {
            return Err(malformed(folder, FILE, "a module's path leads out of the folder"));
        }
        Ok(format!("{}/config.json", self.path))
    }
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, Error> {
    let value = json(&folder.join(name))?.ok_or_else(|| malformed(folder, name, "not found"))?;
    serde_json::from_value(value).map_err(|error| malformed(folder, name, &error.to_string()))
}

fn malformed(folder: &Path, name: &str, message: &str) -> Error {
    Error::Malformed { file: folder.join(name).display().to_string(), message: message.to_owned() }
}
