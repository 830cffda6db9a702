//! One model on one node, asked and timed: two short prompts and a long one, or a batch of texts.

use bytes::Bytes;
use openapi::node::Feature;
use openapi::nodes::Measured;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::prompt::{ANSWER_TOKENS, CANCELLED_TOKENS, Numbers, body};
use super::speed::{TELLING, Timed, cancels, figures, rate};
use crate::clock::Clock;
use crate::market::Offer;
use crate::request::Endpoint;
use crate::stream::{Assembler, Fallback, Limits, Plan, Progress, UsageMode};
use crate::upstream::{Call, Context, Error, Own};

/// Words of the short and the long prompt, and of the one that is asked for where the long one took
/// hardly longer than the short ones.
const SHORT: u32 = 32;
const LONG: u32 = 512;
const LONGER: u32 = 4_096;
/// A long prompt takes at most this share of the context: a word may be several tokens.
const CONTEXT_SHARE: u64 = 8;
/// An embeddings request.
const INPUTS: u32 = 16;
const INPUT_WORDS: u32 = 64;
/// Until a cancelled answer is given up.
const SETTLING: Duration = Duration::from_millis(250);
/// Longer answers are given up.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What a measurement needs.
pub(super) struct Probe<'a> {
    pub(super) context: &'a Context,
    pub(super) clock: &'a dyn Clock,
    pub(super) offer: &'a Arc<Offer>,
    pub(super) numbers: Numbers,
}

/// Which way the model is asked; absent: it can't be measured.
pub(super) fn endpoint(features: &[Feature]) -> Option<Endpoint> {
    [
        (Feature::Chat, Endpoint::ChatCompletions),
        (Feature::Completions, Endpoint::Completions),
        (Feature::Embeddings, Endpoint::Embeddings),
    ]
    .into_iter()
    .find_map(|(feature, endpoint)| features.contains(&feature).then_some(endpoint))
}

