//! The market in process: nodes that sign what a test wants, a clock that stands still, no network but
//! where an answer is the point.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod harness;

#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod choice;
#[cfg(test)]
mod hello;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod index;
#[cfg(test)]
mod life;
#[cfg(test)]
mod offers;
#[cfg(test)]
mod snapshot;
