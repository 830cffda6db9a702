//! The gateway's commands, for its own binary and for the one that holds everything.

use clap::{Args, Subcommand};
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::{config, http, serve, telemetry};

pub mod key;
pub mod nodes;
mod place;
pub mod receipt;
mod remote;

/// `--config FILE` serves.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    /// The configuration to serve with.
    #[arg(long, short, value_name = "FILE", env = "QUORATE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Check a configuration, and list everything that is wrong with it.
    CheckConfig {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make, list and revoke keys.
    Key(key::Command),
    /// List the nodes that joined, look at one, send it away or let it come back.
    Nodes(nodes::Command),
    /// Check receipts, show one, and replace the key they are signed with.
    Receipt(receipt::Command),
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of faults is part of the message, one a line.
    #[error("{}:\n{fault}", file.display())]
    Config { file: PathBuf, fault: config::Error },
    #[error(transparent)]
    Key(#[from] key::Error),
    #[error(transparent)]
    Nodes(#[from] nodes::Error),
    #[error(transparent)]
    Receipt(#[from] receipt::Error),
    #[error("which configuration? Give --config FILE")]
    NoConfig,
    #[error(transparent)]
    Serve(#[from] serve::Error),
    #[error("cannot print the document")]
    Document(#[from] serde_json::Error),
    #[error("cannot write the output")]
    Stdout(#[from] io::Error),
}

/// Runs a command; serving ends with SIGTERM or SIGINT. Standard output gets a line when ready
/// (`listening on http://…`), and one where nodes may join (`nodes join at https://…#KEY`);
/// everything else is logged.
///
/// # Errors
/// The configuration is wrong, or the gateway can't start.
pub async fn run(command: Command) -> Result<(), Error> {
    match command.other {
        Some(Other::CheckConfig { file }) => {
            let settings = load(file.clone())?;
            for warning in settings.warnings() {
                writeln!(io::stderr().lock(), "warning: {warning}")?;
            }
            writeln!(io::stdout().lock(), "{}: ok", file.display())?;
        }
        Some(Other::Openapi) => {
            writeln!(io::stdout().lock(), "{}", http::document().to_pretty_json()?)?;
        }
        Some(Other::Key(command)) => key::run(command).await?,
        Some(Other::Nodes(command)) => nodes::run(command).await?,
        Some(Other::Receipt(command)) => receipt::run(command).await?,
        None => serve_until_signal(command.config.ok_or(Error::NoConfig)?).await?,
    }
    Ok(())
}

async fn serve_until_signal(file: PathBuf) -> Result<(), Error> {
    let settings = load(file)?;
    // A process that already logs, because the gateway is embedded in it, goes on as it does.
    let _ = telemetry::init(&settings.telemetry);
    let signals = serve::Signals::listen()?;
    let running = serve::serve(settings).await?;
    {
        let mut out = io::stdout().lock();
        writeln!(out, "listening on http://{}", running.addr)?;
        if let Some(url) = running.join_url() {
            writeln!(out, "nodes join at {url}")?;
        }
        out.flush()?;
    }
    running.until(signals).await;
    Ok(())
}

fn load(file: PathBuf) -> Result<config::Settings, Error> {
    config::load(&file).map_err(|fault| Error::Config { file, fault })
}
