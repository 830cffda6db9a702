//! Whether independent answers to one request agree: keys by which answers are compared, the count of who
//! agrees with whom, and what is made of answers that part at one token. Pure: no I/O, no clock, no task.
//! Who is asked, and who scores where answers part, is others' to see to.
//!
//! k of n says that k operators gave the same answer, and not that it is right: where a share `q` of
//! operators colludes, it is theirs with the probability that the binomial distribution says
//! ([`agreement::collusion`]).

pub mod agreement;
pub mod fork;
pub mod key;

pub use agreement::{Agreement, Class, Decision, Event, Next, Rules};
pub use key::{Form, Key};
