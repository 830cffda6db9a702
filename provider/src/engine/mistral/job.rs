//! One answer's way through the engine: wait for a permit, submit, drain to the end. The permit is
//! given back when mistral.rs has let go of the sequence, which is when its channel closes.

use mistralrs::{
    Constraint, CustomLogitsProcessor, NormalRequest, Request, RequestMessage, Response,
    SamplingParams, StopTokens,
};
use openapi::chat::FinishReason;
use std::sync::Arc;
use tokio::sync::mpsc;

use super::processor::Processor;
use super::runner::Submission;
use super::{Inner, failed, stopped};
use crate::counters::Counters;
use crate::decode::{Decode, Outcome};

/// Room in an answer's channel beside one message a token.
const CHANNEL_SPARE: usize = 16;

pub(super) async fn run(inner: Arc<Inner>, decode: Decode, ids: Vec<u32>) {
    if decode.outcome() == Some(Outcome::Finished) {
        // A resumed answer that lacked nothing but its end.
        Counters::add(&inner.counters.jobs_started);
        Counters::add(&inner.counters.jobs_finished);
        return;
    }
    let caller = decode.watch();
    let permit = tokio::select! {
        biased;
        () = caller.closed() => {
            Counters::add(&inner.counters.jobs_cancelled);
            return;
        }
        permit = Arc::clone(&inner.permits).acquire_owned() => permit,
    };
    let Ok(_permit) = permit else { return };
    drop(caller);
    Counters::add(&inner.counters.jobs_started);
    let eos = inner.model.tokenizer.eos().first().copied().unwrap_or_default();
    let processor = Processor::new(decode, eos);
    match inner.runner.submit(|| inner.request(&ids, &processor)).await {
        Some(responses) => inner.drain(responses, &processor).await,
        None => processor.decode().fail(stopped()),
    }
    match processor.decode().outcome() {
        Some(Outcome::Finished) => Counters::add(&inner.counters.jobs_finished),
        Some(Outcome::Cancelled) => Counters::add(&inner.counters.jobs_cancelled),
        Some(Outcome::Failed) | None => {}
    }
}

impl Inner {
    pub(super) fn request(&self, ids: &[u32], processor: &Processor) -> Submission {
        let max_tokens =
            usize::try_from(processor.decode().tokens_left()).unwrap_or(usize::MAX / 2);
        self.submission(ids, max_tokens, Some(Arc::new(processor.clone())))
    }

    /// Without a processor nothing is drawn: the raw logits of all these tokens come back, which must
    /// be alone in the engine.
    pub(super) fn submission(
        &self,
        ids: &[u32],
        max_tokens: usize,
        processor: Option<Arc<dyn CustomLogitsProcessor>>,
    ) -> Submission {
        let (response, responses) = mpsc::channel(max_tokens + CHANNEL_SPARE);
        let eos = self.model.tokenizer.eos().first().copied();
        let sampling_params = SamplingParams {
            // Argmax of the row our processor hands back.
            temperature: Some(0.0),
            max_len: Some(max_tokens),
            stop_toks: Some(StopTokens::Ids(eos.into_iter().collect())),
            ..SamplingParams::neutral()
        };
        let request = NormalRequest {
            id: self.runner.inner().next_request_id(),
            messages: RequestMessage::CompletionTokens(ids.to_vec()),
            sampling_params,
            response,
            return_logprobs: false,
            is_streaming: processor.is_some(),
            constraint: Constraint::None,
            suffix: None,
            tools: None,
            tool_choice: None,
            return_raw_logits: processor.is_none(),
            logits_processors: processor.map(|processor| vec![processor]),
            web_search_options: None,
            model_id: None,
            truncate_sequence: false,
        };
        (Request::Normal(Box::new(request)), responses)
    }

    pub(super) async fn drain(
        &self,
        mut responses: mpsc::Receiver<Response>,
        processor: &Processor,
    ) {
        let mut ended = None;
        while let Some(response) = responses.recv().await {
            match response {
                Response::CompletionChunk(chunk) => {
                    let mut reasons = chunk.choices.into_iter().filter_map(|c| c.finish_reason);
                    ended = ended.or(reasons.next());
                }
                Response::ValidationError(error) | Response::InternalError(error) => {
                    processor.decode().fail(failed(&error.to_string()));
                }
                Response::ModelError(message, _) | Response::CompletionModelError(message, _) => {
                    processor.decode().fail(failed(&message));
                }
                _ => {}
            }
        }
        let over = processor.decode().outcome().is_some();
        match ended {
            _ if over => {}
            // mistral.rs knows an end token that the model's files did not name to us.
            Some(reason) => processor.decode().conclude(match reason.as_str() {
                "length" => FinishReason::Length,
                _ => FinishReason::Stop,
            }),
            None => {
                self.runner.died();
                processor.decode().fail(stopped());
                self.runner.restart().await;
            }
        }
    }
}
