//! The binary as its operator lives with it: first start, status, prices read again, its end.

use crate::gateway::{Gateway, MODEL};
use openapi::node::control::{ToGateway, ToNode};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

struct Process {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
}

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-provider"));
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

impl Process {
    fn start(config: &Path, data: &Path, url: &str) -> Self {
        let mut child = binary()
            .args(["--listen", "127.0.0.1:0", "--gateway", url])
            .arg("--config")
            .arg(config)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, stderr }
    }

    /// Everything on standard error up to a line with `needle`.
    async fn until(&mut self, needle: &str) -> String {
        let mut text = String::new();
        while let Some(line) = self.stderr.next_line().await.unwrap() {
            text.push_str(&line);
            text.push('\n');
            if line.contains(needle) {
                return text;
            }
        }
        panic!("`{needle}` is not in\n{text}");
    }

    async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }
}

pub(crate) async fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
}

async fn run(arguments: &[&str], data: &Path) -> Output {
    binary().args(arguments).arg("--data").arg(data).output().await.unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn config(price: &str) -> String {
    format!(
        "[engine]\nkind = \"scripted\"\nmodel_id = \"{MODEL}\"\n[offer]\nprice_in = {price}\nprice_out = {price}\n"
    )
}

#[tokio::test]
async fn from_the_first_start_to_the_last_signal() {
    let mut gateway = Gateway::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("provider.toml"), folder.path().join("data"));
    std::fs::write(&file, config("0.05")).unwrap();
    let mut process = Process::start(&file, &data, &gateway.pinned());
    let told = process.until("How it stands").await;
    let hello = gateway.heard().await.hello;
    let operator = hello.delegation.claims().unwrap().operator;
    for expected in [
        "first start",
        &data.join("node.key").display().to_string(),
        &data.join("operator.key").display().to_string(),
        &format!("node     {}", hello.node),
        &format!("operator {operator}"),
        &format!("{MODEL} at $0.05 in, $0.05 out per million tokens"),
        &format!("https://{}, known by its key {}", gateway.addr, gateway.key.public().short()),
    ] {
        assert!(told.contains(expected), "`{expected}` is not in\n{told}");
    }
    let identity = text(&run(&["identity"], &data).await);
    assert_eq!(identity, format!("node     {}\noperator {operator}\n", hello.node));

    let tunnel = gateway.tunnel().await;
    let mut control = tunnel.control().await;
    let Some(ToGateway::Heartbeat { sequence, .. }) = control.next().await else { panic!() };
    control.say(&ToNode::Renewed { sequence }).await;
    // A pong says that what was said before it was heard.
    control.say(&ToNode::Ping { sequence: 1 }).await;
    assert_eq!(control.news().await, Some(ToGateway::Pong { sequence: 1 }));
    let shown = text(&run(&["status"], &data).await);
    for expected in [": connected\n", "on probation for", "renewed ", "(verified)"] {
        assert!(shown.contains(expected), "`{expected}` is not in\n{shown}");
    }
    let shown = text(&run(&["status", "--json"], &data).await);
    let status: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(status["member"]["gateways"][0]["phase"], "connected", "{shown}");
    assert!(!shown.contains(&tunnel.token));

    std::fs::write(&file, config("-1")).unwrap();
    process.signal("-HUP").await;
    let refused = process.until("the old prices stay").await;
    assert!(refused.contains("offer.price_in"), "{refused}");
    std::fs::write(&file, config("0.07")).unwrap();
    process.signal("-HUP").await;
    let Some(ToGateway::Offer { offer }) = control.news().await else { panic!("an offer") };
    assert_eq!(offer.open(&hello.node).unwrap().prices[0].prompt_pusd, 70_000);

    process.signal("-TERM").await;
    assert!(matches!(control.news().await, Some(ToGateway::Drain { .. })));
    assert!(process.child.wait().await.unwrap().success());
    let gone = run(&["status"], &data).await;
    assert!(!gone.status.success());
    assert!(String::from_utf8_lossy(&gone.stderr).contains("is it running?"), "{gone:?}");

    // Who it was, it stays, and its offers go on counting.
    let mut process = Process::start(&file, &data, &gateway.pinned());
    let again = gateway.heard().await.hello;
    assert_eq!(again.node, hello.node);
    let (before, after) = (hello.offer.claims().unwrap(), again.offer.claims().unwrap());
    assert!(after.sequence > before.sequence);
    let log = process.until("joined").await;
    assert!(!log.contains("first start"), "{log}");
}

