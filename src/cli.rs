//! The commands of the binary. Without one it is `up`.

use crate::up;
use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

/// Turns many independent GPU owners into one OpenAI-compatible inference service.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: up::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole local market: one gateway and its providers. The default.
    Up(up::Args),
    /// Run a gateway.
    Gateway(gateway::cli::Command),
    /// Run a provider.
    Provider(Box<provider::cli::Command>),
    /// Make, list and revoke keys of a gateway, running or not.
    Key(gateway::cli::key::Command),
    /// List the nodes that joined a running gateway, look at one, send it away or let it come back.
    Node(gateway::cli::nodes::Command),
    /// Check receipts of answers, show one, and replace the key they are signed with.
    Receipt(gateway::cli::receipt::Command),
    /// Check a gateway's configuration, and list everything that is wrong with it.
    CheckConfig {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print an OpenAPI document.
    Openapi { of: Contract },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Contract {
    Gateway,
    Provider,
}

// === impl Cli ===

impl Cli {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// Whatever stops it, with its causes.
    pub(crate) fn run(self) -> Result<()> {
        // First, because rustls refuses to choose once two providers are in one build. An error
        // means that one is installed already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let command = self.command.unwrap_or(Command::Up(self.up));
        let outcome = runtime.block_on(command.run());
        // What ignored the drain does not hold the process.
        runtime.shutdown_timeout(Duration::from_millis(100));
        outcome
    }
}

// === impl Command ===

impl Command {
    async fn run(self) -> Result<()> {
        match self {
            Self::Up(args) => up::run(args).await,
            Self::Gateway(command) => Ok(gateway::cli::run(command).await?),
            Self::Provider(command) => Ok(provider::cli::run(*command).await?),
            Self::Key(command) => Ok(gateway::cli::key::run(command).await?),
            Self::Node(command) => Ok(gateway::cli::nodes::run(command).await?),
            Self::Receipt(command) => Ok(gateway::cli::receipt::run(command).await?),
            Self::CheckConfig { file } => check_config(&file),
            Self::Openapi { of } => print(of),
        }
    }
}

fn check_config(file: &std::path::Path) -> Result<()> {
    let settings = gateway::config::load(file)
        .map_err(|error| anyhow::anyhow!("{}:\n{error}", file.display()))?;
    for warning in settings.warnings() {
        writeln!(io::stderr().lock(), "warning: {warning}")?;
    }
    writeln!(io::stdout().lock(), "{}: ok", file.display())?;
    Ok(())
}

fn print(of: Contract) -> Result<()> {
    let document = match of {
        Contract::Gateway => gateway::http::document().to_pretty_json()?,
        Contract::Provider => provider::cli::contract()?,
    };
    writeln!(io::stdout().lock(), "{document}")?;
    Ok(())
}

/// Says on stderr why a command failed.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // Nobody may be reading any more; the exit code tells the same.
    let _ = writeln!(io::stderr().lock(), "error: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_the_same_name_are_each_commands_own() {
        let lines = [
            vec!["quorate", "key", "list"],
            vec!["quorate", "key", "--admin", "http://[::1]:9090", "--data", "d", "list"],
            vec![
                "quorate",
                "key",
                "revoke",
                "alice",
                "--admin",
                "http://[::1]:9090",
                "--data",
                "d",
            ],
        ];
        for line in lines {
            assert!(matches!(Cli::try_parse_from(line).unwrap().command, Some(Command::Key(_))));
        }
    }

    #[test]
    fn without_a_command_it_is_up() {
        for line in [vec!["quorate"], vec!["quorate", "--providers", "2", "--listen", "[::1]:80"]] {
            assert!(Cli::try_parse_from(line).unwrap().command.is_none());
        }
        let explicit = Cli::try_parse_from(["quorate", "up", "--providers", "2"]).unwrap();
        assert!(matches!(explicit.command, Some(Command::Up(_))));
        assert!(Cli::try_parse_from(["quorate", "--providers", "0"]).is_err());
        assert!(Cli::try_parse_from(["quorate", "--providers", "2", "gateway"]).is_err());
    }
}
