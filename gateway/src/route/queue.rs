//! Requests of one model that found nobody with room: bounded, the urgent first, of equals the one whose
//! time is over first. What would wait for longer than it may is sent away at once and told how long the
//! wait is; where the queue is full, who is less urgent goes first.

use std::collections::BTreeMap;

/// What a wait is predicted by fades with this time constant, of time in which somebody waited.
const FADE_MS: f64 = 10_000.0;
/// After so long without anybody waiting nothing is known any more.
const FORGET_MS: u64 = 60_000;
/// A longer wait is told as this.
const RETRY_AFTER_MAX_MS: u64 = 60_000;
/// Nobody is asked to come back sooner.
const RETRY_AFTER_MIN_MS: u64 = 1_000;
/// A pace is known by so many starts, or after so long.
const STARTS_MIN: f64 = 5.0;
const BUSY_MIN_MS: f64 = 5_000.0;
/// A slower pace is told as this one.
const PER_S_MIN: f64 = 1e-3;

/// How much a request minds waiting. In the order of the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    High,
    #[default]
    Normal,
    Low,
}

/// Whose turn is before whose: by urgency, then by deadline, then by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    urgency: Urgency,
    deadline_ms: u64,
    number: u64,
}

/// What a request would wait for.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    pub urgency: Urgency,
    /// When it has to be answered.
    pub deadline_ms: u64,
    /// It may wait until then.
    pub until_ms: u64,
    /// Nobody takes it before that: all who would are paused.
    pub not_before_ms: u64,
}

/// It is not taken in, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed {
    pub retry_after_ms: u64,
}

/// `T`: how the caller finds who waits.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<Ticket, T>,
    arrivals: u64,
    pace: Pace,
}

/// How fast requests start while others wait. What starts when nobody waits says how many came, and not
/// how many could be served.
#[derive(Debug, Default)]
struct Pace {
    starts: f64,
    busy_ms: f64,
    at_ms: u64,
}

// === impl Queue ===

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), arrivals: 0, pace: Pace::default() }
    }
}

impl<T> Queue<T> {
    /// Lets a request in, among at most `max`. With it comes whoever had to go for it, to be told.
    ///
    /// # Errors
    /// It would wait for longer than it may, or the queue is full of what is as urgent.
    pub fn enter(
        &mut self,
        wait: &Wait,
        max: usize,
        now_ms: u64,
        who: T,
    ) -> Result<(Ticket, Option<(Ticket, T)>), Shed> {
        let ticket =
            Ticket { urgency: wait.urgency, deadline_ms: wait.deadline_ms, number: self.arrivals };
        self.pace.pass(now_ms, !self.waiting.is_empty());
        let ahead = self.waiting.range(..ticket).count();
        let ready_ms = self.ready_ms(ahead, now_ms).max(wait.not_before_ms);
        let shed = Shed { retry_after_ms: retry_after(ready_ms, now_ms) };
        if ready_ms > wait.until_ms.min(wait.deadline_ms) {
            return Err(shed);
        }
        let mut gone = None;
        if self.waiting.len() >= max {
            let last = self.waiting.last_entry();
            match last.filter(|last| last.key().urgency > wait.urgency) {
                Some(last) => gone = Some(last.remove_entry()),
                None => return Err(shed),
            }
        }
        self.arrivals += 1;
        self.waiting.insert(ticket, who);
        Ok((ticket, gone))
    }

    /// It waits no more. `None`: it did not.
    pub fn leave(&mut self, ticket: &Ticket) -> Option<T> {
        self.waiting.remove(ticket)
    }

    /// Who is still waiting.
    pub fn get_mut(&mut self, ticket: &Ticket) -> Option<&mut T> {
        self.waiting.get_mut(ticket)
    }

    /// Whose turn it is.
    pub fn first(&self) -> Option<(&Ticket, &T)> {
        self.waiting.first_key_value()
    }

