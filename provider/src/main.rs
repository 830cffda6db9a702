//! The slim provider binary.

use clap::Parser;
use provider::cli::{self, Command};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(name = "quorate-provider", version, about)]
struct Cli {
    #[command(flatten)]
    command: Command,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    Box::pin(cli::run(cli.command)).await?;
    Ok(())
}
