//! The provider's commands, for its own binary and for `quorate provider`.

mod identity;
mod introduce;
mod status;

use crate::app;
use crate::config::{self, Flags, Settings};
use crate::http;
use crate::shutdown::{Signals, Wish};
use crate::telemetry;
use clap::{Args, Subcommand};
use secrecy::SecretString;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What a GPU owner runs. Without a subcommand it serves.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    #[command(subcommand)]
    sub: Option<Sub>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Clone, Subcommand)]
enum Sub {
    /// Serve a model, a foreign server or a script.
    Serve(Box<Serve>),
    /// Print the HTTP contract.
    Openapi,
    /// Show how a running provider stands with its gateways.
    Status(status::Args),
    /// Print the public keys of a data folder; makes them where there are none.
    Identity(identity::Args),
    /// Print the operator's word that a node is its own, for the node's delegation.json.
    Delegate(identity::Delegate),
}

/// Flags of `serve`; each wins over the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// mistral, upstream or scripted.
    #[arg(long)]
    pub engine: Option<String>,
    /// A folder with safetensors, a GGUF file or a hub id; with upstream the model's name there.
    #[arg(long)]
    pub model: Option<String>,
    /// The name under which the model is served.
    #[arg(long)]
    pub model_id: Option<String>,
    /// A second model, which makes embeddings: a folder with safetensors and modules.json.
    #[arg(long)]
    pub embedding_model: Option<String>,
    /// The name under which it is served.
    #[arg(long)]
    pub embedding_model_id: Option<String>,
    /// Address and port; port 0 takes a free one.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// TOML file.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Base URL of the OpenAI-compatible server to front: http://127.0.0.1:8000/v1.
    #[arg(long)]
    pub upstream: Option<String>,
    /// JSON file with the script to play.
    #[arg(long)]
    pub script: Option<PathBuf>,
    /// Jobs that run at once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_concurrent: Option<u32>,
    /// Folder for identity and state [default: a folder in the user's data home].
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// A gateway to join, its key after `#` if it is pinned: https://host:7443#KEY. Repeatable.
    #[arg(long = "gateway", value_name = "URL")]
    pub gateways: Vec<String>,
    /// Shown to gateways that want one.
    #[arg(long, env = "QUORATE_JOIN_TOKEN", hide_env_values = true)]
    pub join_token: Option<String>,
    /// Where this machine is: eu-west.
    #[arg(long)]
    pub region: Option<String>,
    /// When rented capacity ends: 2026-12-31T23:00:00Z, or Unix seconds.
    #[arg(long, value_name = "TIME")]
    pub lease_expires_at: Option<String>,
    /// Dollars per million prompt tokens.
    #[arg(long, value_name = "DOLLARS")]
    pub price_in: Option<f64>,
    /// Dollars per million answer tokens.
    #[arg(long, value_name = "DOLLARS")]
    pub price_out: Option<f64>,
    /// The operator's key, where it is not the data folder's own.
    #[arg(long, value_name = "FILE")]
    pub operator_key: Option<PathBuf>,
    /// End when standard input closes, so as not to outlive the process that started this one.
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    App(#[from] app::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it can't be printed: {0}")]
    Contract(#[from] serde_json::Error),
    #[error(transparent)]
    Identity(#[from] crate::identity::Error),
    #[error(transparent)]
    Key(#[from] ::identity::key::Error),
    #[error("{0}")]
    Status(String),
}

/// Runs a command to its end.
pub async fn run(command: Command) -> Result<(), Error> {
    match command.sub {
        Some(Sub::Openapi) => openapi(),
        Some(Sub::Status(args)) => status::run(args).await,
        Some(Sub::Identity(args)) => identity::print(&args),
        Some(Sub::Delegate(args)) => identity::delegate(&args),
        Some(Sub::Serve(flags)) => serve(*flags).await,
        None => serve(command.serve).await,
    }
}

fn openapi() -> Result<(), Error> {
    writeln!(io::stdout(), "{}", contract()?)?;
    Ok(())
}

/// The contract as committed.
pub fn contract() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&http::document())
}

async fn serve(flags: Serve) -> Result<(), Error> {
    app::install_crypto();
    telemetry::install();
    let settings = Settings::load(flags.config.as_deref(), &overrides(&flags))?;
    if flags.exit_with_parent {
        exit_with_parent()?;
    }
    let mut signals = Signals::install()?;
    if !settings.market.gateways.is_empty() {
        signals.reload_on_hangup()?;
    }
    let running = tokio::select! {
        running = app::start(&settings) => running?,
        () = signals.recv() => return Ok(()),
    };
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on http://{}", running.addr)?;
    stdout.flush()?;
    tracing::info!(addr = %running.addr, "serving");
    introduce::say(&running, &settings, &mut io::stderr())?;
    while signals.next().await == Wish::Reload {
        reload(&flags, &running);
    }
    tracing::info!("draining; a second signal ends at once");
    tokio::select! {
        () = running.stop() => tracing::info!("drained"),
        () = signals.recv() => running.shutdown.kill(),
    }
    Ok(())
}

/// Prices and the end of rented capacity are read again; the rest of the file must be good, but counts
/// from the next start on.
fn reload(flags: &Serve, running: &app::Running) {
    match Settings::load(flags.config.as_deref(), &overrides(flags)) {
        Ok(settings) => {
            let market = settings.market;
            if let Err(error) = running.reprice(market.offer, market.lease_ends_ms) {
                tracing::error!(%error, "the old prices stay");
            }
        }
        Err(error) => tracing::error!(%error, "the configuration is refused; the old prices stay"),
    }
}

fn overrides(flags: &Serve) -> Flags {
    Flags {
        engine: flags.engine.clone(),
        model: flags.model.clone(),
        model_id: flags.model_id.clone(),
        embedding_model: flags.embedding_model.clone(),
        embedding_model_id: flags.embedding_model_id.clone(),
        listen: flags.listen,
        upstream: flags.upstream.clone(),
        script: flags.script.clone(),
        max_concurrent: flags.max_concurrent.and_then(|count| usize::try_from(count).ok()),
        data: flags.data.clone(),
        gateways: flags.gateways.clone(),
        join_token: flags.join_token.clone().map(SecretString::from),
        region: flags.region.clone(),
        lease_expires_at: flags.lease_expires_at.clone(),
        price_in: flags.price_in,
        price_out: flags.price_out,
        operator_key: flags.operator_key.clone(),
    }
}

/// A thread of its own: it must work while the runtime is busy or stuck.
fn exit_with_parent() -> io::Result<()> {
    std::thread::Builder::new().name("parent-watch".to_owned()).spawn(|| {
        let mut buffer = [0u8; 256];
        while matches!(io::stdin().read(&mut buffer), Ok(read) if read > 0) {}
        std::process::exit(0);
    })?;
    Ok(())
}
