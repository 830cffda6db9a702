//! The pure stream and request code from outside: bytes in, bytes out.

mod assemble;
mod chunking;
mod completion;
mod evidence;
mod fixtures;
mod mend;
mod request;
mod request_errors;
mod scanner;
mod support;
mod usage;
