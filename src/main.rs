//! The `quorate` binary: everything in one. It chooses the allocator and hands over to the command;
//! the work is done by `up` and by the crates `gateway` and `provider`.

mod cli;
mod up;

use clap::Parser as _;
use std::process::ExitCode;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
