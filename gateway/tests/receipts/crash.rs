//! A gateway that is killed: what anybody could read is still there.

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt as _;
use openapi::receipt::{Keys, verify};
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Answer, KEY, MODEL, call, chat, read, settings};

const BINARY: &str = env!("CARGO_BIN_EXE_quorate-gateway");

/// A gateway process; killed with the test.
struct Process {
    child: Child,
    addr: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(data: &Path, provider: SocketAddr) -> Process {
    let config = data.join("gateway.toml");
    std::fs::write(&config, settings(data, &[provider], "")).expect("written");
    let log = std::fs::File::options().append(true).create(true).open(data.join("log"));
    let mut command = Command::new(BINARY);
    command.arg("--config").arg(&config).stdout(Stdio::piped()).stderr(log.expect("a log"));
    let mut child = command.spawn().expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let addr = line.trim().strip_prefix("listening on http://").expect("the ready line");
    Process { child, addr: addr.parse().expect("an address") }
}

async fn get(addr: SocketAddr, path: &str) -> Answer {
    read(call(addr, KEY, Method::GET, path, Bytes::new()).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_read_once_survives_a_kill_and_one_that_was_not_is_gone() {
    let script = json!({"tokens": 50, "stall_after": 2, "stall_ms": 3_600_000});
    let provider = provider::testing::scripted(MODEL, script).await.expect("serves");
    let data = tempfile::tempdir().expect("a folder");
    let process = serve(data.path(), provider.addr);
    let begin = async || {
        let body = Bytes::from(chat(json!({"stream": true})).to_string());
        let mut answer = call(process.addr, KEY, Method::POST, "/v1/chat/completions", body).await;
        let id = answer.headers()["x-quorate-receipt"].to_str().expect("text").to_owned();
        answer.body_mut().frame().await.expect("a frame").expect("whole");
        (format!("/v1/receipts/{id}"), answer)
    };
    let (finished, answer) = begin().await;
    drop(answer);
    let written = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let receipt = get(process.addr, &finished).await;
            if receipt.status.is_success() {
                return receipt.body;
            }
        }
    };
    let receipt = tokio::time::timeout(Duration::from_secs(60), written).await.expect("written");
    let (pending, open) = begin().await;
    assert_eq!(get(process.addr, &pending).await.code(), "receipt_pending");
    drop(process);
    drop(open);
    let process = serve(data.path(), provider.addr);
    assert_eq!(get(process.addr, &finished).await.body, receipt);
    assert_eq!(get(process.addr, &pending).await.code(), "receipt_not_found");
    let keys: Keys =
        serde_json::from_slice(&get(process.addr, "/v1/receipts/keys").await.body).expect("keys");
    let keys: Vec<_> = keys.data.into_iter().map(|key| key.key).collect();
    verify(&receipt, None, None, &keys).expect("it holds");
}
