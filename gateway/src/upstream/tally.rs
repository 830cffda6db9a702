//! What becomes of one attempt, told exactly once to all who learn from it: the route, the node's books,
//! the metrics. It decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::attempt::Context;
use super::error::{Error, Phase};
use super::request::Job;
use super::slate::Slate;
use crate::market::{Model, Offer, Time};
use crate::metrics::{AttemptOutcome, ConnectionState, Held, Metrics};
use crate::route::{self, Dispatch, Facts, Failure, Flight, Gate, Learned};
use crate::stream::Progress;

/// A provider at its limit that does not say for how long is left alone for so long.
pub(super) const PAUSE_DEFAULT: Duration = Duration::from_secs(1);
/// No provider sends a client away for longer.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Where nobody has counted them yet.
const BYTES_A_TOKEN: u64 = 4;

/// Counts an attempt, whatever becomes of it. One that is just dropped was cancelled.
pub(super) struct Tally {
    metrics: Arc<Metrics>,
    time: Arc<Time>,
    random: fn() -> u64,
    /// Whose habits the answer is a sample of.
    tenant: u64,
    prompt_bytes: usize,
    outcome: AttemptOutcome,
    /// The route knows how it ended.
    is_told: bool,
    /// Its first token came.
    has_token: bool,
    race: Option<(u32, Arc<Signals>)>,
    /// Tokens of the answer that others had made before.
    before: u64,
    /// Its own, so far.
    own: u64,
    /// The reader held it up: how fast it came says nothing.
    is_held_up: bool,
    learned: Arc<Learned>,
    flight: Flight,
    _active: Held,
    /// The last member: by then the flight is over.
    freed: Freed,
}

/// What the attempts of one race tell each other.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// A bit for each that was given up as too slow.
    late: AtomicU64,
    /// A bit for each whose tokens have come since somebody asked.
    working: AtomicU64,
    /// The number of the first whose content came, and 1.
    content: AtomicU32,
    /// Asked to go on with an answer that one of them left.
    fail_overs: AtomicU32,
}

/// Calls whoever waits for room.
struct Freed(Arc<Model>);

// === impl Tally ===

impl Tally {
    /// An attempt at `offer` goes, which was chosen by these facts.
    pub(super) fn begin(
        context: &Context,
        job: &Job,
        (model, offer): (&Arc<Model>, &Offer),
        slate: &Slate<'_>,
        facts: &Facts,
    ) -> Self {
        let now_ms = context.time.now().run_ms;
        let is_due = offer.learned.gate(now_ms) == Gate::Probe;
        let is_probe = is_due && offer.learned.claim_probe(now_ms);
        if is_probe {
            context.metrics.route.probes.inc();
        }
        model.shared.line.started(now_ms);
        let active = Held::new(context.metrics.upstream_connections.get(ConnectionState::Active));
        let (ask, prefix) = (slate.ask(), slate.prefix());
        Self {
            metrics: context.metrics.clone(),
            time: context.time.clone(),
            random: context.random,
            tenant: job.tenant,
            prompt_bytes: job.summary.prompt_bytes,
            outcome: AttemptOutcome::Cancelled,
            is_told: false,
            has_token: false,
            race: None,
            before: 0,
            own: 0,
            is_held_up: false,
            learned: offer.learned.clone(),
            flight: Flight::begin(&offer.learned, facts, ask, prefix, now_ms, is_probe),
            _active: active,
            freed: Freed(model.clone()),
        }
    }

    /// As one of a race, by its number.
    pub(super) fn racing(mut self, number: u32, signals: &Arc<Signals>) -> Self {
        self.race = Some((number, signals.clone()));
        self
    }

    pub(super) fn signals(&self) -> Option<&Arc<Signals>> {
        self.race.as_ref().map(|(_, signals)| signals)
    }

    /// Going on with an answer of so many tokens.
    pub(super) fn going_on(mut self, before: u64) -> Self {
        self.before = before;
        self
    }

    pub(super) fn dispatch(&self) -> &Dispatch {
        self.flight.dispatch()
    }

    /// Tokens came, perhaps without anything to show yet.
    pub(super) fn tokens(&mut self) {
        if let Some((number, signals)) = &self.race {
            signals.works(*number);
        }
        if std::mem::replace(&mut self.has_token, true) {
            return;
        }
        let ratio = self.flight.first_token(self.time.now().run_ms);
        let shared = &self.freed.0.shared;
        shared.hedges.observed(ratio);
        shared.first_token(ratio * self.flight.dispatch().predicted_s);
        // It may turn out to bear more than was known.
        shared.line.freed();
    }

    /// The first content came.
    pub(super) fn content(&mut self) {
        self.tokens();
        if let Some((number, signals)) = &self.race {
            signals.content(*number);
        }
    }

    /// So far the answer has come.
    pub(super) fn came(&mut self, progress: &Progress) {
        let tokens = match tokens(progress) {
            0 => progress.text_bytes.div_ceil(BYTES_A_TOKEN),
            tokens => tokens,
        };
        self.own = tokens.saturating_sub(self.before);
    }

    pub(super) fn held_up(&mut self) {
        self.is_held_up = true;
    }

    /// The whole answer came; how many tokens of it are its own.
    pub(super) fn succeeded(&mut self, progress: &Progress) -> u64 {
        let tokens = tokens(progress);
        let usage = progress.usage.unwrap_or_default();
        let cached = usage.prompt_tokens_details.map(|details| details.cached_tokens);
        self.outcome = AttemptOutcome::Ok;
        self.is_told = true;
        let own = tokens.saturating_sub(self.before);
        let timed = if self.is_held_up { 0 } else { own };
        self.flight.succeeded(self.time.now().run_ms, timed, cached);
        self.freed.0.shared.answered(self.tenant, self.prompt_bytes, usage.prompt_tokens, tokens);
        own
    }

