//! Processes: the gateway's own binary, and providers. There is no binary of the provider's beside this
//! test that would be sure to be of the same build, so this test's own, which holds all of a provider,
//! is started again as one.

use clap::Parser;
use provider::cli::Command as ProviderCommand;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::market::guarded;

const GATEWAY: &str = env!("CARGO_BIN_EXE_quorate-gateway");
/// What a provider's process is told, an argument a line.
const ARGUMENTS: &str = "QUORATE_TEST_PROVIDER";

/// Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

pub(crate) fn gateway(config: &Path) -> Process {
    let mut command = Command::new(GATEWAY);
    command.arg("--config").arg(config);
    Process::start(command)
}

pub(crate) fn provider(arguments: &[String]) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("this test's binary"));
    command
        .args(["--exact", "process::this_binary_is_a_provider_too", "--nocapture"])
        .args(["--test-threads", "1"])
        .env(ARGUMENTS, arguments.join("\n"));
    Process::start(command)
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    command: ProviderCommand,
}

/// Where it was started as a provider, it is one until it is told to end. Otherwise it starts itself so.
#[test]
fn this_binary_is_a_provider_too() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match std::env::var(ARGUMENTS) {
        Ok(arguments) => {
            let cli = Cli::parse_from(std::iter::once("provider").chain(arguments.lines()));
            runtime.block_on(Box::pin(provider::cli::run(cli.command))).expect("it ends well");
        }
        Err(_) => runtime.block_on(guarded(async {
            let mut process = provider(&["openapi".to_owned()]);
            assert!(process.says("\"title\": ").await.contains("provider"));
        })),
    }
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .env_remove("RUST_BACKTRACE")
            // Closed when this process ends, however it does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// What follows `prefix` in the next line that has it.
    pub(crate) async fn says(&mut self, prefix: &str) -> String {
        while let Some(line) = self.lines.next_line().await.expect("text") {
            if let Some((_, rest)) = line.split_once(prefix) {
                return rest.trim().to_owned();
            }
        }
        panic!("it ended without a line that says {prefix:?}");
    }

    /// Sends a signal by its name, as a user would.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("kill").args([name, &pid]).status();
        assert!(status.expect("kill runs").success(), "kill {name}");
    }
}
