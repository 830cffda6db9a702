//! The node listener and the tunnel through a whole gateway, in this process, over real sockets. The
//! node is written by hand here: it says what a test wants it to say, good or bad.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod admission;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod direct;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod flap;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod learned;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod node;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod tls;