    /// Whose turn it is after that.
    pub fn after(&self, ticket: &Ticket) -> Option<(&Ticket, &T)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.waiting.range((Excluded(ticket), Unbounded)).next()
    }

    /// A request of the model went to a provider; of one that waited, to be told before it leaves.
    pub fn started(&mut self, now_ms: u64) {
        if !self.waiting.is_empty() {
            self.pace.pass(now_ms, true);
            self.pace.starts += 1.0;
        }
    }

    /// What a request is told that has waited for as long as it may: if it comes again, it is behind all
    /// that are as urgent, itself not among them.
    pub fn overdue(&self, ticket: &Ticket, not_before_ms: u64, now_ms: u64) -> Shed {
        let last = Ticket { urgency: ticket.urgency, deadline_ms: u64::MAX, number: u64::MAX };
        let others = self.waiting.range(..=last).filter(|(other, _)| *other != ticket);
        let ready_ms = self.ready_ms(others.count(), now_ms);
        Shed { retry_after_ms: retry_after(ready_ms.max(not_before_ms), now_ms) }
    }

    /// What a request is told that would be the last, and does not wait.
    pub fn expected(&self, not_before_ms: u64, now_ms: u64) -> Shed {
        let ready_ms = self.ready_ms(self.waiting.len(), now_ms).max(not_before_ms);
        Shed { retry_after_ms: retry_after(ready_ms, now_ms) }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When a request with so many before it may expect to start. As long as nobody knows, at once: it is
    /// let in, and told if it has waited in vain.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn ready_ms(&self, ahead: usize, now_ms: u64) -> u64 {
        let wait_ms = self.pace.per_s().map_or(0.0, |per_s| (ahead + 1) as f64 / per_s * 1e3);
        now_ms.saturating_add(wait_ms as u64)
    }
}

fn retry_after(ready_ms: u64, now_ms: u64) -> u64 {
    ready_ms.saturating_sub(now_ms).clamp(RETRY_AFTER_MIN_MS, RETRY_AFTER_MAX_MS)
}

// === impl Pace ===

