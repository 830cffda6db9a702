//! Bytes on a socket, as no client library sends them. Each file of cases is about one theme; `table`
//! runs them all against one gateway, again and again, and then looks at what is left of them.

#![expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod case;
#[cfg(test)]
mod market;

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod encodings;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod json;
#[cfg(test)]
mod pipelining;
#[cfg(test)]
mod urls;

#[cfg(test)]
mod frames;
#[cfg(test)]
mod h2;
#[cfg(test)]
mod leavers;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod ssrf;
#[cfg(test)]
mod table;
