//! The gateway as its users meet it: in process, request by request, and over real sockets where the
//! socket is the point. One file per subject, as the code has.

// The lints know test code by this attribute; the helpers beside the tests are test code too.
#[cfg(test)]
mod support;

#[cfg(test)]
mod admin;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod body;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod config;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod models;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod process;
#[cfg(test)]
mod request_ids;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod serving;
