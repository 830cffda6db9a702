//! When a second provider is asked because the first is late with its first token, and what that may
//! cost. The delay is a quantile of how late first tokens are beside what was predicted of them, so that a
//! long prompt or a slow provider is not taken for a late one (a fixed delay, or a percentile of the plain
//! latency, would).

use super::atomic::AtomicF32;
use super::cost::{Ask, Facts};
use super::sketch::Sketch;

/// Of observed over predicted.
const QUANTILE: f32 = 0.95;
/// Before so many were seen, the delay is by [`RATIO`].
const SEEN_MIN: u32 = 50;
const RATIO: f32 = 3.0;
const DELAY_MIN_S: f32 = 0.3;
const DELAY_MAX_S: f32 = 8.0;
/// Of a pool that is fuller nothing more is asked.
const UTILISATION_MAX: f32 = 0.85;
/// Where hedges win less often they are no help.
const WIN_MIN: f32 = 0.25;
/// Weight of each hedge in the share that win: the last 200 or so.
const WIN_SHARE: f32 = 1.0 / 200.0;
/// Of the way back to where nothing is known, at each request: where hedges ended, one is tried for each
/// few hundred requests, or nobody would ever know that they win again.
const WIN_FORGET: f32 = 1.0 / 50_000.0;
/// Before anything is known.
const WIN_START: f32 = 0.5;
/// Credits kept at most.
const CREDITS_MAX: f32 = 50.0;
/// Trailing spend is halved beyond so many dollars' worth of requests.
const FADE: f32 = 0.999;
/// Of the answer, what a cancelled attempt is charged, about.
const WASTED_ANSWER: f64 = 0.1;

/// What may be spent on hedges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Hedges for each request, on average.
    pub credits: f32,
    /// Of what is spent in all.
    pub spend_share: f32,
}

/// Of one model, shared by its requests.
#[derive(Debug)]
pub struct Hedges {
    /// Observed over predicted, of first tokens.
    ratios: Sketch,
    credits: AtomicF32,
    /// Trailing dollars: all, and what hedges cost.
    spent: AtomicF32,
    wasted: AtomicF32,
    wins: AtomicF32,
    /// Mean load of the pool.
    utilisation: AtomicF32,
}

/// Why no hedge goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    Credits,
    Spend,
    Busy,
    Losing,
    /// What it would cost is more than the wait it would spare.
    NotWorth,
}

// === impl Budget ===

impl Default for Budget {
    fn default() -> Self {
        Self { credits: 0.1, spend_share: 0.05 }
    }
}

// === impl Hedges ===

impl Default for Hedges {
    fn default() -> Self {
        Self {
            ratios: Sketch::new(0.02),
            credits: AtomicF32::new(1.0),
            spent: AtomicF32::default(),
            wasted: AtomicF32::default(),
            wins: AtomicF32::new(WIN_START),
            utilisation: AtomicF32::default(),
        }
    }
}

impl Hedges {
    /// A request came, and its choice saw this much load.
    pub fn request(&self, budget: &Budget, utilisation: f64) {
        self.credits.update(|credits| (credits + budget.credits).min(CREDITS_MAX));
        self.wins.update(|share| share + WIN_FORGET * (WIN_START - share));
        #[expect(clippy::cast_possible_truncation, reason = "of 0 to 1")]
        let now = utilisation as f32;
        self.utilisation.update(|mean| mean + 0.02 * (now - mean));
    }

    /// A first token came so many times as late as predicted; of attempts that were not given up.
    pub fn observed(&self, ratio: f32) {
        self.ratios.add(ratio);
    }

    /// Seconds after which a first token predicted in `predicted_s` is late.
    pub fn delay_s(&self, predicted_s: f32) -> f32 {
        (predicted_s * self.late_ratio()).clamp(DELAY_MIN_S, DELAY_MAX_S)
    }

    /// Observed over predicted of this share of first tokens; `None` before enough were seen.
    pub fn ratio(&self, share: f32) -> Option<f32> {
        (self.ratios.total() >= SEEN_MIN).then(|| self.ratios.quantile(share)).flatten()
    }

    fn late_ratio(&self) -> f32 {
        match self.ratios.total() >= SEEN_MIN {
            true => self.ratios.quantile(QUANTILE).unwrap_or(RATIO),
            false => RATIO,
        }
    }

    /// Takes a credit for asking `second` too, `waited_s` after the first was asked.
    ///
    /// # Errors
    /// Why not.
    pub fn take(
        &self,
        budget: &Budget,
        ask: &Ask,
        predicted_s: f32,
        waited_s: f32,
        second: &Facts,
    ) -> Result<(), Denied> {
        if self.utilisation.load() > UTILISATION_MAX {
            return Err(Denied::Busy);
        }
        if self.wins.load() < WIN_MIN {
            return Err(Denied::Losing);
        }
        let cost = Self::wasted(second, ask);
        if self.wasted.load() > budget.spend_share * self.spent.load() && cost > 0.0 {
            return Err(Denied::Spend);
        }
        if self.saved_s(predicted_s, waited_s, second, ask) * ask.values.first_token <= cost {
            return Err(Denied::NotWorth);
        }
        // Two who race for the last credit may both have it: a budget is no lock.
        if self.credits.load() < 1.0 {
            return Err(Denied::Credits);
        }
        self.credits.update(|credits| credits - 1.0);
        Ok(())
    }

    /// Seconds that the first is expected to take still, less what the second takes.
    fn saved_s(&self, predicted_s: f32, waited_s: f32, second: &Facts, ask: &Ask) -> f64 {
        let ratio = waited_s / predicted_s.max(1e-3);
        // Beyond all that was seen: as long again as it has taken.
        let excess = self.ratios.mean_excess(ratio).unwrap_or(ratio);
        f64::from(excess * predicted_s) - second.first_token_s(ask) * second.congestion()
    }

