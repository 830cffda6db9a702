//! What a request prefers, whatever it costs: who fulfils more goes first. By what is learned, and never
//! a reason to leave a request unserved.

use crate::market::Offer;
use crate::request::Policy;
use crate::request::policy::{Percentile, Preference, Sort};
use crate::route::{Ask, Facts, Shared};

/// Probabilities of failure within one step are equal.
const STEPS: f64 = 20.0;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    /// At most so many seconds to the median first token.
    latency_s: Option<f64>,
    /// At least so many tokens a second.
    throughput: Option<f64>,
    /// Providers without a price come last.
    is_by_price: bool,
    is_by_reliability: bool,
}

impl Wish {
    pub(super) fn new(policy: Option<&Policy>, shared: &Shared) -> Self {
        let Some(policy) = policy else { return Self::default() };
        // What is learned of a provider is its median, about; how far the percentiles are from the median is
        // learned over all providers of the model.
        let ratio = |share| f64::from(shared.hedges.ratio(share).unwrap_or(1.0));
        let late = |percentile| (ratio(share(percentile)) / ratio(0.5)).max(1.0);
        let latency = policy.preferred_max_latency.as_ref().and_then(|preference| {
            let bounds = bounds(preference);
            bounds.map(|(percentile, max)| max / late(percentile)).reduce(f64::min)
        });
        // Of speeds the mean is known alone.
        let throughput = policy.preferred_min_throughput.as_ref();
        let throughput = throughput
            .and_then(|preference| bounds(preference).map(|(_, min)| min).reduce(f64::max));
        Self {
            latency_s: latency,
            throughput,
            is_by_price: policy.sort == Some(Sort::Price),
            is_by_reliability: policy.sort == Some(Sort::Exacto),
        }
    }

    /// Lower goes first.
    pub(super) fn rank(&self, offer: &Offer, facts: &Facts, ask: &Ask) -> u32 {
        let first_s = || facts.first_token_s(ask) * facts.congestion();
        let misses = [
            self.latency_s.is_some_and(|max| first_s() > max),
            self.throughput.is_some_and(|min| facts.tokens_per_s < min),
            self.is_by_price && !offer.is_priced(),
        ];
        let missed = misses.into_iter().map(u32::from).sum::<u32>();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 20")]
        let unreliable = match self.is_by_reliability {
            true => (facts.failure * STEPS) as u32,
            false => 0,
        };
        // 20 steps, and then one.
        missed * 32 + unreliable
    }

    /// Whether all are equal to it.
    pub(super) fn is_none(&self) -> bool {
        self.latency_s.is_none()
            && self.throughput.is_none()
            && !self.is_by_price
            && !self.is_by_reliability
    }
}

fn bounds(preference: &Preference) -> Box<dyn Iterator<Item = (Percentile, f64)> + '_> {
    match preference {
        Preference::Median(bound) => Box::new(std::iter::once((Percentile::P50, *bound))),
        Preference::Percentiles(bounds) => {
            Box::new(bounds.iter().map(|(percentile, bound)| (*percentile, *bound)))
        }
    }
}

fn share(percentile: Percentile) -> f32 {
    match percentile {
        Percentile::P50 => 0.5,
        Percentile::P75 => 0.75,
        Percentile::P90 => 0.9,
        Percentile::P99 => 0.99,
    }
}
