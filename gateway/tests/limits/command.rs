//! `key create | list | revoke` as a process: beside a running gateway, and without one.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::harness::{get, settings};

const BINARY: &str = env!("CARGO_BIN_EXE_quorate-gateway");

/// A gateway process; killed when a test fails before it ended it.
struct Process {
    child: Child,
    addr: std::net::SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves, with everything it logs in `log`.
fn serve(data: &Path) -> Process {
    let log = std::fs::File::options().append(true).create(true).open(data.join("log"));
    serve_by(Command::new(BINARY).stderr(log.expect("a log")), data)
}

/// Serves by a command that takes the gateway's arguments.
fn serve_by(command: &mut Command, data: &Path) -> Process {
    let config = data.join("gateway.toml");
    let addr = "127.0.0.1:1".parse().expect("an address");
    let telemetry = "[telemetry]\nlevel = \"trace\"\nformat = \"json\"";
    std::fs::write(&config, settings(data, addr, telemetry)).expect("written");
    let command = command.arg("--config").arg(&config).stdout(Stdio::piped());
    let mut child = command.spawn().expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let addr = line.trim().strip_prefix("listening on http://").expect("the ready line");
    Process { child, addr: addr.parse().expect("an address") }
}

fn key(data: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("key").args(args).env_remove("RUST_BACKTRACE").env_remove("QUORATE_CONFIG");
    command.env_remove("XDG_DATA_HOME").env("HOME", data.join("home")).output().expect("runs")
}

/// What a command that succeeds prints.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text").trim().to_owned()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[tokio::test]
async fn beside_a_running_gateway_and_without_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let at = data.to_str().expect("text");
    // Before the first start: the store is opened directly.
    let early = said(&key(data, &["create", "--name", "early", "--data", at]));
    assert!(early.starts_with("qk_") && early.len() == 67, "the key alone: {early}");

    let process = serve(data);
    assert_eq!(get(process.addr, &early, "/v1/key").await.json()["name"], "early");
    let args = ["create", "--name", "late", "--requests-per-minute", "5", "--models", "a,b*"];
    let late = said(&key(data, &[&args[..], &["--data", at]].concat()));
    let own = get(process.addr, &late, "/v1/key").await.json();
    assert_eq!(own["limits"]["requests_per_minute"], 5);
    assert_eq!(own["scope"]["models"], serde_json::json!(["a", "b*"]));

    let config = data.join("gateway.toml");
    let by_config = ["list", "--config", config.to_str().expect("text")];
    let list = said(&key(data, &by_config));
    assert!(list.contains("early") && list.contains("5 requests/min"), "{list}");
    assert!(!list.contains(&late[8..60]) && !list.contains(&early[8..60]), "{list}");

    said(&key(data, &["revoke", "early", "--data", at]));
    assert_eq!(get(process.addr, &early, "/v1/key").await.status, 401);
    assert_eq!(get(process.addr, &late, "/v1/key").await.status, 200);
    let twice = complaint(&key(data, &["create", "--name", "late", "--data", at]));
    assert!(twice.contains("exists already"), "{twice}");
    let unknown = complaint(&key(data, &["revoke", "early", "--data", at]));
    assert!(unknown.contains("no key with the id or name"), "{unknown}");

    drop(process);
    // Killed, not stopped; and the admin API is gone.
    let json = said(&key(data, &["list", "--json", "--data", at]));
    let list: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    let id = list["data"][0]["id"].as_str().expect("an id");
    said(&key(data, &["revoke", id, "--data", at]));
    let process = serve(data);
    assert_eq!(get(process.addr, &late, "/v1/key").await.status, 401);
    drop(process);

    let log = std::fs::read_to_string(data.join("log")).expect("a log");
    assert!(log.contains("\"DEBUG\"") && log.contains("key made"), "it was logged");
    let token = std::fs::read_to_string(data.join("admin_token")).expect("a token");
    for secret in [&early[8..60], &late[8..60], token.trim()] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

/// Files can't grow beyond a limit, as on a disk that is full; then they can.
#[tokio::test]
async fn a_disk_that_was_full_keeps_no_key_valid() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let at = data.to_str().expect("text");
    let mut full = Command::new("sh");
    full.args(["-c", "ulimit -Sf 256; trap '' XFSZ; exec \"$0\" \"$@\"", BINARY]);
    let process = serve_by(full.stderr(Stdio::null()), data);
    let leaked = said(&key(data, &["create", "--name", "leaked", "--data", at]));
    let models: Vec<String> = (0..60).map(|number| format!("{number:0>200}")).collect();
    let made = (0..60).find(|number| {
        let (name, models) = (format!("key {number}"), models.join(","));
        let args = ["create", "--name", &name, "--models", &models, "--data", at];
        !key(data, &args).status.success()
    });
    assert!(made.is_some(), "the disk is full");

    let pid = process.child.id().to_string();
    let freed = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(freed.expect("runs").success());
    said(&key(data, &["revoke", "leaked", "--data", at]));
    assert_eq!(get(process.addr, &leaked, "/v1/key").await.status, 401);
    said(&key(data, &["create", "--name", "next", "--data", at]));
    let list = said(&key(data, &["list", "--data", at]));
    assert!(list.contains("next") && list.contains("key 0") && !list.contains("leaked"), "{list}");
}

#[tokio::test]
async fn the_data_home_is_where_it_looks_when_nobody_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    said(&key(data, &["create", "--name", "a"]));
    assert!(data.join("home/.local/share/quorate/keys.redb").is_file());
    assert!(said(&key(data, &["list"])).contains("key_"));
}

#[tokio::test]
async fn what_is_wrong_is_said_plainly() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let at = data.to_str().expect("text");
    let many = ["create", "--name", "", "--choices-max", "200", "--models", "*a", "--data", at];
    let all = complaint(&key(data, &many));
    for member in ["name: ", "choices_max: ", "models: "] {
        assert!(all.contains(member), "{member} in {all}");
    }
    // Another process has the store, and is no gateway.
    let held = gateway::store::File::open(data).expect("opens");
    let busy = complaint(&key(data, &["list", "--data", at]));
    assert!(busy.contains("--admin"), "{busy}");
    std::fs::write(data.join("admin_token"), format!("qa_{}\n", "0".repeat(64))).expect("written");
    let silent = complaint(&key(data, &["list", "--data", at, "--admin", "http://127.0.0.1:1"]));
    assert!(silent.contains("does not answer"), "{silent}");
    let wrong = complaint(&key(data, &["list", "--data", at, "--admin", "ftp://x"]));
    assert!(wrong.contains("http://HOST:PORT"), "{wrong}");
    // A gateway, but another folder's.
    let other = tempfile::tempdir().expect("a folder");
    let process = serve(other.path());
    let theirs = std::fs::read_to_string(other.path().join("admin_addr")).expect("an address");
    let stranger = complaint(&key(data, &["list", "--data", at, "--admin", theirs.trim()]));
    assert!(stranger.contains("another gateway"), "{stranger}");
    drop((held, process));
    std::fs::write(data.join("keys.redb"), "spoilt").expect("written");
    let damaged = complaint(&key(data, &["list", "--data", at]));
    assert!(damaged.contains("is damaged"), "{damaged}");
}
