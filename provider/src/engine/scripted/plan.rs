//! From a script and a job to the steps to be played: pure, the same steps for the same input.

use super::evidence;
use super::resume;
use super::script::Script;
use crate::engine::{Delta, Error, Job, Prompt};
use bytes::Bytes;
use openapi::chat::{
    Content, FinishReason, FunctionDelta, TokenLogprob, ToolCallDelta, TopLogprob,
};
use openapi::commit::Claim;
use openapi::usage::{CompletionTokensDetails, Usage};
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) prompt_tokens: u32,
    pub(super) steps: VecDeque<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Wait(Duration),
    Delta(Delta),
    /// An event that is no JSON.
    Malformed,
    Fail(Error),
    /// Bytes of a stream as they are, for who asked for evidence.
    Comment(&'static [u8]),
    Finish {
        reason: FinishReason,
        usage: Usage,
        claims: Vec<Claim>,
    },
}

impl Plan {
    /// # Errors
    /// The job goes on with an answer that would be another one here.
    pub(super) fn new(script: &Script, job: &Job) -> Result<Self, Error> {
        let prompt_tokens = prompt_tokens(&job.prompt);
        let (mut deltas, mut reason) = deltas(script, job);
        if let Some(max) = job.max_tokens
            && deltas.len() > max as usize
        {
            deltas.truncate(max as usize);
            reason = FinishReason::Length;
        }
        let reasoning = deltas.iter().filter(|delta| delta.reasoning.is_some()).count() as u64;
        let mut usage = Usage::new(u64::from(prompt_tokens), deltas.len() as u64);
        if reasoning > 0 {
            usage.completion_tokens_details =
                Some(CompletionTokensDetails { reasoning_tokens: reasoning });
        }
        if let Some(resume) = &job.resume {
            deltas = resume::rest(deltas, resume)?;
        }
        let claims = if job.evidence { evidence::claims(&deltas) } else { Vec::new() };
        evidence::spoil(script.evidence, &mut deltas);
        let comment = script.evidence.filter(|_| job.evidence).and_then(evidence::comment);
        let mut steps = steps(script, deltas);
        // Behind a failure nothing comes.
        if !matches!(steps.back(), Some(Step::Fail(_))) {
            steps.extend(comment.map(Step::Comment));
            steps.push_back(Step::Finish { reason, usage, claims });
        }
        Ok(Self { prompt_tokens, steps })
    }
}

/// Delays and faults at their places between the tokens.
fn steps(script: &Script, deltas: Vec<Delta>) -> VecDeque<Step> {
    let mut steps = VecDeque::with_capacity(deltas.len() * 2 + 8);
    let wait = |steps: &mut VecDeque<Step>, ms: u64| {
        if ms > 0 {
            steps.push_back(Step::Wait(Duration::from_millis(ms)));
        }
    };
    wait(&mut steps, script.ttft_ms);
    let mut deltas = deltas.into_iter();
    for sent in 0u32.. {
        if script.stall_after == Some(sent) {
            wait(&mut steps, script.stall_ms);
        }
        if script.malformed_after == Some(sent) {
            steps.push_back(Step::Malformed);
        }
        if script.error_after == Some(sent) {
            steps.push_back(Step::Fail(Error::Unavailable("error by script".to_owned())));
            return steps;
        }
        if script.cut_after == Some(sent) {
            steps.push_back(Step::Fail(Error::Abort));
            return steps;
        }
        let Some(delta) = deltas.next() else { break };
        if sent > 0 {
            wait(&mut steps, script.itl_ms);
        }
        steps.push_back(Step::Delta(delta));
    }
    steps
}

/// One delta a token, numbered from 0.
fn deltas(script: &Script, job: &Job) -> (Vec<Delta>, FinishReason) {
    let mut pieces: Vec<Delta> = Vec::new();
    let reasoning = script.reasoning.as_deref().map(words).unwrap_or_default();
    let reason_piece = |text| Delta { reasoning: Some(text), ..Delta::default() };
    pieces.extend(reasoning.into_iter().map(reason_piece));
    let content = match (&script.text, &script.tool_call) {
        (Some(text), _) => words(text),
        (None, Some(_)) => Vec::new(),
        (None, None) => (0..script.tokens).map(|index| format!(" tok{index}")).collect(),
    };
    let (content, stopped) = until_stop(content, &job.stop);
    pieces
        .extend(content.into_iter().map(|text| Delta { content: Some(text), ..Delta::default() }));
    let mut reason = FinishReason::Stop;
    if let Some(call) = &script.tool_call
        && !stopped
    {
        reason = FinishReason::ToolCalls;
        let id = Some(format!("call_{}", job.choice));
        let name = FunctionDelta { name: Some(call.name.clone()), arguments: Some(String::new()) };
        pieces.push(tool_piece(id, name));
        for arguments in words(&call.arguments) {
            pieces.push(tool_piece(None, FunctionDelta { name: None, arguments: Some(arguments) }));
        }
    }
    for (id, delta) in (0u32..).zip(&mut pieces) {
        delta.ids = vec![id];
        if let (Some(top), Some(text)) = (job.logprobs, &delta.content) {
            delta.logprobs = vec![logprob(id, text, top)];
        }
    }
    (pieces, reason)
}

