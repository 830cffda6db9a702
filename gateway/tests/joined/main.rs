//! The gateway and the provider that is shipped, joined, in one process: what a client and an operator
//! see of it. The parts have tests of their own, each against a hand-written other side.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod harness;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod quorum;
#[cfg(test)]
mod resuming;
#[cfg(test)]
mod selling;
#[cfg(test)]
mod staying;
