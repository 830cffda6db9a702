//! The route between real processes: the gateway's binary, and providers that misbehave by script. Each
//! case looks at the answer, and at how often each provider was asked for it.
//!
//! Time-outs are shortened by configuration; nothing waits for a fixed time.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod broken;
#[cfg(test)]
mod limited;
#[cfg(test)]
mod market;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod process;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod resumed;
#[cfg(test)]
mod silent;
