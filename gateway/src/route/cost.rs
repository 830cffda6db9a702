//! The expected cost of a request at one provider, in dollars; lower wins. Money, time, failure and
//! dishonesty in one currency:
//!
//! `C = M + V_f·T·Φ(u) + V_d·o/s + φ/(1−φ)·(V_f·(T + 1 s) + 0.3·M) + (1−h)·L_dis`
//!
//! Load is a steep barrier Φ and not a term to average (the lesson of Prequal, NSDI 2024).

/// What a request weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ask {
    /// x: tokens of the prompt, estimated from its bytes.
    pub prompt_tokens: f64,
    /// o: tokens that the answer is expected to have.
    pub answer_tokens: f64,
    pub values: Values,
}

/// What time and honesty are worth to who asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    /// V_f: dollars for a second until the first token.
    pub first_token: f64,
    /// V_d: dollars for a second from the first token to the last.
    pub decode: f64,
    /// L_dis: dollars lost by a dishonest answer.
    pub dishonesty: f64,
}

/// What is known of one provider for one model, at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// π_in, π_cached, π_out: dollars for a million tokens.
    pub price_in: f64,
    pub price_cached: f64,
    pub price_out: f64,
    /// x_c: tokens of the prompt that it is expected to have in its cache.
    pub cached_tokens: f64,
    /// a: seconds to the first token beside those for the prompt's tokens.
    pub base_s: f64,
    /// b: seconds for each token of the prompt.
    pub prompt_token_s: f64,
    /// s: tokens a second after the first.
    pub tokens_per_s: f64,
    /// Requests under way there.
    pub in_flight: u32,
    /// L: requests that it can bear at once.
    pub limit: f64,
    /// φ: the probability that it fails the request.
    pub failure: f64,
    /// h: the probability that its answer is honest.
    pub honesty: f64,
}

/// In dollars, term by term.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// M.
    pub money: f64,
    pub first_token: f64,
    pub decode: f64,
    pub failure: f64,
    pub dishonesty: f64,
}

/// Seconds that a failure costs beside another's first token.
const FAILURE_S: f64 = 1.0;
/// Share of the price that is lost with a failure.
const FAILURE_MONEY: f64 = 0.3;
/// What requests of one batch cost each other: Φ without its barrier is 1 + 0.5·u.
pub(super) const BATCH: f32 = 0.5;
/// Of u, from where on the barrier rises, and how steeply: early enough that the limit, which is only
/// guessed at, may be wrong by half.
const KNEE: f64 = 0.35;
const BARRIER: f64 = 5.0;

// === impl Values ===

impl Default for Values {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Values {
    pub const DEFAULT: Self = Self { first_token: 0.001, decode: 0.0001, dishonesty: 0.01 };

    /// Time is worth `factor` times as much.
    #[must_use]
    pub fn hurried(self, factor: f64) -> Self {
        Self { first_token: self.first_token * factor, decode: self.decode * factor, ..self }
    }

    /// A second is worth so many dollars before the first token, and in proportion after it.
    #[must_use]
    pub fn worth(self, dollars_a_second: f64) -> Self {
        let default = Self::default();
        let decode = dollars_a_second * default.decode / default.first_token;
        Self { first_token: dollars_a_second, decode, ..self }
    }
}

// === impl Facts ===

impl Facts {
    /// T: seconds to the first token, of a provider without a queue.
    pub fn first_token_s(&self, ask: &Ask) -> f64 {
        let fresh = (ask.prompt_tokens - self.cached_tokens).max(0.0);
        self.base_s + self.prompt_token_s * fresh
    }

    /// u: load with this request, as a share of what it can bear.
    pub fn utilisation(&self) -> f64 {
        (f64::from(self.in_flight) + 1.0) / self.limit.max(1.0)
    }

    /// Φ: how many times longer the first token takes by the load. One that is idle has no barrier,
    /// however little it can bear.
    pub fn congestion(&self) -> f64 {
        let u = self.utilisation();
        let barrier = if self.in_flight == 0 { 0.0 } else { BARRIER * (u - KNEE).max(0.0) };
        1.0 + f64::from(BATCH) * u + barrier
    }

    /// M: what the request is going to be charged.
    pub fn money(&self, ask: &Ask) -> f64 {
        let cached = self.cached_tokens.min(ask.prompt_tokens);
        let fresh = ask.prompt_tokens - cached;
        let micro =
            self.price_in * fresh + self.price_cached * cached + self.price_out * ask.answer_tokens;
        micro / 1e6
    }

