//! Writes answers the way foreign servers do: every quirk a gateway has to live with. Its own small
//! printer, because the shipped one must not be able to misbehave.

use super::plan::{MALFORMED, Plan, Step};
use super::play;
use super::script::{Script, UsageMode};
use crate::engine::tally::Tally;
use crate::engine::{Answer, Delta, Error, Job, Relayed};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use openapi::usage::Usage;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// The answer as bytes, whole or streamed as the request asks.
pub(super) fn answer(script: Script, job: &Job, plan: Plan, tally: Tally, created: i64) -> Answer {
    let asked: Asked = serde_json::from_slice(&job.raw.body).unwrap_or_default();
    let streamed = asked.stream.unwrap_or(false);
    let mut headers = HeaderMap::new();
    let kind = if streamed { "text/event-stream" } else { "application/json" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let wire = Wire {
        chat: job.raw.path.ends_with("/chat/completions"),
        include_usage: asked
            .stream_options
            .is_some_and(|options| options.include_usage.unwrap_or(false)),
        evidence: job.evidence,
        id: format!("script-{}", job.request_id),
        model: script.model.clone().unwrap_or_else(|| job.model.clone()),
        created,
        prompt_tokens: plan.prompt_tokens,
        sent: 0,
        events: 0,
        script,
    };
    let body = if streamed { live(wire, plan, tally) } else { whole(wire, plan, tally) };
    Answer::Relay(Relayed { status: StatusCode::OK, headers, body })
}

#[derive(Debug, Default, serde::Deserialize)]
struct Asked {
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<openapi::chat::StreamOptions>,
}

type Body = stream::BoxStream<'static, Result<Bytes, Error>>;

fn live(wire: Wire, plan: Plan, tally: Tally) -> Body {
    let pieces = wire.script.write_bytes;
    let start = VecDeque::from([Ok(wire.start())]);
    let state = (wire, plan.steps, tally, start);
    let written =
        stream::unfold(state, move |(mut wire, mut steps, mut tally, mut out)| async move {
            while out.is_empty() {
                let event = match play::next(&mut steps, &mut tally).await? {
                    Ok(step) => wire.step(step),
                    Err(Error::Abort) => Err(Error::Abort),
                    Err(error) => {
                        steps.clear();
                        Ok(wire.event(&wire.error(&error).to_string()))
                    }
                };
                match (event, pieces) {
                    (Ok(bytes), Some(size)) => {
                        out.extend(
                            bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))),
                        );
                    }
                    (event, _) => out.push_back(event),
                }
            }
            let next = out.pop_front()?;
            Some((next, (wire, steps, tally, out)))
        });
    written
        .filter(|piece| std::future::ready(!matches!(piece, Ok(bytes) if bytes.is_empty())))
        .boxed()
}

fn whole(mut wire: Wire, plan: Plan, tally: Tally) -> Body {
    let Plan { mut steps, .. } = plan;
    let mut tally = tally;
    let printed = async move {
        let (mut content, mut reasoning, mut arguments) = (None, None, String::new());
        let mut end = None;
        while let Some(step) = play::next(&mut steps, &mut tally).await {
            match step {
                Ok(Step::Delta(delta)) => {
                    join(&mut content, delta.content);
                    join(&mut reasoning, delta.reasoning);
                    let function = delta.tool_call.and_then(|call| call.function);
                    arguments.push_str(&function.and_then(|f| f.arguments).unwrap_or_default());
                }
                Ok(Step::Finish { reason, usage, .. }) => end = Some((json!(reason), usage)),
                Ok(Step::Malformed) => return Ok(MALFORMED),
                Ok(Step::Wait(_) | Step::Fail(_) | Step::Comment(_)) => {}
                Err(Error::Abort) => return Err(Error::Abort),
                Err(error) => return Ok(Bytes::from(wire.error(&error).to_string())),
            }
        }
        let (reason, usage) = end.unwrap_or((Value::Null, Usage::default()));
        Ok(wire.print_whole(content, reasoning, arguments, reason, usage))
    };
    stream::once(printed).boxed()
}

fn join(text: &mut Option<String>, piece: Option<String>) {
    if let Some(piece) = piece {
        text.get_or_insert_default().push_str(&piece);
    }
}

struct Wire {
    script: Script,
    chat: bool,
    include_usage: bool,
    evidence: bool,
    id: String,
    model: String,
    created: i64,
    prompt_tokens: u32,
    /// Tokens.
    sent: u64,
    events: u32,
}

impl Wire {
    fn start(&self) -> Bytes {
        if !self.script.role_chunk || !self.chat {
            return Bytes::new();
        }
        let delta = json!({"role": "assistant", "content": ""});
        let chunk =
            self.chunk(Some(json!({"index": 0, "delta": delta, "finish_reason": null})), None);
        Bytes::from(self.frame(&Value::Object(chunk).to_string()))
    }

    fn step(&mut self, step: Step) -> Result<Bytes, Error> {
        Ok(match step {
            Step::Delta(delta) => self.delta(delta),
            Step::Malformed => {
                let broken = String::from_utf8_lossy(&MALFORMED).into_owned();
                self.event(&broken)
            }
            Step::Finish { reason, usage, .. } => self.finish(json!(reason), usage),
            Step::Wait(_) | Step::Fail(_) | Step::Comment(_) => Bytes::new(),
        })
    }

