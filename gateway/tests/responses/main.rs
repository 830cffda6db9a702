//! /v1/responses: the translation alone, and through a whole gateway in this process.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod answers;
#[cfg(test)]
mod events;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod grammar;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod requests;
