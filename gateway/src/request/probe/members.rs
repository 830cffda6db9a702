//! The walk over the members of the body. Syntax comes first: only a body that is JSON to its end is
//! judged, and then by the first member at fault.

use std::borrow::Cow;

use super::{Endpoint, Options, Probe, Spots, Summary};
use crate::json::{Fault, Kind, Lexer, Span};
use crate::request::check::Value;
use crate::request::{Error, Media, prompt};

/// What was found; `Err` of the first member at fault is kept until the end of the text is reached.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    seen: u32,
    model: Option<Cow<'a, str>>,
    models: Vec<String>,
    messages: Option<(usize, &'a str)>,
    media: Media,
    prompt: Option<&'a str>,
    prompts: usize,
    input: Option<&'a str>,
    user: Option<Cow<'a, str>>,
    tools: Option<&'a str>,
    response_format: Option<&'a str>,
    provider: Option<&'a str>,
    verification: Option<&'a str>,
    stream: bool,
    include_usage: bool,
    choices: Option<u32>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    seed: Option<i64>,
    temperature: Option<f64>,
    logprobs: bool,
    /// The key of the first that is none of those acted on or of [`PLAIN`].
    foreign: Option<Span>,
    spots: Spots,
}

/// Entries of `prompt`, as OpenAI has it.
const PROMPTS_MAX: u32 = 2048;

/// The members acted on; their place in the list is their bit in `seen`.
const ACTED_ON: [&str; 19] = [
    "model",
    "models",
    "messages",
    "prompt",
    "input",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "seed",
    "temperature",
    "user",
    "logprobs",
    "tools",
    "response_format",
    "provider",
    "verification",
    "quorate",
];

/// Those that whoever serves the endpoint acts on, by its contract, that say nothing without another
/// member, or ask nothing of a model.
const PLAIN: [&str; 19] = [
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "stop",
    "top_logprobs",
    "tool_choice",
    "parallel_tool_calls",
    "chat_template_kwargs",
    "echo",
    "encoding_format",
    "dimensions",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "store",
];

/// Reads the whole text; the outer error is of syntax.
pub(super) fn read(text: &str) -> Result<Result<Found<'_>, Error>, Fault> {
    let bytes = text.as_bytes();
    let mut lexer = Lexer::new(bytes);
    lexer.space();
    if lexer.kind()? != Kind::Object {
        lexer.skip()?;
        lexer.end()?;
        return Ok(Err(Error::body("The request body must be a JSON object.")));
    }
    lexer.open_object()?;
    let mut found = Found::default();
    found.spots.open = lexer.at();
    let (mut first, mut wrong) = (true, None);
    while let Some(key) = lexer.member(&mut first)? {
        let name = key.name(bytes);
        let known = (0u32..).zip(ACTED_ON).find(|(_, known)| known.as_bytes() == &*name);
        let Some((bit, name)) = known else {
            let is_null = lexer.kind()? == Kind::Null;
            lexer.skip()?;
            let is_plain = || PLAIN.iter().any(|plain| plain.as_bytes() == &*name);
            if found.foreign.is_none() && !is_null && !is_plain() {
                found.foreign = Some(key.quoted());
            }
            if let Some(meant) = ACTED_ON.into_iter().find(|known| folds_to(&name, known)) {
                let name = String::from_utf8_lossy(&name);
                let message = format!("Invalid request: '{name}' must be written as '{meant}'.");
                wrong.get_or_insert(Error::member(meant, message));
            }
            continue;
        };
        let result = found.member(&mut lexer, text, name, key.quoted().start)?;
        let doubled = found.seen & (1 << bit) != 0;
        found.seen |= 1 << bit;
        let result = if doubled {
            Err(Error::member(name, format!("Invalid request: '{name}' is there twice.")))
        } else {
            result
        };
        if let Err(error) = result {
            wrong.get_or_insert(error);
        }
    }
    lexer.end()?;
    Ok(wrong.map_or(Ok(found), Err))
}

/// Whether a name is `known` but for the case of its letters. Go's JSON reader, and so Ollama, takes
/// such a member for the known one, and the last of the two holds: it must not pass as an unknown.
fn folds_to(name: &[u8], known: &str) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    // Long s and the Kelvin sign fold to ASCII letters.
    let folded = name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    });
    folded.eq(known.chars())
}

// === impl Found ===

impl<'a> Found<'a> {
    /// Passes and checks one member; the outer error is of syntax.
    fn member(
        &mut self,
        lexer: &mut Lexer<'a>,
        text: &'a str,
        name: &'a str,
        key: usize,
    ) -> Result<Result<(), Error>, Fault> {
        let (kind, start) = (lexer.kind()?, lexer.at());
        let verdict = match name {
            "messages" => prompt::messages(lexer)?.map(|(count, media)| {
                self.messages = Some((count, ""));
                self.media = media;
            }),
            "prompt" => prompt::prompt(lexer)?.map(|count| self.prompts = count),
            "stream_options" if kind == Kind::Object => self.options(lexer, text, key)?,
            _ => {
                lexer.skip()?;
                Ok(())
            }
        };
        let span = Span { start, end: lexer.at() };
        let raw = text.get(start..span.end).unwrap_or_default();
        let value = Value { name, kind, text: raw, span, key };
        Ok(verdict.and_then(|()| self.take(value)))
    }