    fn delta(&mut self, delta: Delta) -> Bytes {
        self.sent += delta.ids.len() as u64;
        let usage = matches!(self.script.usage_mode, Some(UsageMode::All))
            .then(|| Usage::new(u64::from(self.prompt_tokens), self.sent));
        let ids = self.evidence.then(|| openapi::evidence::ids_comment(0, &delta.ids));
        let choice = if self.chat {
            let mut printed = json!(openapi::chat::Delta {
                content: delta.content,
                reasoning_content: delta.reasoning,
                tool_calls: delta.tool_call.map(|call| vec![call]),
                ..openapi::chat::Delta::default()
            });
            if self.script.index_missing
                && let Some(call) =
                    printed.pointer_mut("/tool_calls/0").and_then(Value::as_object_mut)
            {
                call.shift_remove("index");
            }
            json!({"index": 0, "delta": printed, "finish_reason": null})
        } else {
            let text = delta.content.or(delta.reasoning).unwrap_or_default();
            json!({"text": text, "index": 0, "logprobs": null, "finish_reason": null})
        };
        let chunk = Value::Object(self.chunk(Some(choice), usage)).to_string();
        let event = self.event(&chunk);
        match ids {
            Some(comment) => [comment.as_bytes(), self.line_end(), &event].concat().into(),
            None => event,
        }
    }

    fn finish(&mut self, reason: Value, usage: Usage) -> Bytes {
        let mode = self.script.usage_mode;
        let reason = self.script.finish_reason.clone().map_or(reason, Value::String);
        let mut out = Vec::new();
        if !self.script.no_finish {
            let on_finish = matches!(mode, Some(UsageMode::FinishChunk | UsageMode::All));
            let choice = if self.chat {
                json!({"index": 0, "delta": {}, "finish_reason": reason})
            } else {
                json!({"text": "", "index": 0, "logprobs": null, "finish_reason": reason})
            };
            let chunk = self.chunk(Some(choice), on_finish.then_some(usage));
            out.extend_from_slice(&self.event(&Value::Object(chunk).to_string()));
        }
        if mode == Some(UsageMode::Last) || (mode.is_none() && self.include_usage) {
            let chunk = self.chunk(None, Some(usage));
            out.extend_from_slice(&self.event(&Value::Object(chunk).to_string()));
        }
        if !self.script.no_done {
            out.extend_from_slice(self.frame("[DONE]").as_bytes());
        }
        Bytes::from(out)
    }

    fn chunk(&self, choice: Option<Value>, usage: Option<Usage>) -> Map<String, Value> {
        let object = if self.chat { "chat.completion.chunk" } else { "text_completion" };
        let mut chunk = self.head(object);
        chunk.insert("choices".to_owned(), Value::Array(choice.into_iter().collect()));
        if let Some(usage) = usage {
            chunk.insert("usage".to_owned(), json!(usage));
        }
        chunk.extend(self.script.extra_members.clone());
        chunk
    }

    fn head(&self, object: &str) -> Map<String, Value> {
        let mut head = Map::new();
        if !self.script.id_missing {
            head.insert("id".to_owned(), json!(self.id));
            head.insert("object".to_owned(), json!(object));
            head.insert("created".to_owned(), json!(self.created));
        }
        head.insert("model".to_owned(), json!(self.model));
        head
    }

    /// One event, with whatever the script hangs around it.
    fn event(&mut self, data: &str) -> Bytes {
        let end = if self.script.crlf { "\r\n" } else { "\n" };
        let mut out = String::new();
        if self.script.event_lines {
            out = format!("event: message{end}id: {}{end}retry: 1000{end}", self.events);
        }
        out.push_str(&self.frame(data));
        self.events += 1;
        if self.script.comment_every.is_some_and(|every| self.events.is_multiple_of(every)) {
            out.push_str(&format!(": comment {}{end}{end}", self.events));
        }
        Bytes::from(out)
    }

    fn frame(&self, data: &str) -> String {
        let blank = if self.script.tight { "" } else { " " };
        let end = if self.script.crlf { "\r\n" } else { "\n" };
        format!("data:{blank}{data}{end}{end}")
    }

    fn line_end(&self) -> &'static [u8] {
        if self.script.crlf { b"\r\n" } else { b"\n" }
    }

    fn error(&self, error: &Error) -> Value {
        let body = openapi::error::ErrorBody::new("server_error", error.to_string(), None, None);
        json!(body)
    }

    fn print_whole(
        &mut self,
        content: Option<String>,
        reasoning: Option<String>,
        arguments: String,
        reason: Value,
        usage: Usage,
    ) -> Bytes {
        let reason = self.script.finish_reason.clone().map_or(reason, Value::String);
        let reason = if self.script.no_finish { Value::Null } else { reason };
        let (object, choice) = if self.chat {
            let message = self.message(content, reasoning, arguments);
            ("chat.completion", json!({"index": 0, "message": message, "finish_reason": reason}))
        } else {
            let text = content.unwrap_or_default();
            let choice =
                json!({"text": text, "index": 0, "logprobs": null, "finish_reason": reason});
            ("text_completion", choice)
        };
        let mut whole = self.head(object);
        whole.insert("choices".to_owned(), json!([choice]));
        if self.script.usage_mode != Some(UsageMode::None) {
            whole.insert("usage".to_owned(), json!(usage));
        }
        whole.extend(self.script.extra_members.clone());
        Bytes::from(Value::Object(whole).to_string())
    }

    fn message(
        &self,
        content: Option<String>,
        reasoning: Option<String>,
        arguments: String,
    ) -> Map<String, Value> {
        let mut message = Map::new();
        message.insert("role".to_owned(), json!("assistant"));
        message.insert("content".to_owned(), json!(content));
        if let Some(reasoning) = reasoning {
            message.insert("reasoning_content".to_owned(), json!(reasoning));
        }
        if let Some(call) = &self.script.tool_call {
            let function = json!({"name": call.name, "arguments": arguments});
            let call = json!({"id": "call_0", "type": "function", "function": function});
            message.insert("tool_calls".to_owned(), json!([call]));
        }
        message
    }
}
