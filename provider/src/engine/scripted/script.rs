//! What can be written in a script, and its limits.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

const SEQUENCE_MAX: usize = 1000;
const SPREAD_MAX: f64 = 100.0;
const TOKENS_MAX: u32 = 1_000_000;
const TEXT_BYTES_MAX: usize = 8 << 20;
const DELAY_MS_MAX: u64 = 3_600_000;

/// Every member may be absent. `…_after` counts tokens already sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// How many tokens of content: ` tok0`, ` tok1`, … with ids 0, 1, ….
    pub tokens: u32,
    /// The content instead of counted tokens; a token is a word with the blanks before it.
    pub text: Option<String>,
    /// Reasoning before the content, token by token.
    pub reasoning: Option<String>,
    /// A tool call after the content. With one, and no `text`, there is no content.
    pub tool_call: Option<ToolCall>,
    /// Before the response's head.
    pub head_ms: u64,
    /// From the head to the first token.
    pub ttft_ms: u64,
    /// By what factor, at most, that is longer or shorter: from request to request another one, the
    /// same for the same request's number. Of the engine's own script.
    pub ttft_spread: f64,
    /// Between tokens.
    pub itl_ms: u64,
    /// Stall once, for `stall_ms`.
    pub stall_after: Option<u32>,
    pub stall_ms: u64,
    /// Cut the connection.
    pub cut_after: Option<u32>,
    /// Reset the connection instead of answering.
    pub reset_before_head: bool,
    /// Answer with this status and `body`, whatever the request.
    pub status: Option<u16>,
    pub body: Option<String>,
    pub content_type: Option<String>,
    pub retry_after: Option<String>,
    /// Write one event that is no JSON, and go on.
    pub malformed_after: Option<u32>,
    /// Write an error event and end.
    pub error_after: Option<u32>,
    /// End without `[DONE]`.
    pub no_done: bool,
    /// End without a finish reason (and without `[DONE]` only if `no_done`).
    pub no_finish: bool,
    /// Any text in place of the finish reason, also a foreign or empty one.
    pub finish_reason: Option<String>,
    /// Where usage is written. Absent: on its own chunk when asked for.
    pub usage_mode: Option<UsageMode>,
    /// Whether a stream begins with a chunk that carries the role.
    pub role_chunk: bool,
    /// Lines end with CR LF.
    pub crlf: bool,
    /// No blank after `data:`.
    pub tight: bool,
    /// A comment after every so many events.
    pub comment_every: Option<u32>,
    /// Also `event:`, `id:` and `retry:` lines.
    pub event_lines: bool,
    /// Chunks without `id`, `created` and `object`.
    pub id_missing: bool,
    /// Tool call deltas without `index`.
    pub index_missing: bool,
    /// Another name than the one asked for.
    pub model: Option<String>,
    /// Members added to every chunk, after the known ones.
    pub extra_members: Map<String, Value>,
    /// Cut the bytes of a stream into writes of this size.
    pub write_bytes: Option<usize>,
    /// What is wrong with the evidence of an answer. With one of the members that misbehave on the wire,
    /// there is no provenance at all.
    pub evidence: Option<EvidenceFault>,
    /// Changes of the engine's own script for the first request, the second, …; the last one repeats.
    pub sequence: Vec<Map<String, Value>>,
    /// Well and unwell by turns. Of the engine's own script.
    pub flap: Option<Flap>,
}

/// How a writer's evidence is amiss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceFault {
    /// No provenance.
    NoProvenance,
    /// A provenance that is no JSON.
    MalformedProvenance,
    /// No token ids.
    NoIds,
    /// Other ids than those of the text.
    OtherIds,
    /// A commitment to something else, with a signature that does not fit.
    BadCommitment,
    /// A commitment without a signature.
    NoSignature,
    /// Other weights than are sold.
    OtherWeights,
    /// Another prompt than the one that came.
    OtherPrompt,
}

/// Well for `up_ms`, then unwell for `down_ms`, and again, since the engine began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    pub up_ms: u64,
    pub down_ms: u64,
    /// From then on it is well. Absent: it never is for good.
    #[serde(default)]
    pub for_ms: Option<u64>,
    /// Changes while unwell. Absent: connections are reset.
    #[serde(default)]
    pub down: Option<Map<String, Value>>,
}

/// A call the script makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub name: String,
    /// JSON, as text.
    #[serde(default)]
    pub arguments: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageMode {
    /// On its own chunk before `[DONE]`, asked for or not.
    Last,
    /// On the chunk that carries the finish reason.
    FinishChunk,
    /// On every chunk, counting up.
    All,
    /// Nowhere, asked for or not.
    None,
}

