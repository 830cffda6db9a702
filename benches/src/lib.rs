//! Shared set-up of the benches: streams and requests of the sizes that occur; and the simulator of the
//! route's quality.

pub mod sim;
pub mod stream;
