//! Prompts, keys, join and lease tokens reach no log line at any level, no metric and no debug text. A binary of its
//! own: it listens to everything this process logs.

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tracing_subscriber::fmt::MakeWriter;

const PROMPT: &str = "canary-prompt-7f3a";
const KEY: &str = "qk_canary-key-0123456789abcdef";
const UPSTREAM_KEY: &str = "sk-canary-upstream-0123456789";
const JOIN_TOKEN: &str = "canary-join-token-0123456789abcdef";
const ANSWER: &str = "canary-answer-51cc";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().map_err(|_| io::Error::other("poisoned"))?;
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// One key, a static upstream and a market.
fn configuration(data: &std::path::Path, upstream: std::net::SocketAddr) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         [cache]\nenabled = true\n\
         [[key]]\nname = \"alice\"\nkey = {KEY:?}\ncache = true\n\
         [[upstream]]\nid = \"p\"\nbase_url = \"http://{}/v1\"\napi_key = {UPSTREAM_KEY:?}\n\
         allow_private = true\nmodels = [{{ id = \"m\" }}]\n\
         [market]\nnode_listen = \"127.0.0.1:0\"\njoin = \"token\"\ntokens = [{JOIN_TOKEN:?}]\nmeasure = false\n\
         [[model]]\nid = \"joined\"\nweights_ids = [{:?}]\n",
        data,
        upstream,
        provider::engine::scripted::weights_id()
    )
}

/// What a client asks for, with which key.
fn requests() -> Vec<(&'static str, String)> {
    let kept =
        format!(r#"{{"model":"m","seed":1,"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#);
    vec![
        // The second answer comes from the cache.
        (KEY, kept.clone()),
        (KEY, kept),
        (KEY, format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#)),
        (
            KEY,
            format!(
                r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
            ),
        ),
        (
            KEY,
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"{PROMPT}"}}],"script":{{"cut_after":0}}}}"#
            ),
        ),
        (
            KEY,
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"{PROMPT}"}}],"script":{{"error_after":1}},"stream":true}}"#
            ),
        ),
        // Through the tunnel: streamed, whole, and broken.
        (
            KEY,
            format!(
                r#"{{"model":"joined","stream":true,"messages":[{{"role":"user","content":"{PROMPT}"}}],"script":{{"text":"{ANSWER}"}}}}"#
            ),
        ),
        (
            KEY,
            format!(
                r#"{{"model":"joined","messages":[{{"role":"user","content":"{PROMPT}"}}],"script":{{"text":"{ANSWER}"}}}}"#
            ),
        ),
        (
            KEY,
            format!(
                r#"{{"model":"joined","messages":[{{"role":"user","content":"{PROMPT}"}}],"script":{{"error_after":1}},"stream":true}}"#
            ),
        ),
        (KEY, format!(r#"{{"model":"m","messages":[{{"role":"{PROMPT}","content":3}}]}}"#)),
        (KEY, format!(r#"{{"model":"m","messages":"{PROMPT}"#)),
        ("qk_wrong-canary-key-0123456789ab", PROMPT.to_owned()),
    ]
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test has no drain that waits for its tasks")]
async fn canaries_stay_where_they_belong() {
    let log = Log::default();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).init();
    let script = serde_json::json!({"text": ANSWER});
    let provider = provider::testing::scripted("m", script).await.expect("serves");
    let data = tempfile::tempdir().expect("a folder");
    let text = configuration(data.path(), provider.addr);
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    let mut seen = format!("{settings:?}");
    let gateway = gateway::serve(settings).await.expect("serves");
    let url = [gateway.join_url().expect("nodes may join")];
    let node = provider::testing::member(&url, |joining, options| {
        joining.gateways[0].join_token = Some(JOIN_TOKEN.to_owned().into());
        options.models = vec!["mine".to_owned()];
    });
    let node = node.await.expect("serves");
    provider::testing::joined(&node).await;
    gateway.app.market.publish();
    for (key, body) in requests() {
        let stream = TcpStream::connect(gateway.addr).await.expect("connects");
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.expect("h1");
        tokio::task::spawn(connection);
        let request = http::Request::post("/v1/chat/completions")
            .header("host", "h")
            .header("authorization", format!("Bearer {key}"))
            .body(Full::new(bytes::Bytes::from(body)))
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        let _ = answer.into_body().collect().await;
    }
    seen += &format!("{:?}{:?}{node:?}", gateway.app, provider);
    seen += &gateway.app.metrics.encode();
    assert_eq!(node.counters.jobs_started(), 3, "the tunnel was used");
    // The lease is in force, so its token is known to be one.
    let logged = String::from_utf8_lossy(&log.0.lock().expect("unpoisoned")).into_owned();
    let words = logged.split(|c: char| !c.is_ascii_alphanumeric());
    let tokens = words.filter(|word| word.len() == 64 && gateway.app.market.knows_token(word));
    assert_eq!(tokens.count(), 0, "lease tokens in the log");
    gateway.stop().await;
    seen += &String::from_utf8_lossy(&log.0.lock().expect("unpoisoned"));
    assert!(seen.contains(r#"quorate_cache_total{outcome="hit"} 1"#), "the cache was asked");
    assert!(seen.contains("attempt failed") && seen.contains("request_id"), "the log was heard");
    for canary in [PROMPT, ANSWER, KEY, UPSTREAM_KEY, JOIN_TOKEN, "qk_wrong-canary-key"] {
        let at = seen.find(canary);
        let about = at.map(|at| seen.get(at.saturating_sub(200)..at));
        assert_eq!(about, None, "{canary}");
    }
}