impl Probe<'_> {
    /// `at_ms`: now, Unix milliseconds.
    pub(super) async fn run(&mut self, endpoint: Endpoint, at_ms: i64) -> Result<Measured, Error> {
        if endpoint == Endpoint::Embeddings {
            return self.embed(at_ms).await;
        }
        let room = self.offer.context.map_or(u64::from(LONG), |context| context / CONTEXT_SHARE);
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let (long, short) = (room.clamp(2, LONG), (room / 4).clamp(1, SHORT));
        let warming = self.ask(endpoint, short).await?;
        let mut long = self.ask(endpoint, long).await?;
        let shorts = [warming, self.ask(endpoint, short).await?];
        let fastest = shorts.iter().map(|timed| timed.first).min().unwrap_or_default();
        if room >= LONGER && long.first < fastest + TELLING * 5 {
            long = self.ask(endpoint, LONGER).await?;
        }
        let measured = figures(&shorts, &long, at_ms);
        let cancels = match measured.decode_tps {
            // What fails here fails no figure.
            Some(speed) => self.cancel(endpoint, short, fastest, speed).await.unwrap_or(None),
            None => None,
        };
        Ok(Measured { cancels, ..measured })
    }

    /// Whether an answer that is cancelled after its first token is really given up: what is asked next must
    /// neither wait for it nor find it running. `fastest`: first content of a short prompt.
    async fn cancel(
        &mut self,
        endpoint: Endpoint,
        words: u32,
        fastest: Duration,
        speed: f64,
    ) -> Result<Option<bool>, Error> {
        let text = self.numbers.text(words);
        let own = self.own(endpoint, &[text], CANCELLED_TOKENS)?;
        let mut call = Call::open(self.context, self.offer, &own).await?;
        let mut assembler = Assembler::new(plan());
        while assembler.progress().text_bytes == 0 {
            match call.data().await {
                Some(chunk) => assembler.push(chunk?)?,
                None => return Ok(None),
            }
        }
        if assembler.progress().finished {
            // All at once: there was nothing to give up.
            return Ok(None);
        }
        drop(call);
        tokio::time::sleep(SETTLING).await;
        let next = self.ask(endpoint, words).await?;
        let load = self.offer.member().and_then(|member| member.load());
        let running = load.map(|load| load.running.saturating_add(load.queued));
        Ok(cancels(next.first, fastest, speed, running, self.offer.endpoint.in_flight()))
    }

    /// One prompt of so many words.
    async fn ask(&mut self, endpoint: Endpoint, words: u32) -> Result<Timed, Error> {
        let text = self.numbers.text(words);
        let own = self.own(endpoint, &[text], ANSWER_TOKENS)?;
        let begun = self.clock.now();
        let mut call = Call::open(self.context, self.offer, &own).await?;
        let mut assembler = Assembler::new(plan());
        let mut marks: Option<(Mark, Mark)> = None;
        while !assembler.progress().done {
            match call.data().await {
                Some(Ok(chunk)) => assembler.push(chunk)?,
                Some(Err(error)) if !assembler.progress().finished => return Err(error),
                Some(Err(_)) | None => break,
            }
            let mark = Mark::new(assembler.progress(), self.clock.now());
            match &mut marks {
                None if mark.text > 0 => marks = Some((mark, mark)),
                Some((_, last)) if mark.text > last.text => *last = mark,
                _ => {}
            }
        }
        let progress = assembler.finish()?.progress;
        let (first, last) = marks.ok_or(Error::Truncated)?;
        Ok(Timed {
            words,
            claimed: progress.usage.as_ref().map(|usage| usage.prompt_tokens),
            first: first.at.saturating_duration_since(begun),
            // No more than were asked for and than there is text for, whatever ids were told.
            tokens: last
                .tokens
                .saturating_sub(first.tokens)
                .min(last.text - first.text)
                .min(u64::from(ANSWER_TOKENS - 1)),
            decoding: last.at.saturating_duration_since(first.at),
        })
    }

    async fn embed(&mut self, at_ms: i64) -> Result<Measured, Error> {
        let mut best: Option<(Duration, u64)> = None;
        // The first may have to warm the model up.
        for _ in 0..2 {
            let texts: Vec<String> = (0..INPUTS).map(|_| self.numbers.text(INPUT_WORDS)).collect();
            let own = self.own(Endpoint::Embeddings, &texts, 0)?;
            let begun = self.clock.now();
            let call = Call::open(self.context, self.offer, &own).await?;
            let claimed = call.vectors(texts.len(), ANSWER_BYTES_MAX).await?;
            let took = self.clock.now().saturating_duration_since(begun);
            let tokens = claimed.min(u64::from(INPUTS * INPUT_WORDS));
            if best.is_none_or(|(earlier, _)| took < earlier) {
                best = Some((took, tokens));
            }
        }
        let prefill_tps = best.and_then(|(took, tokens)| rate(tokens, took));
        Ok(Measured { prefill_tps, at_ms, ..Measured::default() })
    }

    fn own(
        &mut self,
        endpoint: Endpoint,
        texts: &[String],
        answer_tokens: u32,
    ) -> Result<Own, Error> {
        let body: Bytes = body(endpoint, texts, answer_tokens);
        Own::new(endpoint, body, &self.id())
    }

    /// As a client's request has it, so that a node does not know a measurement by its name.
    fn id(&mut self) -> String {
        let mut random = [0; 10];
        let numbers = [self.numbers.next(), self.numbers.next()].map(u64::to_le_bytes);
        for (to, from) in random.iter_mut().zip(numbers.as_flattened()) {
            *to = *from;
        }
        let id = uuid::Builder::from_unix_timestamp_millis(self.clock.unix_ms(), &random);
        format!("req_{}", id.into_uuid().simple())
    }
}

/// How far an answer had come at a moment.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    /// Bytes.
    text: u64,
    tokens: u64,
}

impl Mark {
    /// Without ids a token is what came in an event of its own.
    fn new(progress: &Progress, at: Instant) -> Self {
        let ids: usize = progress.ids.iter().map(Vec::len).sum();
        let tokens = if ids > 0 { ids as u64 } else { progress.events };
        Self { at, text: progress.text_bytes, tokens }
    }
}

fn plan() -> Plan {
    Plan {
        model: "measured".into(),
        identity: None,
        fallback: Fallback { id: "measured".into(), created: 0 },
        usage: UsageMode::Strip,
        evidence: true,
        limits: Limits { answer_bytes_max: ANSWER_BYTES_MAX, ..Limits::default() },
        choices: 1,
    }
}
