//! Shared set-up of the benches: streams and requests of the sizes that occur.

pub mod stream;
