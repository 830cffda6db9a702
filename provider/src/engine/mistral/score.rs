//! Scoring with mistral.rs: all rows in one pass where the whole matrix has room, and then alone in the
//! engine, since requests for raw logits must not share a batch; otherwise, and where it hands back
//! fewer rows than tokens (a warm prefix cache; two architectures of GGUF), by forcing the answer's own
//! tokens through a logits processor, run by run.
//!
//! What was submitted is drained to its end, whoever leaves: mistral.rs dies of a dropped receiver.

mod forced;

use mistralrs::{DType, Response, Tensor};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{Inner, failed, stopped};
use crate::engine::Error;
use crate::engine::score::{Answer, Job};
use crate::score::Scorer;
use forced::Forced;

/// Positions that are forced at most.
const FORCED_MAX: usize = 64;
/// Between two positions so many tokens are rather forced as well than another run begun.
const GAP_MAX: usize = 16;
const GATE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Whom it is told to; closed when nobody listens any more.
type Told = oneshot::Sender<Result<Answer, Error>>;

/// An answer, and what of it has been scored.
struct Work {
    scorer: Scorer,
    prompt: Vec<u32>,
    ids: Vec<u32>,
}

pub(super) async fn score(inner: &Arc<Inner>, job: Job) -> Result<Answer, Error> {
    if job.job.model != inner.info.id {
        return Err(Error::UnknownModel(job.job.model));
    }
    let place = Arc::clone(&inner.preparing).acquire_owned().await;
    let model = Arc::clone(&inner.model);
    let prepared = inner.tracker.spawn_blocking(move || {
        // Kept to the end even where the caller has left: nothing can break this work off.
        let _place = place;
        let prepared = model.prepare_score(&job)?;
        let (scorer, prompt) = Scorer::new(&model, prepared, &job);
        Ok(Work { scorer, prompt, ids: job.ids })
    });
    let work = prepared.await.map_err(broken)??;
    let (told, answer) = oneshot::channel();
    drop(inner.tracker.spawn(run(Arc::clone(inner), work, told)));
    answer.await.unwrap_or_else(|_| Err(stopped()))
}

async fn run(inner: Arc<Inner>, work: Work, mut told: Told) {
    let scored = inner.scored(work, &mut told).await;
    // Nobody listening is no fault.
    let _gone = told.send(scored);
}

impl Inner {
    /// Tokens whose rows fit into the matrix.
    pub(super) fn rows_max(&self) -> usize {
        self.matrix_bytes / self.model.row_len().saturating_mul(size_of::<f32>()).max(1)
    }

    async fn scored(&self, mut work: Work, told: &mut Told) -> Result<Answer, Error> {
        let fits = work.prompt.len() + work.ids.len() <= self.rows_max();
        let gate = if fits { self.gate(told).await? } else { None };
        let is_busy = fits && gate.is_none();
        if let Some(gate) = gate {
            work = self.one_pass(work, gate).await?;
        }
        if work.scorer.wanted().len() > FORCED_MAX {
            if is_busy {
                return Err(Error::Unavailable("long answers keep the engine busy".to_owned()));
            }
            let message =
                format!("of so long an answer at most {FORCED_MAX} positions are scored here");
            let param = Some("positions".to_owned());
            return Err(Error::Invalid { message, param, code: None });
        }
        while let Some(from) = work.scorer.next() {
            work = self.one_run(work, from, told).await?;
        }
        Ok(work.scorer.finish())
    }

    /// Scores all, or nothing where the engine hands back part of the rows.
    async fn one_pass(&self, work: Work, gate: OwnedSemaphorePermit) -> Result<Work, Error> {
        // The last token predicts nothing that is asked for.
        let answer = work.ids.split_last().map_or(&[][..], |(_, before)| before);
        let ids = [&work.prompt, answer].concat();
        let submitted = self.runner.submit(|| self.submission(&ids, 0, None)).await;
        let responses = submitted.ok_or_else(stopped)?;
        let chunks = self.raw(responses).await?;
        drop(gate);
        let reduced = self.tracker.spawn_blocking(move || {
            let mut work = work;
            reduce(&chunks, ids.len(), &mut work).map(|()| work)
        });
        reduced.await.map_err(broken)?
    }

