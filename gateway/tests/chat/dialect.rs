//! One client's words, put for each upstream as its configuration says.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{MODEL, chat, send};

const REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

/// The body that an upstream with these options gets.
async fn received(options: &str, body: &Value) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let (gateway, _data) = gateway(listener.local_addr().expect("an address"), options).await;
    let client = async {
        let answer = send(gateway.addr, body).await;
        assert_eq!(answer.status(), 400);
        answer.into_body().collect().await.expect("a body");
    };
    let upstream = async {
        let (mut socket, _) = listener.accept().await.expect("accepts");
        let mut read = Vec::new();
        let mut buffer = [0u8; 4096];
        while !read.ends_with(b"}") {
            let n = socket.read(&mut buffer).await.expect("reads");
            assert!(n > 0, "the request is whole");
            read.extend_from_slice(&buffer[..n]);
        }
        socket.write_all(REFUSAL.as_bytes()).await.expect("writes");
        String::from_utf8(read).expect("UTF-8")
    };
    let ((), request) = tokio::join!(client, upstream);
    let (_, body) = request.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str(body).expect("JSON")
}

async fn gateway(addr: SocketAddr, options: &str) -> (gateway::Running, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         [auth]\nmode = \"open\"\n[[upstream]]\nid = \"p\"\nbase_url = \"http://{addr}/v1\"\n\
         allow_private = true\n{options}\nmodels = [{{ id = {MODEL:?} }}]\n",
        data.path(),
    );
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    (gateway::serve(settings).await.expect("serves"), data)
}

#[tokio::test]
async fn each_upstream_gets_the_limit_and_the_role_it_knows() {
    let messages = json!([
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "hi"},
    ]);
    let body = chat(json!({"messages": messages, "max_tokens": 9, "max_completion_tokens": 5}));
    for (options, limit, role) in [
        ("", "max_completion_tokens", "developer"),
        ("max_tokens_member = \"max_tokens\"", "max_tokens", "developer"),
        ("developer_role = \"system\"", "max_completion_tokens", "system"),
    ] {
        let body = received(options, &body).await;
        let other = if limit == "max_tokens" { "max_completion_tokens" } else { "max_tokens" };
        assert_eq!((&body[limit], body.get(other)), (&json!(5), None), "{options}: {body}");
        assert_eq!(body["messages"][0]["role"], role, "{options}: {body}");
        assert_eq!(body["messages"][1]["role"], "user", "{options}: {body}");
    }
}