    /// It would have answered, and is not heard out.
    pub(super) fn proven(&mut self) {
        self.is_told = true;
        self.flight.succeeded(self.time.now().run_ms, 0, None);
    }

    pub(super) fn failed(&mut self, error: Error) -> Error {
        self.note(&error);
        error
    }

    pub(super) fn note(&mut self, error: &Error) {
        self.outcome = outcome(error);
        if let Some(failure) = failure(error) {
            let (now_ms, jitter) = (self.time.now().run_ms, route::draw((self.random)()));
            let before = self.learned.gate(now_ms);
            self.flight.failed(failure, now_ms, jitter);
            self.is_told = true;
            let is_ejected = matches!(self.learned.gate(now_ms), Gate::Open { .. });
            if is_ejected && before == Gate::Closed {
                self.metrics.route.ejections.inc();
            }
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let is_late = self.race.as_ref().is_some_and(|(number, race)| race.is_late(*number));
        if is_late && !self.is_told {
            self.note(&Error::Timeout(Phase::FirstContent));
        }
        if !self.is_told && !self.is_held_up {
            self.flight.left(self.time.now().run_ms, self.own);
        }
        if !self.is_told
            && let Some(waited_s) = self.flight.censored(self.time.now().run_ms)
        {
            let (hedges, predicted_s) =
                (&self.freed.0.shared.hedges, self.flight.dispatch().predicted_s);
            // It would have been at least this late: left out, the late would seem ever rarer.
            if waited_s >= hedges.delay_s(predicted_s) {
                hedges.observed(waited_s / predicted_s.max(1e-3));
            }
        }
        self.metrics.attempts.get(self.outcome).inc();
    }
}

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.shared.line.freed();
    }
}

// === impl Signals ===

impl Signals {
    /// It is given up: dropping it is to count as a time-out.
    pub(super) fn give_up(&self, number: u32) {
        self.late.fetch_or(bit(number), Relaxed);
    }

    fn is_late(&self, number: u32) -> bool {
        self.late.load(Relaxed) & bit(number) != 0
    }

    fn works(&self, number: u32) {
        self.working.fetch_or(bit(number), Relaxed);
    }

    /// Whether tokens of it have come since this was asked last, though there may be nothing to show:
    /// it is at work, and not late.
    pub(super) fn has_worked(&self, number: u32) -> bool {
        self.working.fetch_and(!bit(number), Relaxed) & bit(number) != 0
    }

    fn content(&self, number: u32) {
        let _ = self.content.compare_exchange(0, number + 1, Relaxed, Relaxed);
    }

    /// The attempt whose content came first.
    pub(super) fn winner(&self) -> Option<u32> {
        self.content.load(Relaxed).checked_sub(1)
    }

    /// Another one was asked to go on with the answer of one of them.
    pub(super) fn went_on(&self) {
        self.fail_overs.fetch_add(1, Relaxed);
    }

    pub(super) fn fail_overs(&self) -> u32 {
        self.fail_overs.load(Relaxed)
    }

    /// It failed after all; another may win.
    pub(super) fn forget_winner(&self) {
        self.content.store(0, Relaxed);
    }
}

/// Of an attempt, by its number.
fn bit(number: u32) -> u64 {
    1u64.checked_shl(number).unwrap_or(0)
}

/// What a failure says of the provider. Nothing, where it is the caller's, or ours.
fn failure(error: &Error) -> Option<Failure> {
    match error {
        Error::Connect(_)
        | Error::Forbidden
        | Error::Broken(_)
        | Error::Timeout(Phase::Connect | Phase::MidStream)
        // 401, 403 and 404 too: they are about our credentials there, and its models.
        | Error::Status(_)
        | Error::NotAStream(_)
        | Error::ErrorEvent(_)
        | Error::Stream(_)
        | Error::Truncated => Some(Failure::Hard),
        Error::Timeout(Phase::Head | Phase::FirstContent) => Some(Failure::Slow),
        Error::RateLimited { retry_after } => {
            let pause = retry_after.unwrap_or(PAUSE_DEFAULT).min(PAUSE_MAX);
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            Some(Failure::Limited { pause_ms })
        }
        Error::Gone
        | Error::Timeout(Phase::Request)
        | Error::Rejected { .. }
        | Error::NoProvider { .. }
        | Error::Busy { .. }
        | Error::NotAgreed(_)
        | Error::Draining => None,
    }
}

pub(super) fn outcome(error: &Error) -> AttemptOutcome {
    match error {
        Error::Connect(_) | Error::Gone | Error::Forbidden | Error::Timeout(Phase::Connect) => {
            AttemptOutcome::Connect
        }
        Error::Timeout(_) => AttemptOutcome::Timeout,
        Error::Broken(_) => AttemptOutcome::Head,
        Error::Rejected { .. } | Error::RateLimited { .. } | Error::Status(_) => {
            AttemptOutcome::Status
        }
        Error::NotAStream(_) | Error::ErrorEvent(_) | Error::Stream(_) | Error::Truncated => {
            AttemptOutcome::Stream
        }
        Error::NoProvider { .. } | Error::Busy { .. } | Error::NotAgreed(_) | Error::Draining => {
            AttemptOutcome::Cancelled
        }
    }
}

/// As counted here by the ids; the provider's own number where it told none. No more than there is text
/// for, whatever was told.
fn tokens(progress: &Progress) -> u64 {
    let told = match progress.tokens_told() {
        0 => progress.usage.map_or(0, |usage| usage.completion_tokens),
        counted => counted as u64,
    };
    told.min(progress.text_bytes)
}
