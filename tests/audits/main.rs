//! Audits of the bundled model through mistral.rs, by the shipped gateway and providers in one process: the
//! full weights, the full weights with less precision, and another model under their name.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod cheats;
#[cfg(test)]
#[path = "../../gateway/tests/trust/harness.rs"]
#[expect(dead_code, reason = "what the toy's tests need beside")]
mod harness;
#[cfg(test)]
mod posing;
