//! What is simulated: how many providers of which faults, how many requests of what kind, how fast.

const STANDARD: &str = "standard";

/// How requests are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    Poisson,
    /// Gamma, by its coefficient of variation: bursts.
    Gamma(f64),
}

/// Lengths of prompts and answers, by the public traces of Azure (chat, code) and Mooncake (long).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lengths {
    Chat,
    Code,
    Long,
}

/// Shares of the providers, each of which has one fault at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// Cheap, fast, and never honest.
    pub liars: f64,
    /// Up for a minute, gone for ten seconds (means), with all that they had.
    pub flapping: f64,
    /// Four times slower for twenty seconds every minute (means).
    pub slow: f64,
    /// Answer 500 within 30 ms, four times of five.
    pub failing: f64,
    /// Stop in the middle, or never begin, once in five.
    pub stalling: f64,
}

/// For a while more requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surge {
    pub from_s: f64,
    pub until_s: f64,
    /// Times as many.
    pub factor: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    pub name: &'static str,
    pub providers: usize,
    /// Of what all providers together could bear, were they honest and without faults.
    pub utilization: f64,
    pub arrivals: Arrivals,
    pub lengths: Lengths,
    pub faults: Faults,
    pub surge: Option<Surge>,
    pub requests: usize,
    /// The first of them, which are not counted.
    pub warm_up: usize,
}

// === impl Faults ===

impl Default for Faults {
    fn default() -> Self {
        Self { liars: 0.05, flapping: 0.08, slow: 0.10, failing: 0.05, stalling: 0.02 }
    }
}

// === impl Scenario ===

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: STANDARD,
            providers: 1_000,
            utilization: 0.6,
            arrivals: Arrivals::Poisson,
            lengths: Lengths::Chat,
            faults: Faults::default(),
            surge: None,
            requests: 500_000,
            warm_up: 200_000,
        }
    }
}

impl Scenario {
    /// Its market and its requests are those that the targets are stated for.
    pub fn is_standard(&self) -> bool {
        self.name == STANDARD
    }

    /// At other utilisations, with more providers, and with what may go wrong in other measure.
    pub fn all() -> Vec<Self> {
        let base = Self::default();
        let liars = |liars| Faults { liars, ..Faults::default() };
        vec![
            Self { utilization: 0.2, ..base.clone() },
            Self { utilization: 0.4, ..base.clone() },
            base.clone(),
            Self { utilization: 0.75, ..base.clone() },
            Self { utilization: 0.85, ..base.clone() },
            Self { name: "gamma-cv3", arrivals: Arrivals::Gamma(3.0), ..base.clone() },
            Self { name: "gamma-cv13", arrivals: Arrivals::Gamma(13.0), ..base.clone() },
            Self { name: "code", lengths: Lengths::Code, ..base.clone() },
            Self { name: "long", lengths: Lengths::Long, ..base.clone() },
            Self { name: "liars-0", faults: liars(0.0), ..base.clone() },
            Self { name: "liars-20", faults: liars(0.20), ..base },
        ]
    }

    /// Twice of what all can bear, for a minute.
    pub fn overload() -> Self {
        let base = Self::default();
        let surge = Surge { from_s: 180.0, until_s: 240.0, factor: 2.0 / base.utilization };
        Self { name: "overload", surge: Some(surge), ..base }
    }

    /// Enough to see the standard figures in a minute.
    pub fn quick() -> Self {
        Self { requests: 360_000, warm_up: 200_000, ..Self::default() }
    }
}