/// A script that can't be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScriptError(pub String);

impl Default for Script {
    fn default() -> Self {
        Self {
            tokens: 16,
            text: None,
            reasoning: None,
            tool_call: None,
            head_ms: 0,
            ttft_ms: 0,
            ttft_spread: 1.0,
            itl_ms: 0,
            stall_after: None,
            stall_ms: 0,
            cut_after: None,
            reset_before_head: false,
            status: None,
            body: None,
            content_type: None,
            retry_after: None,
            malformed_after: None,
            error_after: None,
            no_done: false,
            no_finish: false,
            finish_reason: None,
            usage_mode: None,
            role_chunk: true,
            crlf: false,
            tight: false,
            comment_every: None,
            event_lines: false,
            id_missing: false,
            index_missing: false,
            model: None,
            extra_members: Map::new(),
            write_bytes: None,
            evidence: None,
            sequence: Vec::new(),
            flap: None,
        }
    }
}

impl Script {
    /// Parses and checks a script.
    pub fn parse(json: &str) -> Result<Self, ScriptError> {
        let members: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| ScriptError(error.to_string()))?;
        Self::default().overridden(&members)
    }

    /// This script with single members replaced.
    pub fn overridden(&self, members: &Map<String, Value>) -> Result<Self, ScriptError> {
        let own = serde_json::to_value(self).map_err(|error| ScriptError(error.to_string()))?;
        let Value::Object(mut merged) = own else {
            return Err(ScriptError("a script is an object".to_owned()));
        };
        merged.extend(members.iter().map(|(name, value)| (name.clone(), value.clone())));
        let script: Self = serde_path_to_error::deserialize(Value::Object(merged))
            .map_err(|error| ScriptError(format!("`script`: {error}")))?;
        script.checked()
    }

    /// The script of one request: the `number`th from 0, begun `age` after the engine.
    pub(super) fn of_request(&self, number: u64, age: Duration) -> Result<Self, ScriptError> {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        let mut script = match self.sequence.get(place).or(self.sequence.last()) {
            Some(changes) => self.overridden(changes)?,
            None => self.clone(),
        };
        script.ttft_ms = spread(script.ttft_ms, script.ttft_spread, number);
        match &self.flap {
            Some(flap) if flap.is_down(age) => script.overridden(&flap.changes()),
            _ => Ok(script),
        }
    }

    /// Whether it must write its own bytes: nothing the shipped printer would write.
    pub fn is_quirky(&self) -> bool {
        self.malformed_after.is_some()
            || self.no_done
            || self.no_finish
            || self.finish_reason.is_some()
            || self.usage_mode.is_some()
            || !self.role_chunk
            || self.crlf
            || self.tight
            || self.comment_every.is_some()
            || self.event_lines
            || self.id_missing
            || self.index_missing
            || self.model.is_some()
            || !self.extra_members.is_empty()
            || self.write_bytes.is_some()
    }

    fn checked(self) -> Result<Self, ScriptError> {
        let refuse = |what: String| Err(ScriptError(format!("`script.{what}")));
        if self.tokens > TOKENS_MAX {
            return refuse(format!("tokens` must be at most {TOKENS_MAX}"));
        }
        for (name, text) in
            [("text", &self.text), ("reasoning", &self.reasoning), ("body", &self.body)]
        {
            if text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
                return refuse(format!("{name}` must have at most {TEXT_BYTES_MAX} bytes"));
            }
        }
        for (name, ms) in [
            ("head_ms", self.head_ms),
            ("ttft_ms", self.ttft_ms),
            ("itl_ms", self.itl_ms),
            ("stall_ms", self.stall_ms),
        ] {
            if ms > DELAY_MS_MAX {
                return refuse(format!("{name}` must be at most {DELAY_MS_MAX}"));
            }
        }
        if self.comment_every == Some(0) || self.write_bytes == Some(0) {
            return refuse("comment_every` and `write_bytes` must be at least 1".to_owned());
        }
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return refuse("status` must be between 200 and 599".to_owned());
        }
        self.check_engines_own()?;
        Ok(self)
    }
}

/// What a script says of the engine and not of a request.
pub(super) const ENGINES_OWN: [&str; 3] = ["sequence", "flap", "ttft_spread"];

/// Evenly between `ms / factor` and `ms * factor` on a scale of logarithms.
fn spread(ms: u64, factor: f64, number: u64) -> u64 {
    if ms == 0 || factor <= 1.0 {
        return ms;
    }
    let hash = blake3::hash(&number.to_le_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    let place = f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX);
    let spread = Duration::from_millis(ms).mul_f64(factor.powf(2.0 * place - 1.0));
    u64::try_from(spread.as_millis()).unwrap_or(u64::MAX)
}

