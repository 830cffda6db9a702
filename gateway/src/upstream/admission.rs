//! Waiting for room: a request whose choice finds all providers loaded or paused waits in its model's
//! line, in its turn, as long as that may help; then it is told when to come again.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

use super::attempt::Context;
use super::error::Error;
use super::request::Job;
use super::slate::Slate;
use crate::market::Model;
use crate::metrics::Held;
use crate::request::policy;
use crate::route::choice::Choice;
use crate::route::{Line, Reach, Shed, Standing, Ticket, Urgency, Wait};

/// Room may come without a word: a provider tells of less load, a pause ends.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Who is sent away by all for longer is told so at once, by their own word.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A place in the line, given up by the drop. To be kept until the attempt has begun, so that the next
/// in the line sees it.
#[derive(Debug)]
pub(super) struct Place<'a> {
    line: &'a Line,
    ticket: Ticket,
    _queued: Held,
}

/// Somebody to ask: the best or, where there is nobody else, one that is due to be tried again.
/// `is_narrow`: `look` does not see all of the model's providers. `may_wait`: else another model has its
/// turn.
pub(super) async fn room<'a>(
    context: &Context,
    job: &Job,
    model: &'a Model,
    slate: &Slate<'_>,
    (is_narrow, may_wait): (bool, bool),
    look: impl Fn() -> Choice,
) -> Result<(Choice, Option<Place<'a>>), Error> {
    let line = &model.shared.line;
    let reach = Reach { is_narrow, edition: model.edition };
    let mut choice = Choice::default();
    if line.lets_pass(reach) {
        choice = look();
        if has_found(&choice) {
            return Ok((choice, None));
        }
        let now_ms = context.time.now().run_ms;
        if !is_full(&choice, now_ms) {
            return Err(slate.nobody(&choice, now_ms));
        }
    }
    if !may_wait {
        let shed = line.expected(not_before_ms(&choice), context.time.now().run_ms);
        return Err(Error::Busy { retry_after: Duration::from_millis(shed.retry_after_ms) });
    }
    let begun = Instant::now();
    let until = job.deadline.min(begun + context.limits.queue_wait);
    let place = match enter(context, job, line, &choice, (until, reach)) {
        Ok(place) => place,
        Err(shed) => return Err(busy(context, shed)),
    };
    let found = wait(context, slate, &place, until, choice, look).await;
    context.metrics.route.queue_seconds.observe(begun.elapsed().as_secs_f64());
    found.map(|choice| (choice, Some(place)))
}

fn enter<'a>(
    context: &Context,
    job: &Job,
    line: &'a Line,
    choice: &Choice,
    (until, reach): (Instant, Reach),
) -> Result<Place<'a>, Shed> {
    let (now, now_ms) = (Instant::now(), context.time.now().run_ms);
    let ms = |at: Instant| now_ms.saturating_add(millis(at.saturating_duration_since(now)));
    let urgency = match job.urgency {
        policy::Urgency::High => Urgency::High,
        policy::Urgency::Normal => Urgency::Normal,
        policy::Urgency::Low => Urgency::Low,
    };
    let wait = Wait {
        urgency,
        // Not the request's own, which is the client's word: who names a short one would overtake
        // for ever who names none.
        deadline_ms: ms(until),
        until_ms: ms(until),
        not_before_ms: not_before_ms(choice),
    };
    let max = context.limits.queued;
    let ticket = line.enter(&wait, max, now_ms, reach)?;
    Ok(Place { line, ticket, _queued: Held::new(&context.metrics.route.queued) })
}

async fn wait(
    context: &Context,
    slate: &Slate<'_>,
    place: &Place<'_>,
    until: Instant,
    mut choice: Choice,
    look: impl Fn() -> Choice,
) -> Result<Choice, Error> {
    let Place { line, ticket, .. } = place;
    loop {
        let now_ms = context.time.now().run_ms;
        let pause = Duration::from_millis(not_before_ms(&choice).saturating_sub(now_ms));
        let again = if pause.is_zero() { LOOK_AGAIN } else { pause.min(LOOK_AGAIN) };
        let mut sleep = pin!(tokio::time::sleep_until(until.min(Instant::now() + again)));
        let standing = poll_fn(|cx| match line.standing(ticket, cx.waker()) {
            Standing::Waiting { may_look } => {
                sleep.as_mut().poll(cx).map(|()| Standing::Waiting { may_look })
            }
            standing => Poll::Ready(standing),
        })
        .await;
        let now_ms = context.time.now().run_ms;
        let overdue = || busy(context, line.overdue(ticket, not_before_ms(&choice), now_ms));
        match standing {
            Standing::Gone => return Err(overdue()),
            Standing::Waiting { .. } if Instant::now() >= until => return Err(overdue()),
            // Those before it look first.
            Standing::Waiting { may_look: false } => continue,
            Standing::Called | Standing::Waiting { .. } => {}
        }
        choice = look();
        if has_found(&choice) {
            return Ok(choice);
        }
        line.found_none(ticket);
        if !is_full(&choice, now_ms) {
            return Err(slate.nobody(&choice, now_ms));
        }
    }
}

fn has_found(choice: &Choice) -> bool {
    choice.best.is_some() || choice.probe.is_some()
}

/// Whether waiting may help: somebody is only busy, or paused for a moment.
fn is_full(choice: &Choice, now_ms: u64) -> bool {
    let is_soon = |until_ms: u64| until_ms.saturating_sub(now_ms) <= millis(PAUSE_MAX);
    choice.loaded > 0 || choice.paused_until_ms.is_some_and(is_soon)
}

/// Where some are only loaded, room may come at any time.
fn not_before_ms(choice: &Choice) -> u64 {
    match choice.loaded {
        0 => choice.paused_until_ms.unwrap_or(0),
        _ => 0,
    }
}

fn busy(context: &Context, shed: Shed) -> Error {
    context.metrics.route.queue_shed.inc();
    Error::Busy { retry_after: Duration::from_millis(shed.retry_after_ms) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.leave(&self.ticket);
    }
}
