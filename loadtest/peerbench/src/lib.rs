//! The parts of the load generator: one closed-loop connection, and what a process has used.

pub mod process;
pub mod worker;
