//! What the market asks of whoever chooses, and tells it.

use super::events::Us;
use super::machine::Machine;
use super::traffic::Job;
use gateway::route::Failure;

/// A request that looks for a provider.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) job: &'a Job,
    /// Already asked.
    pub(super) tried: &'a [u32],
    pub(super) now: Us,
}

/// A provider, and what the policy wants to remember of an attempt there.
#[derive(Debug)]
pub(super) struct Picked<F> {
    pub(super) provider: u32,
    pub(super) flight: F,
}

#[derive(Debug)]
pub(super) struct Picks<F> {
    pub(super) best: Option<Picked<F>>,
    /// One that is only tried, beside the best.
    pub(super) probe: Option<Picked<F>>,
}

pub(super) trait Policy {
    type Flight;

    /// Goes on elsewhere where an answer broke off.
    const CONTINUES: bool;

    /// `machines`: for whoever asks providers how they are.
    fn pick(&mut self, wanted: &Wanted<'_>, machines: &[Machine]) -> Picks<Self::Flight>;

    /// Seconds after which an attempt without a first token is late; `None`: never.
    fn late_after_s(&self, flight: &Self::Flight) -> Option<f64>;

    /// A second beside `first`, which is late.
    fn hedge(&mut self, wanted: &Wanted<'_>, first: &Self::Flight) -> Option<Picked<Self::Flight>>;

    fn first_token(&mut self, provider: u32, flight: &mut Self::Flight, now: Us);

    /// Which of two was first.
    fn raced(&mut self, has_hedge_won: bool);

    /// `tokens`: of the answer.
    fn succeeded(&mut self, provider: u32, flight: Self::Flight, job: &Job, tokens: f64, now: Us);

    fn failed(&mut self, provider: u32, flight: Self::Flight, failure: Failure, now: Us);

    /// Nobody waits for it any more.
    fn given_up(&mut self, provider: u32, flight: Self::Flight, now: Us);

    fn audited(&mut self, provider: u32, is_honest: bool, now: Us);

    /// What a request's answer cost, and what its losers cost; in dollars.
    fn spent(&mut self, answer: f64, losers: f64);
}