    /// Dollars that a cancelled attempt costs, about.
    pub fn wasted(facts: &Facts, ask: &Ask) -> f64 {
        let answer_tokens = ask.answer_tokens * WASTED_ANSWER;
        facts.money(&Ask { answer_tokens, ..*ask })
    }

    /// Which of the two was first.
    pub fn settled(&self, has_won: bool) {
        let now = if has_won { 1.0 } else { 0.0 };
        self.wins.update(|share| share + WIN_SHARE * (now - share));
    }

    /// What a request's answer cost, and what its losers cost; in dollars.
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough")]
    pub fn spent(&self, answer: f64, losers: f64) {
        self.spent.update(|sum| sum * FADE + (answer + losers) as f32);
        self.wasted.update(|sum| sum * FADE + losers as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{ASK, FACTS};
    use super::*;

    const SECOND: Facts = FACTS;
    const BUDGET: Budget = Budget { credits: 0.1, spend_share: 0.05 };

    /// With credits, spend, and first tokens of which one of twenty takes twenty times as long.
    fn seasoned() -> Hedges {
        let hedges = Hedges::default();
        for number in 0..1_000 {
            hedges.request(&BUDGET, 0.5);
            hedges.spent(0.001, 0.0);
            hedges.observed(if number % 20 == 0 { 20.0 } else { 1.0 });
        }
        hedges
    }

    fn take(hedges: &Hedges) -> Result<(), Denied> {
        hedges.take(&BUDGET, &ASK, 1.0, 2.0, &SECOND)
    }

    #[test]
    fn the_delay_is_by_the_prediction_and_what_is_usual() {
        let hedges = Hedges::default();
        assert_eq!(hedges.delay_s(1.0), 3.0);
        (0..SEEN_MIN).for_each(|_| hedges.observed(1.5));
        assert!((1.4..1.6).contains(&hedges.delay_s(1.0)), "{}", hedges.delay_s(1.0));
        assert!((2.8..3.2).contains(&hedges.delay_s(2.0)));
        assert_eq!(hedges.delay_s(0.001), DELAY_MIN_S);
        assert_eq!(hedges.delay_s(100.0), DELAY_MAX_S);
    }

    #[test]
    fn a_hedge_is_granted_where_it_is_worth_it() {
        let hedges = seasoned();
        assert_eq!(take(&hedges), Ok(()));
        // 18 s are still expected; at 0.000001 $ a second they are worth less than the second's price.
        let values = ASK.values.worth(0.000_001);
        let cheap = Ask { values, ..ASK };
        assert_eq!(hedges.take(&BUDGET, &cheap, 1.0, 2.0, &SECOND), Err(Denied::NotWorth));
        // A second that is as slow saves nothing.
        let slow = Facts { base_s: 30.0, ..SECOND };
        assert_eq!(hedges.take(&BUDGET, &ASK, 1.0, 2.0, &slow), Err(Denied::NotWorth));
    }

    #[test]
    fn one_of_ten_requests_has_a_credit_and_fifty_are_kept() {
        let hedges = seasoned();
        let granted = (0..1_000).filter(|_| take(&hedges).is_ok()).count();
        assert_eq!(granted, 50);
        assert_eq!(take(&hedges), Err(Denied::Credits));
        (0..100).for_each(|_| hedges.request(&BUDGET, 0.5));
        let granted = (0..1_000).filter(|_| take(&hedges).is_ok()).count();
        assert!((9..=10).contains(&granted), "{granted}");
    }

    #[test]
    fn losers_may_cost_a_twentieth_of_all() {
        let hedges = seasoned();
        hedges.spent(0.0, 0.001);
        assert_eq!(take(&hedges), Ok(()));
        (0..60).for_each(|_| hedges.spent(0.0, 0.001));
        assert_eq!(take(&hedges), Err(Denied::Spend));
        // What costs nothing may be asked all the same.
        let free = Facts { price_in: 0.0, price_cached: 0.0, price_out: 0.0, ..SECOND };
        assert_eq!(hedges.take(&BUDGET, &ASK, 1.0, 2.0, &free), Ok(()));
    }

    #[test]
    fn a_busy_pool_is_not_asked_more() {
        let hedges = seasoned();
        (0..300).for_each(|_| hedges.request(&BUDGET, 0.95));
        assert_eq!(take(&hedges), Err(Denied::Busy));
        (0..300).for_each(|_| hedges.request(&BUDGET, 0.5));
        assert_eq!(take(&hedges), Ok(()));
    }

    #[test]
    fn hedges_that_never_win_end() {
        let hedges = seasoned();
        (0..200).for_each(|_| hedges.settled(false));
        assert_eq!(take(&hedges), Err(Denied::Losing));
        (0..200).for_each(|_| hedges.settled(true));
        assert_eq!(take(&hedges), Ok(()));
    }

    #[test]
    fn hedges_that_ended_are_tried_now_and_then_and_come_back_when_they_win() {
        let hedges = seasoned();
        (0..200).for_each(|_| hedges.settled(false));
        let sent = |has_won: bool| {
            let mut count = 0;
            for _ in 0..100_000 {
                hedges.request(&BUDGET, 0.5);
                hedges.spent(0.001, 0.0);
                if take(&hedges).is_ok() {
                    count += 1;
                    hedges.settled(has_won);
                }
            }
            count
        };
        let lost = sent(false);
        assert!((50..=500).contains(&lost), "{lost} of 100,000 that never win");
        assert!(sent(true) > 5_000, "they win, and are not sent");
    }
}
