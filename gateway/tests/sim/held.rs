//! A provider that holds a tool call back until it is whole, and tells its tokens' ids meanwhile: it is
//! at work, and neither late nor silent.

use futures_util::future::BoxFuture;
use gateway::upstream::dial::{Dial, Stream};
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::harness::{Gateway, chat, seed, stream};

/// Between two tokens.
const GAP: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Default)]
struct Nodes {
    asked: Arc<AtomicUsize>,
    /// Tokens told before the call is whole, and whether they are told.
    plan: Arc<Mutex<(u32, bool)>>,
}

impl Dial for Nodes {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Stream>> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let nodes = self.clone();
        tokio::task::spawn(async move {
            // A connection that is left is no error of the test.
            let _ = nodes.serve(theirs).await;
        });
        Box::pin(std::future::ready(Ok(Box::new(ours) as Stream)))
    }
}

impl Nodes {
    async fn serve(self, mut pipe: DuplexStream) -> io::Result<()> {
        let mut read = Vec::new();
        while !read.windows(4).any(|four| four == b"\r\n\r\n") {
            if pipe.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        self.asked.fetch_add(1, SeqCst);
        let (tokens, are_told) = *self.plan.lock().expect("a lock");
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        pipe.write_all(head.as_bytes()).await?;
        for id in 0..tokens {
            tokio::time::sleep(GAP).await;
            let told = if are_told { format!(": q {id}\n\n") } else { ": at work\n\n".to_owned() };
            pipe.write_all(told.as_bytes()).await?;
        }
        let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
            "function": {"name": "f", "arguments": "{}"}}]});
        for (delta, finish) in [(call, Value::Null), (json!({}), json!("tool_calls"))] {
            let event = json!({"id": "x", "object": "chat.completion.chunk", "created": 1,
                "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
            pipe.write_all(format!("data: {event}\n\n").as_bytes()).await?;
        }
        pipe.write_all(b"data: [DONE]\n\n").await
    }
}

#[tokio::test(start_paused = true)]
async fn who_tells_tokens_is_at_work() {
    seed(3);
    let nodes = Nodes::default();
    let gateway = Gateway::new("", &["p0", "p1", "p2"], Arc::new(nodes.clone()));
    // Used to much swifter answers, of which hedges can be paid.
    *nodes.plan.lock().expect("a lock") = (3, true);
    for _ in 0..60 {
        assert!(gateway.ask(&stream(json!({}))).await.is_done());
    }
    *nodes.plan.lock().expect("a lock") = (900, true);
    for body in [stream(json!({})), chat(json!({}))] {
        let before = nodes.asked.load(SeqCst);
        let answer = gateway.ask(&body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.text().matches("\"arguments\":\"{}\"").count(), 1, "{}", answer.text());
        assert_eq!(nodes.asked.load(SeqCst) - before, 1, "{}", answer.text());
        assert!(answer.took < GAP * 905, "{:?}", answer.took);
    }
}

#[tokio::test(start_paused = true)]
async fn who_tells_none_is_given_up() {
    seed(4);
    let nodes = Nodes::default();
    *nodes.plan.lock().expect("a lock") = (900, false);
    let gateway = Gateway::new("", &["p0", "p1"], Arc::new(nodes.clone()));
    let answer = gateway.ask(&chat(json!({}))).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(nodes.asked.load(SeqCst) > 1);
}
