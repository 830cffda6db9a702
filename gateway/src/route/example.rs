//! A request and a provider in round numbers, for the route's own tests.

use super::cost::{Ask, Facts, Values};

pub(super) const ASK: Ask = Ask {
    prompt_tokens: 1_000.0,
    answer_tokens: 100.0,
    values: Values { first_token: 0.0004, decode: 0.0001, dishonesty: 0.01 },
};

/// Idle; its first token takes half a second, and a cancelled attempt costs 0.00011 $.
pub(super) const FACTS: Facts = Facts {
    price_in: 0.1,
    price_cached: 0.1,
    price_out: 1.0,
    cached_tokens: 0.0,
    base_s: 0.25,
    prompt_token_s: 0.00025,
    tokens_per_s: 50.0,
    in_flight: 0,
    limit: 100.0,
    failure: 0.05,
    honesty: 0.95,
};
