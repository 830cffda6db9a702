//! What is known of a text model beside its weights: tokenizer, template, grammars, limits. Turns a
//! job into what an engine needs, or refuses it with the member at fault. Runs nothing.

pub mod encoder;

use openapi::chat::Request;
use openapi::resume::Resume;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;

use crate::engine::{Error, Job, Prompt, ToolUse, score};
use crate::grammar::{Grammars, Guide, ToolChoice, ToolForm};
use crate::template::Template;
use crate::text::{Calls, Options};
use crate::tokenizer::gguf::Metadata;
use crate::tokenizer::{Error as FileError, Tokenizer, json};

/// Shared by all requests.
#[derive(Debug)]
pub struct Model {
    pub tokenizer: Arc<Tokenizer>,
    /// Absent: the model answers raw prompts alone.
    pub template: Option<Template>,
    grammars: Grammars,
    /// Tokens, prompt and answer together.
    pub context: u32,
    /// Length of a row of logits.
    row: usize,
    /// `torch_dtype` of config.json, or the GGUF file's precision.
    pub stored_as: Option<String>,
}

/// A job ready to run.
#[derive(Debug)]
pub struct Prepared {
    pub ids: Vec<u32>,
    /// At least 1, and never past the context.
    pub max_tokens: u32,
    pub text: Options,
    pub guide: Option<Guide>,
}

// === impl Prepared ===

impl Prepared {
    /// Of the prompt's ids, as a provenance tells it.
    pub fn ids_sha256(&self) -> String {
        let mut hash = Sha256::new();
        for id in &self.ids {
            hash.update(id.to_le_bytes());
        }
        hex::encode(hash.finalize())
    }
}

// === impl Model ===

impl Model {
    /// Of a folder with safetensors.
    pub fn from_folder(folder: &Path) -> Result<Self, FileError> {
        let file = folder.join("config.json");
        let malformed = |message: &str| FileError::Malformed {
            file: file.display().to_string(),
            message: message.to_owned(),
        };
        let config = json(&file)?.ok_or_else(|| malformed("not found"))?;
        let member = |name: &str| config.get(name).or_else(|| config.get("text_config")?.get(name));
        let number = |name: &str| member(name).and_then(serde_json::Value::as_u64);
        let context = number("max_position_embeddings");
        let context = context.ok_or_else(|| malformed("no max_position_embeddings"))?;
        let row = number("vocab_size").and_then(|row| usize::try_from(row).ok());
        let tokenizer = Tokenizer::from_folder(folder, row)?;
        let stored_as = member("torch_dtype").or_else(|| member("dtype"));
        let stored_as = stored_as.and_then(serde_json::Value::as_str).map(short);
        let template = Template::from_folder(folder)?;
        Self::assemble(tokenizer, template, context, row, stored_as)
    }

    /// Of a GGUF file: tokenizer and template from the files beside it where they are, else out of
    /// the file itself.
    pub fn from_gguf(file: &Path) -> Result<Self, FileError> {
        let metadata = Metadata::read(file)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let tokenizer = if folder.join("tokenizer.json").is_file() {
            Tokenizer::from_folder(folder, None)?
        } else {
            metadata.tokenizer()?
        };
        let template = match (Template::from_folder(folder)?, metadata.chat_template()) {
            (Some(template), _) => Some(template),
            (None, Some(source)) => {
                let template = Template::new(source.to_owned(), None, metadata.specials()?);
                Some(template.map_err(|message| metadata.malformed(message))?)
            }
            (None, None) => None,
        };
        let context = metadata.context_length();
        let context = context.ok_or_else(|| metadata.malformed("no context_length"))?;
        let quant = metadata.quant();
        Self::assemble(tokenizer, template, context, None, Some(quant))
    }