    /// Scores the run of wanted tokens that begins with this one.
    async fn one_run(&self, work: Work, from: usize, told: &mut Told) -> Result<Work, Error> {
        let _permit = self.permits(1, told).await?;
        let Work { scorer, prompt, ids } = work;
        let eos = self.model.tokenizer.eos();
        let to = run_end(scorer.wanted(), &ids, eos);
        let context = [&prompt[..], ids.get(..from).unwrap_or_default()].concat();
        let end = eos.first().copied().unwrap_or_default();
        let forced = Forced::new(scorer, ids.clone(), from..=to, end);
        let tokens = (to - from).saturating_add(1);
        let processor = || Some(Arc::new(forced.clone()) as _);
        let submitted = self.runner.submit(|| self.submission(&context, tokens, processor())).await;
        let responses = submitted.ok_or_else(stopped)?;
        let ended = self.ended(responses).await;
        let scorer = forced.take()?;
        let is_done = scorer.next().is_none_or(|next| next > to);
        match (is_done, ended) {
            (true, _) => Ok(Work { scorer, prompt, ids }),
            (false, Some(message)) => Err(failed(&message)),
            (false, None) => {
                self.runner.died();
                self.runner.restart().await;
                Err(stopped())
            }
        }
    }

    /// The engine alone, unless running answers keep it for too long: who waits for them all holds up
    /// everybody that comes later.
    async fn gate(&self, told: &mut Told) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let all = self.permits(self.concurrency, told);
        match tokio::time::timeout(GATE_WAIT_MAX, all).await {
            Ok(gate) => gate.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn permits(&self, count: usize, told: &mut Told) -> Result<OwnedSemaphorePermit, Error> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let permits = Arc::clone(&self.permits).acquire_many_owned(count);
        tokio::select! {
            biased;
            () = told.closed() => Err(stopped()),
            permits = permits => permits.map_err(|_| stopped()),
        }
    }

    /// The matrix, once mistral.rs has let go of the sequence.
    async fn raw(&self, mut responses: mpsc::Receiver<Response>) -> Result<Vec<Tensor>, Error> {
        let (mut raw, mut message) = (None, None);
        while let Some(response) = responses.recv().await {
            match response {
                Response::Raw { logits_chunks, .. } => raw = Some(logits_chunks),
                other => message = message.or(said(other)),
            }
        }
        match (raw, message) {
            (Some(raw), _) => Ok(raw),
            (None, Some(message)) => Err(failed(&message)),
            (None, None) => {
                self.runner.died();
                self.runner.restart().await;
                Err(stopped())
            }
        }
    }

    /// Drains; what went wrong, or that it ended by itself.
    async fn ended(&self, mut responses: mpsc::Receiver<Response>) -> Option<String> {
        let mut ended = None;
        while let Some(response) = responses.recv().await {
            ended = ended.or(match response {
                Response::CompletionChunk(chunk) => {
                    chunk.choices.into_iter().find_map(|choice| choice.finish_reason)
                }
                other => said(other),
            });
        }
        ended
    }
}

/// The engine's complaint.
fn said(response: Response) -> Option<String> {
    match response {
        Response::ValidationError(error) | Response::InternalError(error) => {
            Some(error.to_string())
        }
        Response::ModelError(message, _) | Response::CompletionModelError(message, _) => {
            Some(message)
        }
        _ => None,
    }
}

/// Row `i` predicts token `i + 1`. With fewer rows than tokens nothing is done.
fn reduce(chunks: &[Tensor], tokens: usize, work: &mut Work) -> Result<(), Error> {
    let rows = |chunk: &Tensor| chunk.dims().first().copied().unwrap_or(0);
    if chunks.iter().map(rows).sum::<usize>() != tokens {
        tracing::debug!("the engine hands back part of the rows; forcing the tokens");
        return Ok(());
    }
    let (mut chunks, mut base) = (chunks.iter(), 0);
    let Some(mut chunk) = chunks.next() else { return Ok(()) };
    while let Some(next) = work.scorer.next() {
        let at = (work.prompt.len() + next).saturating_sub(1);
        while at >= base + rows(chunk) {
            base += rows(chunk);
            let Some(further) = chunks.next() else { return Ok(()) };
            chunk = further;
        }
        let row = chunk.get(at - base).and_then(|row| row.to_dtype(DType::F32)?.to_vec1::<f32>());
        work.scorer.row(&row.map_err(|error| failed(&error.to_string()))?)?;
    }
    Ok(())
}

/// The last token of the first run: of those that follow closely, without an end between them, at
/// which the engine would stop.
fn run_end(wanted: &[u32], ids: &[u32], eos: &[u32]) -> usize {
    let mut wanted = wanted.iter().filter_map(|at| usize::try_from(*at).ok());
    let Some(mut to) = wanted.next() else { return 0 };
    for next in wanted {
        let between = ids.get(to..next).unwrap_or_default();
        if next - to > GAP_MAX || between.iter().any(|id| eos.contains(id)) {
            break;
        }
        to = next;
    }
    to
}

fn broken(error: tokio::task::JoinError) -> Error {
    Error::Internal(format!("scoring failed: {error}"))
}
