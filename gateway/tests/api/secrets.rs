//! Keys and prompts reach no log, no metric and no Debug text, at any level.

use gateway::http::Edge;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{KEY, UPSTREAM_KEY, ask, gateway, get, settings};

/// Nobody has it, and it is nearly right.
const WRONG_KEY: &str = "qk_0123456789abcdeX";

const PROMPT: &str = "canary prompt nobody may see";

fn assert_clean(what: &str, text: &str) {
    for secret in [KEY, WRONG_KEY, UPSTREAM_KEY, PROMPT] {
        assert!(!text.contains(secret), "{secret} is in the {what}: {text}");
    }
}

async fn http1(addr: &str, path: &str, key: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.expect("connected");
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("answered");
    answer
}

/// A completion that no provider can answer: none is there.
async fn ask_chat(addr: &str) -> String {
    let body = format!(
        r#"{{"model":"pip","stream":true,"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
    );
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(addr).await.expect("connected");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
    answer
}

async fn http2(addr: &str, path: &str, key: &str) -> String {
    let socket = TcpStream::connect(addr).await.expect("connected");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .expect("a handshake");
    let request = http::Request::get(format!("http://h{path}"))
        .header("authorization", format!("Bearer {key}"))
        .body(Empty::<bytes::Bytes>::new())
        .expect("a request");
    let exchange = async move {
        let answer = sender.send_request(request).await.expect("answered");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        String::from_utf8(body.to_vec()).expect("text")
    };
    tokio::join!(exchange, connection).0
}

#[tokio::test]
async fn keys_and_prompts_are_in_no_answer_and_no_log_line_at_the_lowest_level() {
    let data = tempfile::tempdir().expect("a folder");
    // A file: a pipe that nobody empties would hold the gateway up.
    let file = data.path().join("log");
    let to_file = format!("exec 2>'{}';", file.display());
    let telemetry = "[telemetry]\nlevel = \"trace\"\nformat = \"json\"";
    let mut process = crate::process::start(&to_file, telemetry);
    for path in ["/v1/models", "/v1/models/nope", "/v1/nope"] {
        for key in [KEY, WRONG_KEY] {
            assert_clean("answer", &http1(&process.addr, path, key).await);
            assert_clean("answer", &http2(&process.addr, path, key).await);
        }
    }
    assert_clean("answer", &ask_chat(&process.addr).await);
    process.signal("-TERM");
    assert!(process.child.wait().expect("ended").success());
    let log = std::fs::read_to_string(&file).expect("written");
    assert!(log.contains("\"TRACE\"") && log.contains("answered"), "all was logged: {log}");
    assert_clean("log", &log);
}

#[tokio::test]
async fn a_key_is_in_no_metric_and_no_debug_text() {
    let gateway = gateway("");
    ask(&gateway.client, get("/v1/models")).await;
    ask(&gateway.client, get("/v1/models/nope")).await;
    assert_clean("metrics", &gateway.app.metrics.encode());
    let data = tempfile::tempdir().expect("a folder");
    assert_clean("settings", &format!("{:?}", settings(&data, "")));
    let debug = format!("{:?} {:?} {:?}", gateway.app, gateway.client, gateway.admin);
    assert_clean("debug text", &debug);
    assert!(!debug.contains(&gateway.token), "nor is the admin token");
    assert!(format!("{:?}", Edge::client(&gateway.app)).contains("alice"), "names are");
}
