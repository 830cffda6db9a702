//! One provider process: how it is started, when it is ready, how it ends.
//!
//! The child is this very binary. It is a process of its own so that it can be killed, and it ends
//! with its parent however that ends: its stdin is a pipe that only the parent holds.

use super::{Embedder, tail::Tail};
use anyhow::{Context as _, Result, bail};
use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use tokio_util::task::TaskTracker;

/// What a ready provider prints, before its address.
const READY: &str = "listening on http://";
/// No ready line is longer.
const READY_BYTES_MAX: u64 = 4096;
/// How long a provider that was asked to end may take before it is killed.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Everything a provider process is started with.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    /// The operator's name, as the gateway and the messages call it.
    pub(super) name: String,
    pub(super) program: PathBuf,
    /// A model folder, a GGUF file or a Hugging Face id.
    pub(super) model: String,
    pub(super) model_id: String,
    pub(super) embedder: Option<Embedder>,
    /// A configuration file for what no flag says.
    pub(super) config: Option<PathBuf>,
    pub(super) data: PathBuf,
    /// Where it joins, with the gateway's key.
    pub(super) gateway: String,
    pub(super) ready_within: Duration,
    /// Whether the child's log is shown as it is written.
    pub(super) verbose: bool,
}

/// A running provider that has said it is ready.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Held open for as long as the child is to run. Not left in `child`: waiting would close it.
    stdin: Option<ChildStdin>,
    pub(super) addr: SocketAddr,
    pub(super) tail: Tail,
}

// === impl Process ===

impl Process {
    /// Starts a provider on `listen` (port 0: any free one) and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time; with what it wrote to stderr.
    pub(super) async fn start(
        spec: &Spec,
        listen: SocketAddr,
        tracker: &TaskTracker,
    ) -> Result<Self> {
        let mut child = command(spec, listen)
            .spawn()
            .with_context(|| format!("cannot start {}", spec.program.display()))?;
        let stdin = child.stdin.take();
        let tail = Tail::default();
        if let Some(stderr) = child.stderr.take() {
            tracker.spawn(tail.clone().follow(stderr, spec.verbose));
        }
        let stdout = child.stdout.take().context("the child has no stdout")?;
        let name = &spec.name;
        let addr = tokio::select! {
            ready = timeout(spec.ready_within, read_addr(stdout, tracker)) => match ready {
                Ok(addr) => addr,
                Err(_) => bail!(
                    "provider {name} was not ready within {} s; it wrote:\n{}",
                    spec.ready_within.as_secs(),
                    tail.indented()
                ),
            },
            status = child.wait() => {
                let status = status?;
                // What was in flight when it ended is still being read.
                tokio::task::yield_now().await;
                bail!("provider {name} ended at its start ({status}); it wrote:\n{}", tail.indented())
            }
        };
        match addr {
            Ok(addr) => Ok(Self { child, stdin, addr, tail }),
            Err(error) => {
                // Its stdout is closed: wait for the end, so that all it wrote is there to show.
                let _ended = timeout(END_WITHIN, child.wait()).await;
                bail!("provider {name} did not start: {error}; it wrote:\n{}", tail.indented())
            }
        }
    }

    /// The process id; `None` once it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks the process to end by closing its stdin, and kills it if it does not.
    pub(super) async fn stop(mut self) {
        drop(self.stdin.take());
        if timeout(END_WITHIN, self.child.wait()).await.is_err() {
            let _killed = self.child.kill().await;
        }
    }
}

fn command(spec: &Spec, listen: SocketAddr) -> Command {
    let mut command = Command::new(&spec.program);
    command
        .args(["provider", "serve", "--engine", "mistral", "--exit-with-parent"])
        .args(["--model", &spec.model, "--model-id", &spec.model_id])
        .arg("--listen")
        .arg(listen.to_string())
        .arg("--data")
        .arg(&spec.data)
        .args(["--gateway", &spec.gateway])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(Embedder { location, id }) = &spec.embedder {
        command.args(["--embedding-model", location, "--embedding-model-id", id]);
    }
    if let Some(file) = &spec.config {
        command.arg("--config").arg(file);
    }
    // Ctrl-C reaches the whole process group of a terminal; the gateway must drain before its
    // providers end, so they get a group of their own.
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// The address in the ready line. The rest of stdout is read and dropped, so that no write blocks.
async fn read_addr(stdout: ChildStdout, tracker: &TaskTracker) -> Result<SocketAddr> {
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    (&mut reader).take(READY_BYTES_MAX).read_line(&mut line).await?;
    let addr = line
        .trim()
        .strip_prefix(READY)
        .with_context(|| format!("instead of its address it printed {:?}", line.trim()))?
        .parse()
        .with_context(|| format!("no address in {:?}", line.trim()))?;
    tracker.spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    Ok(addr)
}