    pub(crate) fn assemble(
        tokenizer: Tokenizer,
        template: Option<Template>,
        context: u64,
        row: Option<usize>,
        stored_as: Option<String>,
    ) -> Result<Self, FileError> {
        let grammars = Grammars::new(tokenizer.env()).map_err(FileError::Encode)?;
        let row = row.unwrap_or(0).max(tokenizer.len());
        let context = u32::try_from(context).unwrap_or(u32::MAX);
        Ok(Self { tokenizer: Arc::new(tokenizer), template, grammars, context, row, stored_as })
    }

    /// Blocking: tokenises, and compiles a grammar. Every error is the caller's fault.
    pub fn prepare(&self, job: &Job) -> Result<Prepared, Error> {
        if let Some(id) = job.sampling.logit_bias.keys().find(|id| !self.is_id(**id)) {
            return Err(invalid(format!("token id {id} is not in the vocabulary"), "logit_bias"));
        }
        if job.max_tokens == Some(0) {
            return Err(invalid("at least 1".to_owned(), "max_tokens"));
        }
        let prepared = self.prompt(job)?;
        if let Some(resume) = &job.resume {
            self.check(resume, &prepared)?;
        }
        Ok(prepared)
    }

    /// The same for an answer to be scored. Its ids may be any the vocabulary has, and no more than the
    /// context holds behind the prompt.
    pub fn prepare_score(&self, job: &score::Job) -> Result<Prepared, Error> {
        let prepared = self.prepare(&job.job)?;
        let param = "completion_token_ids";
        if let Some(id) = job.ids.iter().find(|id| !self.is_id(**id)) {
            return Err(invalid(format!("token id {id} is not in the vocabulary"), param));
        }
        let room = (self.context as usize).saturating_sub(prepared.ids.len());
        if job.ids.len() > room {
            return Err(invalid(format!("an answer has at most {room} tokens here"), param));
        }
        Ok(prepared)
    }

    /// Length of a row of logits.
    pub fn row_len(&self) -> usize {
        self.row
    }

    fn prompt(&self, job: &Job) -> Result<Prepared, Error> {
        match &job.prompt {
            Prompt::Chat(request) => self.chat(job, request),
            Prompt::Text(text) => {
                self.fits(self.tokenizer.tokens_min(text.len()), "prompt")?;
                self.raw(job, self.tokenizer.encode_text(text).map_err(internal)?)
            }
            Prompt::Ids(ids) => {
                if let Some(id) = ids.iter().find(|id| !self.is_id(**id)) {
                    let message = format!("token id {id} is not in the vocabulary");
                    return Err(invalid(message, "prompt"));
                }
                self.raw(job, ids.clone())
            }
        }
    }

    fn chat(&self, job: &Job, request: &Request) -> Result<Prepared, Error> {
        let Some(template) = &self.template else {
            let message = "this model has no chat template; use /v1/completions".to_owned();
            return Err(invalid(message, "messages"));
        };
        let tools = job.tool_use != ToolUse::Off;
        let rendered = template.render(request, tools, &self.tokenizer)?;
        self.fits(self.tokenizer.tokens_min(rendered.text.len()), "messages")?;
        let ids = self.tokenizer.encode_rendered(&rendered.text, &rendered.guard);
        let ids = ids.map_err(internal)?;
        let room = self.fits(ids.len(), "messages")?;
        let guide = self.guide(job, request, template)?;
        let thinking = guide.is_none() && rendered.text.trim_end().ends_with("<think>");
        let text = Options {
            stop: job.stop.clone(),
            // A grammar says what the whole answer is.
            reasoning: guide.is_none(),
            thinking,
            calls: tools.then(|| calls(job, request)),
        };
        let max_tokens = job.max_tokens.map_or(room, |max| max.min(room));
        Ok(Prepared { ids, max_tokens, text, guide })
    }

    fn raw(&self, job: &Job, ids: Vec<u32>) -> Result<Prepared, Error> {
        if ids.is_empty() {
            return Err(invalid("the prompt is empty".to_owned(), "prompt"));
        }
        let room = self.fits(ids.len(), "prompt")?;
        let guide = job.constraint.as_ref().map(|c| self.grammars.constraint(c)).transpose()?;
        let text = Options { stop: job.stop.clone(), ..Options::default() };
        let max_tokens = job.max_tokens.map_or(room, |max| max.min(room));
        Ok(Prepared { ids, max_tokens, text, guide })
    }

