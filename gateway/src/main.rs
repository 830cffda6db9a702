//! The slim binary: a gateway without mistral.rs. It chooses the allocator and the TLS provider, and
//! leaves the rest to the library.

use anyhow::Context as _;
use clap::Parser;
use std::time::Duration;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, Parser)]
#[command(name = "quorate-gateway", version, about)]
struct Cli {
    #[command(flatten)]
    command: gateway::cli::Command,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // First, because rustls refuses to choose once two providers are in one build. An error means
    // that one is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(gateway::cli::run(cli.command));
    // What ignored the cut does not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(outcome?)
}
