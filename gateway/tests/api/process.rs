//! The binary: its commands, its signals, and a machine without file descriptors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::file;

const BINARY: &str = env!("CARGO_BIN_EXE_quorate-gateway");

/// A gateway process; killed when a test fails before it ended it.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) addr: String,
    _data: tempfile::TempDir,
}

/// Starts it from a shell that runs `prelude` first, with `more` in its configuration.
pub(crate) fn start(prelude: &str, more: &str) -> Process {
    let data = tempfile::tempdir().expect("a folder");
    let config = data.path().join("gateway.toml");
    std::fs::write(&config, file(&data, more)).expect("written");
    let mut child = Command::new("sh")
        .args(["-c", &format!("{prelude} exec \"$0\" --config \"$1\""), BINARY])
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let addr = line.trim().strip_prefix("listening on http://").expect("the ready line").to_owned();
    Process { child, addr, _data: data }
}

impl Process {
    pub(crate) fn get(&self, path: &str) -> std::io::Result<String> {
        let mut socket = TcpStream::connect(&self.addr)?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(args: &[&str]) -> Output {
    Command::new(BINARY).args(args).env_remove("RUST_BACKTRACE").output().expect("runs")
}

#[test]
fn sigterm_and_sigint_end_it_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let mut process = start("", "");
        assert!(process.get("/readyz").expect("answered").starts_with("HTTP/1.1 200"));
        process.signal(signal);
        assert!(process.child.wait().expect("ended").success(), "{signal}");
    }
}

#[test]
fn a_second_signal_cuts_the_drain_short() {
    let mut process = start("", "");
    // A client that asks for much and reads nothing keeps its connection busy.
    let mut stuck = TcpStream::connect(&process.addr).expect("connected");
    // Its own writes stand still once the gateway has stopped reading, which it does when it can't
    // write.
    stuck.set_write_timeout(Some(Duration::from_secs(2))).expect("set");
    while stuck.write(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n").is_ok() {}
    let log = BufReader::new(process.child.stderr.take().expect("piped"));
    let mut lines = log.lines().map_while(Result::ok);
    process.signal("-TERM");
    assert!(lines.any(|line| line.contains("draining")));
    assert!(process.child.try_wait().expect("a status").is_none(), "it waits for the client");
    process.signal("-TERM");
    assert!(lines.any(|line| line.contains("second signal")));
    assert!(lines.any(|line| line.contains("cut")));
    assert!(process.child.wait().expect("ended").success());
}

#[test]
fn without_file_descriptors_it_waits_and_serves_again() {
    let mut process = start("ulimit -n 24;", "");
    let held: Vec<TcpStream> =
        (0..64).filter_map(|_| TcpStream::connect(&process.addr).ok()).collect();
    assert!(held.len() > 24, "more connections than the process can hold");
    let log = BufReader::new(process.child.stderr.take().expect("piped"));
    let refused = log.lines().map_while(Result::ok).find(|l| l.contains("cannot accept"));
    assert!(refused.is_some_and(|line| line.contains("backoff")), "it says so, and lives");
    drop(held);
    assert!(process.get("/readyz").expect("answered").starts_with("HTTP/1.1 200"));
}

#[test]
fn check_config_lists_everything_and_fails() {
    let data = tempfile::tempdir().expect("a folder");
    let bad = data.path().join("bad.toml");
    std::fs::write(&bad, "[limits]\nattempts = 0\n[server]\nlisten = \"x\"\nwhat = 1")
        .expect("written");
    let output = run(&["check-config", bad.to_str().expect("text")]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).expect("text");
    for path in ["limits.attempts: ", "server.listen: ", "server.what: "] {
        assert_eq!(said.matches(path).count(), 1, "{path} in {said}");
    }
    let good = data.path().join("good.toml");
    std::fs::write(&good, file(&data, "")).expect("written");
    let output = run(&["check-config", good.to_str().expect("text")]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).ends_with(": ok\n"));
}

#[test]
fn a_missing_file_and_a_missing_option_are_said_plainly() {
    let output = run(&["--config", "no/such/file.toml"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no/such/file.toml"));
    let output = run(&[]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--config"));
}

#[test]
fn openapi_prints_the_document() {
    let output = run(&["openapi"]);
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(printed, gateway::http::document().to_pretty_json().expect("JSON") + "\n");
}