fn tool_piece(id: Option<String>, function: FunctionDelta) -> Delta {
    let kind = id.is_some().then(|| "function".to_owned());
    let call = ToolCallDelta { index: 0, id, kind, function: Some(function) };
    Delta { tool_call: Some(call), ..Delta::default() }
}

/// Words, each with the blanks before it: joined again they are the text.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_word = false;
    for character in text.chars() {
        let blank = character.is_whitespace();
        match words.last_mut() {
            Some(word) if !(blank && in_word) => word.push(character),
            _ => words.push(character.to_string()),
        }
        in_word = !blank;
    }
    words
}

/// The tokens before the earliest stop string, the last one cut where it begins.
fn until_stop(mut tokens: Vec<String>, stops: &[String]) -> (Vec<String>, bool) {
    let text = tokens.concat();
    let Some(end) = stops.iter().filter_map(|stop| text.find(stop.as_str())).min() else {
        return (tokens, false);
    };
    let mut left = end;
    let mut kept = 0;
    for token in &mut tokens {
        if left == 0 {
            break;
        }
        token.truncate(left.min(token.len()));
        left -= token.len();
        kept += 1;
    }
    tokens.truncate(kept);
    (tokens, true)
}

/// Made up, as every token's: by its id alone.
pub(super) fn value(id: u32) -> f64 {
    -0.125 * f64::from(id % 4 + 1)
}

/// Made up, but natural logarithms of a proper order.
fn logprob(id: u32, text: &str, top: u8) -> TokenLogprob {
    let alternative = |rank: u8| {
        let token = if rank == 0 { text.to_owned() } else { format!(" alt{rank}") };
        let bytes = Some(token.clone().into_bytes());
        TopLogprob { token, logprob: value(id) - f64::from(rank), bytes }
    };
    let own = alternative(0);
    TokenLogprob {
        token: own.token,
        logprob: own.logprob,
        bytes: own.bytes,
        top_logprobs: (0..top).map(alternative).collect(),
    }
}

/// Fixed and simple: the prompt's words, at least 1; ids count themselves.
fn prompt_tokens(prompt: &Prompt) -> u32 {
    let count = match prompt {
        Prompt::Ids(ids) => ids.len(),
        prompt => prompt_text(prompt).split_whitespace().count(),
    };
    u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

/// All text of the prompt.
pub(super) fn prompt_text(prompt: &Prompt) -> String {
    let mut text = String::new();
    match prompt {
        Prompt::Text(own) => text.push_str(own),
        Prompt::Ids(ids) => {
            ids.iter().for_each(|id| {
                text.push_str(&id.to_string());
                text.push(' ');
            });
        }
        Prompt::Chat(request) => {
            for message in &request.messages {
                match &message.content {
                    Some(Content::Text(own)) => text.push_str(own),
                    Some(Content::Parts(parts)) => parts
                        .iter()
                        .filter_map(|part| part.text.as_deref())
                        .for_each(|part| text.push_str(part)),
                    None => {}
                }
                text.push('\n');
            }
        }
    }
    text
}

/// The bytes of [`Step::Malformed`]'s payload.
pub(super) const MALFORMED: Bytes = Bytes::from_static(b"{\"id\":\"broken\",\"choices\":[{");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_join_to_the_text() {
        for text in ["", "one", " one  two\nthree ", "  ", "zwölf Boxkämpfer"] {
            assert_eq!(words(text).concat(), text);
        }
        assert_eq!(words("a  b c"), ["a", "  b", " c"]);
    }

    #[test]
    fn stop_cuts_inside_a_token() {
        let tokens = || vec![" one".to_owned(), " two".to_owned(), " three".to_owned()];
        let stop = |stop: &str| until_stop(tokens(), &[stop.to_owned()]);
        assert_eq!(stop("wo t"), (vec![" one".to_owned(), " t".to_owned()], true));
        assert_eq!(stop(" one"), (vec![], true));
        assert_eq!(stop("four"), (tokens(), false));
    }
}
