//! `receipt verify | show | rotate-key` as a process.

use http::Method;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::{KEY, chat, market};

const BINARY: &str = env!("CARGO_BIN_EXE_quorate-gateway");

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("receipt").args(args).env_remove("QUORATE_CONFIG").env_remove("RUST_BACKTRACE");
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().expect("runs")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
        + &String::from_utf8(output.stderr.clone()).expect("text")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_checked_offline() {
    let market = market("", &[json!({"tokens": 3})]).await;
    let request = chat(json!({"stream": true}));
    let answer = market.chat(&request).await;
    let receipt = market.receipt_of(&answer).await.body;
    let keys = market.get(KEY, "/v1/receipts/keys").await.body;
    let shown =
        run(&["show", answer.header("x-quorate-receipt"), "--data", text(market.data.path())]);
    let (data, _providers) = market.stop().await;
    let file = |name: &str, bytes: &[u8]| {
        let path = data.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let kept = file("receipt.json", &receipt);
    let keys = file("keys.json", &keys);
    let sent = file("request", request.to_string().as_bytes());
    let got = file("answer", &answer.body);
    let all = ["verify", text(&kept), "--keys", text(&keys)];
    let both = [&all[..], &["--request", text(&sent), "--response", text(&got)]].concat();
    let whole = run(&both);
    assert!(whole.status.success(), "{whole:?}");
    assert!(said(&whole).contains("the receipt holds"), "{whole:?}");
    // Printed anew by another tool it is the same receipt; also from standard input.
    let mut piped = command(&["verify", "-", "--keys", text(&keys)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    piped.stdin.take().expect("piped").write_all(&shown.stdout).expect("written");
    assert!(piped.wait().expect("ends").success(), "{shown:?}");
    let mut other = answer.body.to_vec();
    other[9] ^= 1;
    let other = file("other", &other);
    let refused = run(&[&all[..], &["--response", text(&other)]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("the answer is another one"), "{refused:?}");
    let bare = file("bare", format!("# nobody's\n{}\n", "ab".repeat(32)).as_bytes());
    let stranger = run(&["verify", text(&kept), "--keys", text(&bare)]);
    assert_eq!(stranger.status.code(), Some(1));
    assert!(said(&stranger).contains("none of those that are trusted"), "{stranger:?}");
    let nothing = run(&["verify", text(&keys), "--keys", text(&keys)]);
    assert!(!nothing.status.success() && said(&nothing).contains("no receipt"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_replaced_beside_a_running_gateway_and_without_one() {
    let market = market("", &[json!({"tokens": 1})]).await;
    let rotate = |data: &Path| {
        let output = run(&["rotate-key", "--data", text(data)]);
        assert!(output.status.success(), "{output:?}");
        said(&output).trim().to_owned()
    };
    let first = market.keys().await;
    let second = rotate(market.data.path());
    let keys = market.keys().await;
    assert_eq!((keys.len(), keys[0].to_string(), keys[1]), (2, second, first[0]));
    let admin = market.admin(Method::POST, "/admin/v1/receipts/rotate-key").await;
    assert!(admin.status.is_success());
    let (data, _providers) = market.stop().await;
    let last = rotate(data.path());
    assert!(!first.iter().any(|key| key.to_string() == last));
}
