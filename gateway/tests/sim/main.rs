//! A whole gateway and whole providers in simulated time: hours pass in moments, every run is the
//! same, and the network is the test's to break.
//!
//! Two networks: [`net`] is pipes in one paused runtime, for races and for many requests; [`lan`] is
//! turmoil, where each provider is a host of its own, for partitions, crashes and slow links.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod flap;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod held;
#[cfg(test)]
mod lan;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod load;
#[cfg(test)]
mod net;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod partition;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod race;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod stall;