    fn guide(
        &self,
        job: &Job,
        request: &Request,
        template: &Template,
    ) -> Result<Option<Guide>, Error> {
        let tools = request.tools.as_deref().unwrap_or_default();
        let named = |name: &str| {
            tools.iter().find(|tool| tool.function.as_ref().is_some_and(|f| f.name == name))
        };
        let choice = match &job.tool_use {
            ToolUse::Off | ToolUse::Auto => {
                return job.constraint.as_ref().map(|c| self.grammars.constraint(c)).transpose();
            }
            ToolUse::Required if tools.iter().all(|tool| tool.function.is_none()) => {
                return Err(invalid("no function to call".to_owned(), "tools"));
            }
            ToolUse::Required => {
                ToolChoice::Any { tools, parallel: request.parallel_tool_calls != Some(false) }
            }
            ToolUse::Named(name) => ToolChoice::One(named(name).ok_or_else(|| {
                let name: String = name.chars().take(80).collect();
                invalid(format!("`{name}` is not among the tools"), "tool_choice")
            })?),
        };
        let form = ToolForm::of_template(template.source());
        let id_of = |token: &str| self.tokenizer.id_of(token);
        self.grammars.tool_calls(form, &choice, &id_of).map(Some)
    }

    /// Whether an answer to this prompt can have begun so.
    fn check(&self, resume: &Resume, prepared: &Prepared) -> Result<(), Error> {
        let param = "quorate.resume.ids";
        if let Some(id) = resume.ids.iter().find(|id| !self.is_id(**id)) {
            return Err(invalid(format!("token id {id} is not in the vocabulary"), param));
        }
        if resume.ids.len() > prepared.max_tokens as usize {
            let message = format!("an answer has at most {} tokens here", prepared.max_tokens);
            return Err(invalid(message, param));
        }
        match &resume.prompt_ids_sha256 {
            Some(hash) if *hash != prepared.ids_sha256() => {
                Err(Error::Mismatch("the prompt is rendered differently here".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn is_id(&self, id: u32) -> bool {
        usize::try_from(id).is_ok_and(|id| id < self.row)
    }

    /// Tokens left for the answer: at least one.
    fn fits(&self, tokens: usize, param: &'static str) -> Result<u32, Error> {
        let used = u32::try_from(tokens).unwrap_or(u32::MAX);
        match self.context.checked_sub(used) {
            Some(room) if room > 0 => Ok(room),
            _ => Err(Error::Invalid {
                message: format!(
                    "This model's maximum context length is {} tokens, and the prompt is at least \
                     {used} tokens long. Please shorten it.",
                    self.context
                ),
                param: Some(param.to_owned()),
                code: Some("context_length_exceeded"),
            }),
        }
    }
}

fn calls(job: &Job, request: &Request) -> Calls {
    let tools = request.tools.iter().flatten();
    let names = tools.filter_map(|tool| Some(tool.function.as_ref()?.name.clone()));
    let one = matches!(job.tool_use, ToolUse::Named(_));
    Calls {
        names: names.collect(),
        parallel: !one && request.parallel_tool_calls != Some(false),
        salt: format!("{} {}", job.request_id, job.choice),
    }
}

/// `float16` as `f16`.
fn short(dtype: &str) -> String {
    match dtype.trim_start_matches("torch.") {
        "float16" => "f16".to_owned(),
        "bfloat16" => "bf16".to_owned(),
        "float32" => "f32".to_owned(),
        other => other.to_owned(),
    }
}

fn internal(error: FileError) -> Error {
    Error::Internal(error.to_string())
}

fn invalid(message: String, param: &str) -> Error {
    Error::Invalid { message, param: Some(param.to_owned()), code: None }
}

#[cfg(test)]
pub(crate) mod tests;
