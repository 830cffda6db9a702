//! Answers that are verified while the client waits: the same request to several providers whose answers
//! must agree, or one answer that others score. It chooses who is asked and says what comes of it; what
//! agreement is, is `consensus`'s to say, and what a score is worth, the judge's.

mod body;
mod member;
mod panel;
mod parties;
mod verdict;

pub use body::Checked;
pub use parties::Parties;
pub use verdict::Verdict;

use bytes::Bytes;
use http::HeaderValue;
use openapi::receipt::Verified;
use openapi::verification::Verification;
use std::future::poll_fn;
use std::sync::Arc;

use self::member::{Ballot, Told};
use self::panel::{News, Panel};
use super::attempt::{Exchange, more_telling};
use super::body::{ErrorEvent, Head};
use super::error::{Error, Phase};
use body::Leading;

/// A whole answer and what it is worth.
#[derive(Debug)]
pub struct Settled {
    pub body: Bytes,
    pub provider: HeaderValue,
    pub verification: Verification,
}

/// How it begins for the client.
enum Begun {
    /// With somebody's answer as it comes.
    Leading(Box<Leading>),
    /// With the verdict.
    Settled(Box<Chosen>),
}

/// The answer that counts.
struct Chosen {
    ballot: Ballot,
    verification: Verification,
}

/// Runs the exchange to the verdict on a whole answer.
///
/// # Errors
/// As of any exchange; too few to ask; no agreement where the client wants nothing else.
pub async fn checked_whole(exchange: &mut Exchange) -> Result<Settled, Error> {
    // No stream is read here, and so none ends with an error.
    let no_event: ErrorEvent = |_| (Bytes::new(), crate::metrics::Outcome::ProviderError);
    match begin(exchange, no_event).await? {
        Begun::Settled(chosen) => {
            let Chosen { ballot, verification } = *chosen;
            completed(exchange, &ballot, &verification);
            let Told::Whole(body) = ballot.told else { return Err(not_whole()) };
            let provider = HeaderValue::try_from(ballot.by.provider).map_err(|_| not_whole())?;
            Ok(Settled { body, provider, verification })
        }
        Begun::Leading(_) => Err(not_whole()),
    }
}

/// The same for a stream: told as it comes, or after the verdict. Failures before anything is sent stay
/// HTTP errors for `limits.hold`; where the client takes no other answer, until the verdict.
///
/// # Errors
/// As [`checked_whole`].
pub async fn checked_stream(
    exchange: Exchange,
    error_event: ErrorEvent,
    verdict: Arc<Verdict>,
) -> Result<(Head, Checked), (Exchange, Error)> {
    let limits = &exchange.context.limits;
    let (hold, keep_alive) = (limits.hold, limits.keep_alive_comment);
    let is_strict = exchange.job.verification.strict;
    let mut opening: body::Opening = Box::pin(async move {
        let mut exchange = exchange;
        let begun = begin(&mut exchange, error_event).await;
        (exchange, begun)
    });
    let begun = match is_strict {
        true => Ok(opening.as_mut().await),
        false => tokio::time::timeout(hold, &mut opening).await,
    };
    match begun {
        Ok((exchange, Ok(begun))) => Ok(Checked::begun(exchange, begun, error_event, verdict)),
        Ok((exchange, Err(error))) => Err((exchange, error)),
        Err(_) => {
            Ok((Head::default(), Checked::opening(opening, keep_alive, error_event, verdict)))
        }
    }
}

/// Within the request's time.
async fn begin(exchange: &mut Exchange, error_event: ErrorEvent) -> Result<Begun, Error> {
    let (deadline, cut) = (exchange.job.deadline, exchange.context.shutdown.cut_token());
    let models = tokio::time::timeout_at(deadline, models(exchange, error_event));
    match cut.run_until_cancelled(models).await {
        None => Err(Error::Draining),
        Some(result) => result.unwrap_or(Err(Error::Timeout(Phase::Request))),
    }
}

/// The models in their order, until one's providers bring any answer.
async fn models(exchange: &mut Exchange, error_event: ErrorEvent) -> Result<Begun, Error> {
    let Exchange { context, job, record } = exchange;
    let is_buffered = !job.summary.stream || job.verification.is_buffered();
    let mut worst = None;
    for wanted in &job.wanted {
        let error = match Panel::convene(context, job, wanted, record, error_event) {
            Ok(panel) => match deliberate(panel, is_buffered, error_event).await {
                Ok(begun) => return Ok(begun),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if !error.is_retryable() && !error.is_refusal() {
            return Err(error);
        }
        worst = Some(more_telling(worst, error));
    }
    Err(worst.unwrap_or_else(|| Error::unserved("no model is named")))
}

async fn deliberate(
    mut panel: Panel,
    is_buffered: bool,
    error_event: ErrorEvent,
) -> Result<Begun, Error> {
    if is_buffered {
        panel.is_buffered();
    }
    let decision = match poll_fn(|cx| panel.poll(cx)).await {
        News::Opened(asked, opened) => {
            let leading = Leading::new(panel, asked, *opened, error_event);
            return Ok(Begun::Leading(Box::new(leading)));
        }
        News::Refused(error) => return Err(error),
        News::Decided(decision) => decision,
    };
    let Some(winner) = decision.winner else {
        let nobody = || Error::NotAgreed("no answer stands".to_owned());
        return Err(panel.worst.take().unwrap_or_else(nobody));
    };
    let verification = verdict::of(&mut panel, &decision, winner).await;
    if panel.job.verification.strict && verification.verified != Verified::Pass {
        return Err(Error::NotAgreed(verification.message));
    }
    let at = panel.ballots.iter().position(|ballot| ballot.member == winner);
    let ballot = at.map(|at| panel.ballots.swap_remove(at)).ok_or_else(not_whole)?;
    verdict::count(&panel.context, &verification);
    Ok(Begun::Settled(Box::new(Chosen { ballot, verification })))
}

fn completed(exchange: &mut Exchange, ballot: &Ballot, verification: &Verification) {
    if let Some(receipt) = &exchange.job.receipt {
        receipt.sheet.with(|known| {
            known.verified = verification.verified;
            known.verification.k = Some(verification.k);
            known.verification.n = Some(verification.n);
            known.verification.agreed = u32::try_from(verification.agreed.len()).ok();
            known.verification.class = verification.class;
        });
    }
    let model = ballot.answered.as_ref().map(|answered| answered.model.id.clone());
    let first = exchange.job.wanted.first().map(|wanted| wanted.model.id.clone());
    if let Some(model) = model.or(first) {
        let answered = ballot.answered.as_deref();
        exchange.record.is_answered_by(&ballot.by.provider, &model, answered);
    }
    exchange.record.completed(&ballot.progress);
}

fn not_whole() -> Error {
    Error::Stream("there is no whole answer".to_owned())
}