impl Pace {
    /// Time has passed, in which somebody waited or nobody did.
    fn pass(&mut self, now_ms: u64, is_busy: bool) {
        let since_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        if !is_busy {
            if since_ms > FORGET_MS {
                (self.starts, self.busy_ms) = (0.0, 0.0);
            }
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        let left = (-(since_ms as f64) / FADE_MS).exp();
        self.starts *= left;
        self.busy_ms = self.busy_ms * left + FADE_MS * (1.0 - left);
    }

    fn per_s(&self) -> Option<f64> {
        let is_known =
            self.busy_ms > 0.0 && (self.starts >= STARTS_MIN || self.busy_ms >= BUSY_MIN_MS);
        is_known.then(|| (self.starts / self.busy_ms * 1e3).max(PER_S_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 4;

    fn wait(urgency: Urgency, deadline_ms: u64) -> Wait {
        Wait { urgency, deadline_ms, until_ms: 60_000, not_before_ms: 0 }
    }

    /// Ten starts a second for ten seconds, while one waited.
    fn busy() -> Queue<&'static str> {
        let mut queue = Queue::default();
        let (ticket, _) = queue.enter(&wait(Urgency::Normal, 50_000), 1, 0, "first").expect("room");
        (1..=100).for_each(|n| queue.started(n * 100));
        queue.leave(&ticket);
        queue
    }

    fn drained(mut queue: Queue<&'static str>) -> Vec<&'static str> {
        let mut order = Vec::new();
        while let Some(ticket) = queue.first().map(|(ticket, _)| *ticket) {
            order.extend(queue.leave(&ticket));
        }
        order
    }

    #[test]
    fn the_urgent_go_first_then_the_nearest_deadline_then_the_first_come() {
        let mut queue = busy();
        for (who, urgency, deadline_ms) in [
            ("late", Urgency::Normal, 50_000),
            ("first", Urgency::Normal, 40_000),
            ("second", Urgency::Normal, 40_000),
            ("urgent", Urgency::High, 60_000),
        ] {
            queue.enter(&wait(urgency, deadline_ms), MAX, 10_000, who).expect("room");
        }
        assert_eq!(drained(queue), ["urgent", "first", "second", "late"]);
    }

    #[test]
    fn who_is_full_sends_the_least_urgent_away() {
        let mut queue = busy();
        for who in ["a", "b", "c"] {
            queue.enter(&wait(Urgency::Normal, 50_000), MAX, 10_000, who).expect("room");
        }
        queue.enter(&wait(Urgency::Low, 20_000), MAX, 10_000, "low").expect("room");
        let shed = queue.enter(&wait(Urgency::Low, 15_000), MAX, 10_000, "low too");
        assert!(shed.is_err(), "as urgent as the last");
        let (_, gone) = queue.enter(&wait(Urgency::Normal, 50_000), MAX, 10_000, "d").expect("in");
        assert_eq!(gone.map(|(_, who)| who), Some("low"));
        assert!(queue.enter(&wait(Urgency::Normal, 20_000), MAX, 10_000, "e").is_err());
        let (_, gone) = queue.enter(&wait(Urgency::High, 50_000), MAX, 10_000, "f").expect("in");
        assert_eq!((gone.map(|(_, who)| who), queue.len()), (Some("d"), MAX));
    }

    #[test]
    fn a_wait_is_the_place_by_the_rate_of_starts() {
        let mut queue = busy();
        for n in 0..20 {
            let entered = queue.enter(&wait(Urgency::Normal, 50_000), 100, 10_000, "x");
            assert!(entered.is_ok(), "{n}");
        }
        // Twenty before it at ten a second: two seconds and its own turn.
        let short = Wait { until_ms: 11_500, ..wait(Urgency::Normal, 50_000) };
        let Err(shed) = queue.enter(&short, 100, 10_000, "y") else { panic!("it waits too long") };
        assert!((1_900..2_400).contains(&shed.retry_after_ms), "{shed:?}");
        // The urgent have nobody before them.
        let urgent = Wait { urgency: Urgency::High, ..short };
        assert!(queue.enter(&urgent, 100, 10_000, "z").is_ok());
        // The deadline counts as well.
        let hasty = Wait { deadline_ms: 11_500, ..wait(Urgency::Low, 0) };
        assert!(queue.enter(&hasty, 100, 10_000, "w").is_err());
    }

    #[test]
    fn what_came_when_nobody_waited_is_no_pace() {
        let mut queue: Queue<u32> = Queue::default();
        (0..100).for_each(|n| queue.started(n * 1_000));
        assert_eq!(queue.pace.per_s(), None);
        // A crowd at once is let in, as nobody knows better.
        for n in 0..500 {
            let wait = Wait { until_ms: 110_000, ..wait(Urgency::Normal, 600_000) };
            assert!(queue.enter(&wait, 1_000, 100_000, n).is_ok(), "{n}");
        }
        (1..=20).for_each(|n| queue.started(100_000 + n * 50));
        let pace = queue.pace.per_s().expect("known by now");
        assert!((18.0..22.0).contains(&pace), "{pace}");
        // Nobody started for a long time.
        queue.pace.pass(200_000, true);
        assert!(queue.pace.per_s().expect("known") < 0.1);
        // Nobody waited for a long time.
        queue.pace.pass(300_000, false);
        assert_eq!(queue.pace.per_s(), None);
    }

    #[test]
    fn where_all_are_paused_the_pause_is_the_wait() {
        let mut queue: Queue<()> = Queue::default();
        let paused = Wait { not_before_ms: 17_000, until_ms: 20_000, ..wait(Urgency::Normal, 0) };
        let paused = Wait { deadline_ms: 600_000, ..paused };
        assert_eq!(
            queue.enter(&Wait { until_ms: 16_999, ..paused }, MAX, 10_000, ()),
            Err(Shed { retry_after_ms: 7_000 })
        );
        let (ticket, _) = queue.enter(&paused, MAX, 10_000, ()).expect("it may wait");
        assert_eq!(queue.overdue(&ticket, 19_000, 16_000), Shed { retry_after_ms: 3_000 });
        let never = Wait { not_before_ms: u64::MAX, ..paused };
        let told = queue.enter(&never, MAX, 10_000, ()).map(|_| ());
        assert_eq!(told, Err(Shed { retry_after_ms: RETRY_AFTER_MAX_MS }));
    }

    #[test]
    fn who_waited_in_vain_is_told_the_wait_of_who_comes_now() {
        let mut queue = busy();
        let mut enter = |urgency| {
            let wait = wait(urgency, 50_000);
            queue.enter(&wait, 100, 10_000, "x").expect("room").0
        };
        let first = enter(Urgency::Normal);
        for number in 0..69 {
            enter(if number < 19 { Urgency::Normal } else { Urgency::Low });
        }
        // Nineteen others and its own turn, at ten a second; the less urgent do not count.
        let Shed { retry_after_ms } = queue.overdue(&first, 0, 10_000);
        assert!((1_900..2_400).contains(&retry_after_ms), "{retry_after_ms}");
    }

    #[test]
    fn the_next_is_the_one_after() {
        let mut queue = busy();
        let mut enter = |who| {
            let wait = wait(Urgency::Normal, 50_000);
            queue.enter(&wait, MAX, 10_000, who).expect("room").0
        };
        let (a, b) = (enter("a"), enter("b"));
        assert_eq!(queue.after(&a).map(|(_, who)| *who), Some("b"));
        assert!(queue.after(&b).is_none());
        assert_eq!(queue.leave(&a), Some("a"));
        assert_eq!(queue.leave(&a), None);
        assert_eq!(queue.first().map(|(_, who)| *who), Some("b"));
    }
}
