//! What clients keep of answers: real gateways before scripted providers, and receipts checked with nothing
//! but what a client has.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod harness;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod command;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod writing;