    fn take(&mut self, value: Value<'a>) -> Result<(), Error> {
        let raw = (!value.is_null()).then_some(value.text);
        match value.name {
            "model" => {
                self.spots.model = Some(value.span);
                self.model = Some(value.model()?);
            }
            "models" => {
                self.models = value.models()?;
                self.ours(&value, 0);
            }
            "messages" => {
                self.spots.messages = Some(value.span);
                self.messages = self.messages.map(|(count, _)| (count, value.text));
            }
            "prompt" => {
                self.spots.prompt = raw.map(|_| value.span);
                self.prompt = raw;
            }
            "input" => self.input = raw,
            "stream" => {
                self.spots.stream = Some(value.span);
                self.stream = value.bool_or_null()?;
            }
            "stream_options" => {
                if !value.object_or_null()? {
                    let options = Options { key: value.key, ..Options::default() };
                    self.spots.options = Some(options);
                }
                if let Some(options) = &mut self.spots.options {
                    options.value = value.span;
                }
            }
            // OpenAI documents no minimum; whether 0 makes sense is the provider's to say.
            "max_tokens" => {
                self.spots.max_tokens = Some(value.spot());
                self.max_tokens = value.integer(0, u64::MAX)?;
            }
            "max_completion_tokens" => {
                self.spots.max_completion_tokens = Some(value.spot());
                self.max_completion_tokens = value.integer(0, u64::MAX)?;
            }
            "n" => self.choices = Some(value.choices()?),
            "seed" => {
                self.spots.seed = Some(value.span);
                self.seed = value.seed()?;
            }
            "temperature" => self.temperature = value.number()?,
            "user" if !value.is_null() => self.user = Some(value.string()?),
            "logprobs" => self.logprobs = !matches!(value.text, "null" | "false"),
            "tools" => self.tools = raw,
            "response_format" => self.response_format = raw,
            "provider" => {
                self.provider = raw;
                self.ours(&value, 1);
            }
            "verification" => {
                self.verification = raw;
                self.ours(&value, 2);
            }
            // What gateways say to nodes; a client's is nobody's.
            "quorate" => self.ours(&value, 3),
            _ => {}
        }
        Ok(())
    }

    /// Remembers where a member stands that no provider gets.
    fn ours(&mut self, value: &Value<'a>, slot: usize) {
        if let Some(slot) = self.spots.ours.get_mut(slot) {
            *slot = Some(Span { start: value.key, end: value.span.end });
        }
    }

    fn options(
        &mut self,
        lexer: &mut Lexer<'a>,
        text: &'a str,
        key: usize,
    ) -> Result<Result<(), Error>, Fault> {
        const NAME: &str = "stream_options.include_usage";
        lexer.open_object()?;
        let mut options = Options { key, object: true, ..Options::default() };
        let (mut first, mut verdict) = (true, Ok(()));
        while let Some(member) = lexer.member(&mut first)? {
            let (kind, found) = (lexer.kind()?, lexer.skip()?);
            if &*member.name(lexer.bytes()) != b"include_usage" {
                continue;
            }
            let raw = text.get(found.start..found.end).unwrap_or_default();
            let value = Value { name: NAME, kind, text: raw, span: found, key };
            if options.include_usage.replace(found).is_some() {
                let message = format!("Invalid request: '{NAME}' is there twice.");
                verdict = Err(Error::member(NAME, message));
            } else if verdict.is_ok() {
                verdict = value.bool_or_null().map(|wanted| self.include_usage = wanted);
            }
        }
        self.spots.options = Some(options);
        Ok(verdict)
    }

    /// The request, if nothing the endpoint needs is missing.
    pub(super) fn probe(mut self, endpoint: Endpoint) -> Result<Probe<'a>, Error> {
        let missing =
            |name: &str| Error::member(name, format!("Missing required parameter: '{name}'."));
        if self.model.is_none() && !self.models.is_empty() {
            self.model = Some(self.models.remove(0).into());
        }
        let model = self.model.ok_or_else(|| missing("model"))?;
        let (messages, prompt_bytes) = match endpoint {
            Endpoint::ChatCompletions => {
                let (count, raw) = self.messages.ok_or_else(|| missing("messages"))?;
                (count, raw.len())
            }
            Endpoint::Completions => {
                (self.prompts, self.prompt.ok_or_else(|| missing("prompt"))?.len())
            }
            Endpoint::Embeddings => {
                let raw = self.input.ok_or_else(|| missing("input"))?;
                (prompt::inputs(raw)?, raw.len())
            }
        };
        let choices = self.choices.unwrap_or(1);
        let choices = match (endpoint, u32::try_from(self.prompts)) {
            (Endpoint::Completions, Ok(prompts)) if prompts <= PROMPTS_MAX => choices * prompts,
            (Endpoint::Completions, _) => {
                let message = format!("Invalid 'prompt': at most {PROMPTS_MAX} prompts a request.");
                return Err(Error::member("prompt", message));
            }
            _ => choices,
        };
        let summary = Summary {
            model: model.clone().into_owned(),
            models: self.models,
            // No embedding is streamed, whatever a client sends along.
            stream: self.stream && endpoint != Endpoint::Embeddings,
            include_usage: self.include_usage,
            choices,
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            prompt_bytes,
            messages,
            media: self.media,
            seed: self.seed,
            temperature: self.temperature,
            logprobs: self.logprobs,
            tools: self.tools.is_some_and(|tools| tools != "[]"),
            structured: self.response_format.is_some_and(is_structured),
            foreign: self.foreign,
            spots: self.spots,
        };
        Ok(Probe {
            model,
            messages: self.messages.map(|(_, raw)| raw),
            prompt: self.prompt,
            input: self.input,
            user: self.user,
            tools: self.tools,
            response_format: self.response_format,
            provider: self.provider,
            verification: self.verification,
            summary,
        })
    }
}

/// `type` is there and is not `text`.
fn is_structured(response_format: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Format<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Cow<'a, str>,
    }
    serde_json::from_str::<Format<'_>>(response_format).is_ok_and(|format| format.kind != "text")
}
