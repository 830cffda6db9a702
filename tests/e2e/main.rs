//! End to end: the real `quorate` binary, provider processes that run mistral.rs, the bundled model.
//!
//! Nothing here waits for a fixed time: tests follow what the processes say of themselves. The one
//! clock is a guard that fails a test which hangs.

// Marked as tests so that clippy lets helpers unwrap, too.
#[cfg(test)]
mod answers;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod fail_over;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod verified;
