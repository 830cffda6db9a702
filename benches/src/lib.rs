//! Shared set-up of the benches: streams and requests of the sizes that occur; the simulator of the
//! route's quality; and audits of planted cheaters.

pub mod audits;
pub mod sim;
pub mod stream;