impl Script {
    fn check_engines_own(&self) -> Result<(), ScriptError> {
        let refuse = |what: &str| Err(ScriptError(format!("`script.{what}")));
        if !(1.0..=SPREAD_MAX).contains(&self.ttft_spread) {
            return refuse(&format!("ttft_spread` must be between 1 and {SPREAD_MAX}"));
        }
        if self.sequence.len() > SEQUENCE_MAX {
            return refuse(&format!("sequence` must have at most {SEQUENCE_MAX} entries"));
        }
        if self.flap.as_ref().is_some_and(|flap| flap.up_ms == 0 || flap.down_ms == 0) {
            return refuse("flap` must be up and down for at least 1 ms");
        }
        let down = self.flap.as_ref().and_then(|flap| flap.down.as_ref());
        for changes in self.sequence.iter().chain(down) {
            if ENGINES_OWN.iter().any(|name| changes.contains_key(*name)) {
                return refuse("sequence` and `script.flap` hold what changes for a request");
            }
            // As it will be used; the defaults have neither, so this ends.
            Self::default().overridden(changes)?;
        }
        Ok(())
    }
}

// === impl Flap ===

impl Flap {
    fn is_down(&self, age: Duration) -> bool {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let is_over = self.for_ms.is_some_and(|end| age >= end);
        !is_over && age % self.up_ms.saturating_add(self.down_ms).max(1) >= self.up_ms
    }

    fn changes(&self) -> Map<String, Value> {
        let reset = || Map::from_iter([("reset_before_head".to_owned(), Value::Bool(true))]);
        self.down.clone().unwrap_or_else(reset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_members_are_overridden() {
        let base = Script::parse(r#"{"tokens":3,"itl_ms":5}"#).unwrap();
        let members = serde_json::json!({"tokens": 4}).as_object().unwrap().clone();
        let script = base.overridden(&members).unwrap();
        assert_eq!((script.tokens, script.itl_ms), (4, 5));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (json, word) in [
            (r#"{"token":3}"#, "token"),
            (r#"{"tokens":"3"}"#, "tokens"),
            (r#"{"tokens":9000000}"#, "tokens"),
            (r#"{"ttft_ms":99999999}"#, "ttft_ms"),
            (r#"{"status":99}"#, "status"),
            (r#"{"comment_every":0}"#, "comment_every"),
            (r#"{"sequence":[{"tokns":1}]}"#, "tokns"),
            (r#"{"sequence":[{"sequence":[]}]}"#, "sequence"),
            (r#"{"flap":{"up_ms":0,"down_ms":5}}"#, "flap"),
            (r#"{"flap":{"up_ms":1,"down_ms":5,"down":{"flap":null}}}"#, "flap"),
        ] {
            let error = Script::parse(json).unwrap_err();
            assert!(error.to_string().contains(word), "{json}: {error}");
        }
    }

    #[test]
    fn a_sequence_goes_on_with_its_last() {
        let script = Script::parse(r#"{"tokens":3,"sequence":[{"status":500},{}]}"#).unwrap();
        let status = |number| script.of_request(number, Duration::ZERO).unwrap().status;
        assert_eq!([status(0), status(1), status(2)], [Some(500), None, None]);
        assert_eq!(script.of_request(7, Duration::ZERO).unwrap().tokens, 3);
    }

    #[test]
    fn a_spread_is_around_and_the_same_again() {
        let script = Script::parse(r#"{"ttft_ms":1000,"ttft_spread":2}"#).unwrap();
        let ttft = |number| script.of_request(number, Duration::ZERO).unwrap().ttft_ms;
        let all: Vec<u64> = (0..100).map(ttft).collect();
        assert_eq!(all, (0..100).map(ttft).collect::<Vec<_>>());
        assert!(all.iter().all(|ms| (500..=2000).contains(ms)), "{all:?}");
        assert!(all.iter().any(|ms| *ms < 700) && all.iter().any(|ms| *ms > 1400), "{all:?}");
    }

    #[test]
    fn a_flapping_engine_is_well_first_and_in_the_end() {
        let flap = r#"{"flap":{"up_ms":100,"down_ms":50,"for_ms":1000}}"#;
        let script = Script::parse(flap).unwrap();
        let is_down = |ms| {
            let age = Duration::from_millis(ms);
            script.of_request(0, age).unwrap().reset_before_head
        };
        assert_eq!(
            [0, 99, 100, 149, 150, 250].map(is_down),
            [false, false, true, true, false, true]
        );
        assert_eq!([850, 1000, 1010, 1140].map(is_down), [true, false, false, false]);
    }
}
