//! The pure stream and request code from outside: bytes in, bytes out.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do; clippy lets only #[test] functions"
)]

mod assemble;
mod chunking;
mod completion;
mod evidence;
mod fixtures;
mod mend;
mod plain;
mod request;
mod request_errors;
mod rules;
mod scanner;
mod seam;
mod seams;
mod support;
mod unknown;
mod usage;
