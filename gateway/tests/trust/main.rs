//! Audits as an operator sees them: a gateway and shipped providers in one process, whose model is a toy
//! that computes what a real one would, and may cheat.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod audits;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod verified;
