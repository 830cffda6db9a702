//! What is known of an embedding model beside its weights: tokenizer, limits, and the modules that make
//! a vector of its rows. Turns a job into ids, or refuses it; and refuses at its start a model of which
//! mistral.rs would make wrong vectors, or die.

mod modules;

use std::path::Path;

use super::short;
use crate::engine::Error;
use crate::engine::embed::{Input, Job};
use crate::tokenizer::{Error as FileError, Tokenizer, json};

/// Shared by all requests.
#[derive(Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    /// Tokens of an input.
    pub context: u32,
    /// Ids the model knows.
    row: usize,
    /// The fewest tokens the engine can take.
    tokens_min: usize,
    /// Numbers of a vector.
    pub dimensions: u32,
    /// `torch_dtype` of config.json.
    pub stored_as: Option<String>,
}

/// A job's inputs, ready to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Encoded {
    pub inputs: Vec<Vec<u32>>,
    /// Of all inputs.
    pub tokens: u64,
}

/// Whether a folder holds a model that makes embeddings: one in the form of sentence-transformers.
pub fn is_encoder(folder: &Path) -> bool {
    folder.join(modules::FILE).is_file()
}

// === impl Encoder ===

impl Encoder {
    /// Of a folder with safetensors and `modules.json`.
    pub fn from_folder(folder: &Path) -> Result<Self, FileError> {
        let file = folder.join("config.json");
        let malformed = |message: &str| FileError::Malformed {
            file: file.display().to_string(),
            message: message.to_owned(),
        };
        let config = json(&file)?.ok_or_else(|| malformed("not found"))?;
        let number = |name: &str| config.get(name).and_then(serde_json::Value::as_u64);
        let context = number("max_position_embeddings");
        let context = context.ok_or_else(|| malformed("no max_position_embeddings"))?;
        let architecture = config.pointer("/architectures/0").and_then(serde_json::Value::as_str);
        let tokens_min = match architecture {
            // mistral.rs 0.8.1 makes no mask for a single token, and panics without one.
            Some("Qwen3ForCausalLM") => 2,
            Some("Gemma3TextModel") => 1,
            _ => {
                let what = "embeddings are made of Qwen3ForCausalLM and Gemma3TextModel alone";
                return Err(malformed(what));
            }
        };
        let row = number("vocab_size").and_then(|row| usize::try_from(row).ok());
        let tokenizer = Tokenizer::from_folder(folder, row)?;
        let stored_as = config.get("torch_dtype").or_else(|| config.get("dtype"));
        Ok(Self {
            row: row.unwrap_or(0).max(tokenizer.len()),
            tokenizer,
            context: u32::try_from(context.min(text_length(folder)?)).unwrap_or(u32::MAX),
            tokens_min,
            dimensions: modules::dimensions(folder)?,
            stored_as: stored_as.and_then(serde_json::Value::as_str).map(short),
        })
    }

    /// Blocking: tokenises. Every error is the caller's fault.
    pub fn encode(&self, job: &Job) -> Result<Encoded, Error> {
        job.check_dimensions(self.dimensions)?;
        let inputs = job.inputs.iter().enumerate();
        let inputs = inputs.map(|(index, input)| self.input(job, index, input));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let tokens = Job::total(inputs.iter().map(Vec::len))?;
        Ok(Encoded { inputs, tokens })
    }

    fn input(&self, job: &Job, index: usize, input: &Input) -> Result<Vec<u32>, Error> {
        let context = usize::try_from(self.context).unwrap_or(usize::MAX);
        let ids = match input {
            Input::Text(text) => {
                let least = self.tokenizer.tokens_min(text.len());
                if least > context {
                    return Err(job.too_long(index, least, self.context));
                }
                let encoded = self.tokenizer.encode_text(text);
                encoded.map_err(|error| Error::Internal(error.to_string()))?
            }
            Input::Ids(ids) => {
                let is_unknown = |id: &&u32| !usize::try_from(**id).is_ok_and(|id| id < self.row);
                if let Some(id) = ids.iter().find(is_unknown) {
                    let message = format!("token id {id} is not in the vocabulary");
                    return Err(job.invalid(index, message));
                }
                ids.clone()
            }
        };
        if ids.len() > context {
            return Err(job.too_long(index, ids.len(), self.context));
        }
        if ids.len() < self.tokens_min {
            let message = format!("this model takes inputs of at least {} tokens", self.tokens_min);
            return Err(job.invalid(index, message));
        }
        Ok(ids)
    }
}

/// The longest text the model was trained for, where its files say so.
fn text_length(folder: &Path) -> Result<u64, FileError> {
    let config = json(&folder.join("sentence_bert_config.json"))?.unwrap_or_default();
    Ok(config.get("max_seq_length").and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
