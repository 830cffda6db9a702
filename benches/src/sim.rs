//! A market in virtual time: providers that queue, slow down, lie and break; requests as they come; and
//! whoever chooses. The gateway's own choice runs as the code that the gateway runs (`gateway::route`);
//! beside it the choices that others are known for. Everything follows from a seed, and two policies of one
//! seed see the same providers and the same requests.
//!
//! Refused here: the network, the gateway's tasks, what tokens say. A provider is a queue and a curve, its
//! cancelled work ends at once, and one model is served by all.
#![expect(clippy::indexing_slicing, reason = "a simulation that loses count of itself must stop")]
#![expect(clippy::cast_possible_truncation, reason = "times and counts of a simulation are small")]

mod audits;
mod baselines;
mod events;
pub mod fleet;
mod machine;
mod outcome;
pub mod overload;
pub mod plot;
mod policy;
mod quorate;
mod run;
pub mod scenario;
pub mod table;
pub mod targets;
mod traffic;
mod world;

pub use baselines::Rule;
pub use outcome::{Mean, Outcome};
pub use quorate::Quorate;
pub use scenario::Scenario;

use baselines::Baseline;
use run::Run;

/// Who chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Quorate,
    Baseline(Rule),
}

impl Who {
    pub const ALL: [Self; 8] = [
        Self::Baseline(Rule::Random),
        Self::Baseline(Rule::RoundRobin),
        Self::Baseline(Rule::InversePriceSquared),
        Self::Baseline(Rule::LeastRequest),
        Self::Baseline(Rule::PeakEwma { draws: 2 }),
        Self::Baseline(Rule::PeakEwma { draws: 8 }),
        Self::Baseline(Rule::Prequal),
        Self::Quorate,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Quorate => "quorate",
            Self::Baseline(rule) => rule.name(),
        }
    }

    /// Whether it looks at load or latency at all.
    pub fn is_load_aware(self) -> bool {
        matches!(self, Self::Baseline(Rule::LeastRequest | Rule::PeakEwma { .. } | Rule::Prequal))
    }
}

/// One policy through one scenario.
pub fn simulate(scenario: &Scenario, who: Who, seed: u64) -> Outcome {
    let world = world::World::new(scenario, seed);
    match who {
        Who::Quorate => {
            let policy = Quorate::new(&world, seed);
            Run::new(scenario, world, policy, seed).finish(who)
        }
        Who::Baseline(rule) => {
            let policy = Baseline::new(rule, &world, seed);
            Run::new(scenario, world, policy, seed).finish(who)
        }
    }
}
