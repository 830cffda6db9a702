//! Chat completions through a whole gateway, in this process, over real sockets: scripted providers
//! (the shipped provider server) and raw ones that write bytes of our choice.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod answers;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod completions;
#[cfg(test)]
mod dialect;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod fail_over;
#[cfg(test)]
mod going_on;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hedging;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod mid_stream;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod wire;