    pub fn cost(&self, ask: &Ask) -> Cost {
        let Values { first_token, decode, dishonesty } = ask.values;
        let (money, wait) = (self.money(ask), self.first_token_s(ask));
        let odds = self.failure / (1.0 - self.failure).max(1e-3);
        Cost {
            money,
            first_token: first_token * wait * self.congestion(),
            decode: decode * ask.answer_tokens / self.tokens_per_s.max(0.1),
            failure: odds * (first_token * (wait + FAILURE_S) + FAILURE_MONEY * money),
            dishonesty: (1.0 - self.honesty) * dishonesty,
        }
    }
}

// === impl Cost ===

impl Cost {
    pub fn total(&self) -> f64 {
        self.money + self.first_token + self.decode + self.failure + self.dishonesty
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use proptest::prelude::*;

    const ASK: Ask = Ask { prompt_tokens: 2_000.0, ..example::ASK };
    const FACTS: Facts = Facts {
        price_in: 0.2,
        price_cached: 0.1,
        price_out: 0.8,
        cached_tokens: 500.0,
        base_s: 0.4,
        prompt_token_s: 0.0002,
        tokens_per_s: 50.0,
        in_flight: 1,
        limit: 8.0,
        failure: 0.2,
        honesty: 0.9,
    };

    #[track_caller]
    fn assert_near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-9, "{found}, not {wanted}");
    }

    #[test]
    fn each_term_is_as_written() {
        let cost = FACTS.cost(&ASK);
        assert_near(cost.money, (0.2 * 1_500.0 + 0.1 * 500.0 + 0.8 * 100.0) / 1e6);
        // T is 0.7 s, u is 0.25.
        assert_near(cost.first_token, 0.0004 * 0.7 * 1.125);
        assert_near(cost.decode, 0.0001 * 2.0);
        assert_near(cost.failure, 0.25 * (0.0004 * 1.7 + 0.3 * cost.money));
        assert_near(cost.dishonesty, 0.001);
        let terms = cost.money + cost.first_token + cost.decode + cost.failure + cost.dishonesty;
        assert_near(cost.total(), terms);
    }

    #[test]
    fn the_barrier_is_for_the_busy() {
        let busy = Facts { in_flight: 9, limit: 10.0, ..FACTS };
        assert_near(busy.congestion(), 1.0 + f64::from(BATCH) + BARRIER * (1.0 - KNEE));
        let idle = Facts { in_flight: 0, limit: 1.0, ..FACTS };
        assert_near(idle.congestion(), 1.0 + f64::from(BATCH));
    }

    #[test]
    fn a_certain_failure_is_dear_and_finite() {
        let failing = Facts { failure: 1.0, tokens_per_s: 0.0, limit: 0.0, ..FACTS };
        let total = failing.cost(&ASK).total();
        assert!(total.is_finite() && total > 0.1, "{total}");
    }

    #[test]
    fn hurry_weighs_time_and_leaves_the_rest() {
        let hurried = FACTS.cost(&Ask { values: ASK.values.hurried(10.0), ..ASK });
        let cost = FACTS.cost(&ASK);
        assert_near(hurried.first_token, 10.0 * cost.first_token);
        assert_near(hurried.decode, 10.0 * cost.decode);
        assert_near(hurried.dishonesty, cost.dishonesty);
        let worth = ASK.values.worth(0.004);
        assert_near(worth.decode, 0.000_4);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
        /// What is worse in one thing and the same in the others costs more.
        #[test]
        fn worse_costs_more(in_flight in 0u32..200, limit in 1.0..100.0f64, failure in 0.0..0.9f64) {
            let facts = Facts { in_flight, limit, failure, ..FACTS };
            let total = facts.cost(&ASK).total();
            for worse in [
                Facts { in_flight: in_flight + 1, ..facts },
                Facts { price_in: 0.3, ..facts },
                Facts { price_out: 0.9, ..facts },
                Facts { base_s: 0.5, ..facts },
                Facts { tokens_per_s: 40.0, ..facts },
                Facts { failure: failure + 0.05, ..facts },
                Facts { honesty: 0.8, ..facts },
                Facts { cached_tokens: 0.0, ..facts },
            ] {
                prop_assert!(worse.cost(&ASK).total() > total, "{:?}", worse);
            }
        }
    }
}
