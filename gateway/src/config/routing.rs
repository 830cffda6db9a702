//! `[routing]`: what the route weighs where a request does not say.

use serde::Deserialize;

use super::problem::Problems;
use crate::route::Values;

/// A dollar a second: more is a mistake.
const VALUE_OF_TIME_MAX: f64 = 1.0;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Routing {
    /// What time and honesty are worth.
    pub values: Values,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRouting {
    /// Dollars for a second until the first token.
    value_of_time: Option<f64>,
}

// === impl RawRouting ===

impl RawRouting {
    pub(super) fn check(&self, problems: &mut Problems) -> Routing {
        let Some(dollars) = self.value_of_time else { return Routing::default() };
        if !(0.0..=VALUE_OF_TIME_MAX).contains(&dollars) {
            problems.add(
                "routing.value_of_time",
                format!("{dollars} is not between 0 and {VALUE_OF_TIME_MAX}"),
            );
        }
        Routing { values: Values::default().worth(dollars) }
    }
}
