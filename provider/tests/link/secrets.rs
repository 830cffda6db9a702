//! Tokens, keys, prompts and answers reach no log line at any level. The binary itself is run: its
//! log is its own alone.

use crate::gateway::{Gateway, MODEL, manner};
use crate::process::{binary, signal};
use crate::tunnel::{Tunnel, whole};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use openapi::node::control::{ToGateway, ToNode};
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

const PROMPT: &str = "canary-prompt-7f3a";
const ANSWER: &str = "canary-answer-51cc";
const JOIN: &str = "canary-join-token-0b1e";
const API_KEY: &str = "canary-api-key-99d2";
const WRONG_KEY: &str = "canary-wrong-key-18aa";

fn seed(file: &Path) -> String {
    hex::encode(identity::key::load(file).unwrap().seed())
}

/// Asks the plain listener.
async fn ask(addr: &str, key: &str) -> StatusCode {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]});
    let request = Request::post(format!("{addr}/v1/chat/completions"))
        .header("authorization", format!("Bearer {key}"))
        .body(Full::<bytes::Bytes>::from(body.to_string()));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request.unwrap()).await.unwrap();
    let status = answer.status();
    let _whole = answer.into_body().collect().await.unwrap();
    status
}

/// Two gateways, one with its token from the environment.
fn config(gateway: &Gateway, other: &Gateway) -> String {
    let gateways = [(gateway, "$SECRET_JOIN".to_owned()), (other, format!("{JOIN}-2"))];
    let gateways = gateways.map(|(gateway, token)| {
        let (addr, key) = (gateway.addr, gateway.key.public());
        format!(
            "[[gateway]]\nurl = \"https://{addr}\"\nkey = \"{key}\"\njoin_token = \"{token}\"\n"
        )
    });
    format!(
        "[server]\napi_key = \"{API_KEY}\"\n\
         [engine]\nkind = \"scripted\"\nmodel_id = \"{MODEL}\"\n{}",
        gateways.concat()
    )
}

/// Configurations that can't be used, some of them with a secret in the wrong place.
fn faulty(config: &str, operator: &str) -> [String; 5] {
    let pem = "-----BEGIN PRIVATE KEY-----\\ncanary-pem\\n-----END PRIVATE KEY-----";
    [
        format!("{config}join_token = \"canary-twice\"\n"),
        format!("{config}ca = \"canary-unclosed\n"),
        format!("{config}client_cert = \"{pem}\"\nclient_key = \"{pem}\"\n"),
        format!("{config}[node]\noperator_key = \"ed25519:{operator}\"\n"),
        format!("{config}[offer]\nprice_in = \"{JOIN}\"\n"),
    ]
}

/// Good requests, failing ones, and a bad one.
async fn serve(tunnel: &Tunnel) {
    for stream in [false, true] {
        for script in [json!({"text": ANSWER}), json!({"text": ANSWER, "error_after": 1})] {
            let messages = json!([{"role": "user", "content": PROMPT}]);
            let body =
                json!({"model": MODEL, "stream": stream, "messages": messages, "script": script});
            let answer = whole(tunnel.chat(body).await).await;
            assert!(answer.text.contains(ANSWER) || answer.status != 200, "{}", answer.text);
        }
    }
    let broken = json!({"model": MODEL, "messages": PROMPT});
    assert_eq!(whole(tunnel.chat(broken).await).await.status, 400);
}

#[tokio::test]
async fn canaries_stay_where_they_belong() {
    let mut gateway = Gateway::start(1).await;
    let refuses = Some((StatusCode::FORBIDDEN, "not_on_the_list"));
    let mut other = Gateway::with(2, crate::gateway::Manner { refuses, ..manner(2) }).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("provider.toml"), folder.path().join("data"));
    let config = config(&gateway, &other);
    fs::write(&file, &config).unwrap();
    let log = folder.path().join("log");
    let mut child = binary()
        .args(["--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .arg("--data")
        .arg(&data)
        .env("QUORATE_LOG", "trace")
        .env("SECRET_JOIN", JOIN)
        .stdout(Stdio::piped())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let addr = stdout.next_line().await.unwrap().unwrap();
    let addr = addr.strip_prefix("listening on ").unwrap();

    let joined = gateway.heard().await;
    assert_eq!(joined.authorization, Some(format!("Bearer {JOIN}")));
    assert_eq!(other.heard().await.authorization, Some(format!("Bearer {JOIN}-2")));
    let tunnel = gateway.tunnel().await;
    let mut control = tunnel.control().await;
    let Some(ToGateway::Heartbeat { sequence, .. }) = control.next().await else { panic!() };
    control.say(&ToNode::Renewed { sequence }).await;
    serve(&tunnel).await;
    assert_eq!(ask(addr, API_KEY).await, 200);
    assert_eq!(ask(addr, WRONG_KEY).await, 401);
    assert_eq!(ask(addr, &tunnel.token).await, 401);
    for (at, faulty) in faulty(&config, &seed(&data.join("operator.key"))).iter().enumerate() {
        fs::write(&file, faulty).unwrap();
        signal(&child, "-HUP").await;
        let refused = || fs::read_to_string(&log).unwrap().matches("is refused; the old").count();
        while refused() <= at {
            tokio::task::yield_now().await;
        }
    }
    signal(&child, "-TERM").await;
    assert!(matches!(control.news().await, Some(ToGateway::Drain { .. })));
    assert!(child.wait().await.unwrap().success());

    let mut told = fs::read_to_string(&log).unwrap();
    while let Some(line) = stdout.next_line().await.unwrap() {
        told += &line;
    }
    for heard in ["\"TRACE\"", "joined", "not joined", "answered", "drained", "first start"] {
        assert!(told.contains(heard), "`{heard}` is not in the log");
    }
    let [node, operator] = ["node.key", "operator.key"].map(|file| seed(&data.join(file)));
    let lease = tunnel.token.as_str();
    let secrets = [PROMPT, ANSWER, JOIN, API_KEY, WRONG_KEY, lease, &node, &operator, "canary-"];
    for canary in secrets {
        let line = told.lines().find(|line| line.contains(canary));
        assert_eq!(line, None, "{canary}");
    }
}