#[tokio::test]
async fn one_data_folder_is_one_process_s() {
    let mut gateway = Gateway::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("provider.toml");
    std::fs::write(&file, config("0")).unwrap();
    let mut first = Process::start(&file, folder.path(), &gateway.pinned());
    gateway.heard().await;
    let told = first.until("How it stands").await;
    assert!(told.contains("Nothing is charged"), "{told}");
    let mut second = Process::start(&file, folder.path(), &gateway.pinned());
    second.until("another provider uses").await;
    assert!(!second.child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_delegation_stands_in_for_the_operator_s_key() {
    let mut gateway = Gateway::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let (office, node) = (folder.path().join("office"), folder.path().join("node"));
    let words = |output: &Output| -> Vec<String> {
        text(output).split_whitespace().map(str::to_owned).collect()
    };
    let operator = words(&run(&["identity"], &office).await)[3].clone();
    let key = office.join("operator.key").display().to_string();
    identity::key::load_or_create(&node.join("node.key")).unwrap();
    let public = identity::key::load(&node.join("node.key")).unwrap().public().to_string();
    let output = binary().args(["delegate", "--operator-key", &key, &public]).output().await;
    std::fs::write(node.join("delegation.json"), text(&output.unwrap())).unwrap();
    let file = folder.path().join("provider.toml");
    std::fs::write(&file, config("0")).unwrap();
    let _process = Process::start(&file, &node, &gateway.pinned());
    let hello = gateway.heard().await.hello;
    assert_eq!(hello.node.to_string(), public);
    assert_eq!(hello.delegation.claims().unwrap().operator.to_string(), operator);
    assert!(!node.join("operator.key").exists());
}

#[tokio::test]
async fn a_delegation_counts_though_identity_made_an_operator_s_key_beside_it() {
    let mut gateway = Gateway::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    let (office, node) = (folder.path().join("office"), folder.path().join("node"));
    let mut keys = Vec::new();
    for folder in [&office, &node] {
        let shown = text(&run(&["identity"], folder).await);
        keys.extend(shown.split_whitespace().map(str::to_owned));
    }
    let (operator, public) = (&keys[3], &keys[5]);
    let key = office.join("operator.key").display().to_string();
    let output = binary().args(["delegate", "--operator-key", &key, public]).output().await;
    std::fs::write(node.join("delegation.json"), text(&output.unwrap())).unwrap();
    let file = folder.path().join("provider.toml");
    std::fs::write(&file, config("0")).unwrap();
    let _process = Process::start(&file, &node, &gateway.pinned());
    let hello = gateway.heard().await.hello;
    assert_eq!(hello.delegation.claims().unwrap().operator.to_string(), *operator);
    let shown = text(&run(&["identity"], &node).await);
    assert_eq!(shown, format!("node     {public}\noperator {operator}\n"));
}

#[tokio::test]
async fn a_gateway_can_t_take_over_its_operator_s_terminal_or_fill_the_log() {
    const EVIL: &str = "\u{1b}]0;evil\u{7}\u{1b}[2J\r\u{9b}31m";
    let twist = |granted: &mut openapi::node::Granted| {
        granted.provider = format!("me{EVIL}");
        granted.selling[0].name.push_str(EVIL);
    };
    let lies = crate::gateway::Manner { twist, ..crate::gateway::manner(1) };
    let mut gateway = Gateway::with(1, lies).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("provider.toml"), folder.path().join("data"));
    std::fs::write(&file, config("0")).unwrap();
    let mut process = Process::start(&file, &data, &gateway.pinned());
    let tunnel = gateway.tunnel().await;
    let mut control = tunnel.control().await;
    let report = openapi::node::control::Report {
        standing: openapi::node::Standing::Ejected,
        requests: 0,
        failures: 0,
        tokens: 0,
        prefill_tps: None,
        decode_tps: None,
        rtt_ms: None,
        note: Some(format!("a note{EVIL}")),
    };
    control.say(&ToNode::Report { report }).await;
    for sequence in 0..100 {
        let reason = Some(format!("too dear{EVIL}"));
        control.say(&ToNode::OfferSeen { sequence, reason }).await;
    }
    control.say(&ToNode::Ping { sequence: 1 }).await;
    assert_eq!(control.news().await, Some(ToGateway::Pong { sequence: 1 }));
    let shown = text(&run(&["status"], &data).await);
    for expected in ["too dear", "a note", "as me"] {
        assert!(shown.contains(expected), "{shown}");
    }
    control.say(&ToNode::Bye { reason: format!("go{EVIL}"), retry: false }).await;
    let log = process.until("told not to come back").await;
    let shown = shown + &text(&run(&["status"], &data).await);
    assert!(shown.contains("it sent this node away: go"), "{shown}");
    let is_evil = |c: char| c.is_control() && c != '\n';
    assert!(!shown.contains(is_evil), "{shown:?}");
    let lines = log.matches("the offer is refused").count();
    assert!((1..=60).contains(&lines), "{lines} lines");
}
