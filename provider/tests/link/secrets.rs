//! Join tokens, lease tokens, keys and prompts reach no log line, not even at the loudest level.

use crate::gateway::{Gateway, MODEL, key, member};
use crate::tunnel::whole;
use provider::identity::Identity;
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
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

#[tokio::test]
async fn canaries_are_not_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut gateway = Gateway::start(1).await;
    let running = member(&[gateway.pinned()], json!({"text": "answer-canary"}), |joining, _| {
        joining.gateways[0].join_token = Some("join-canary".into());
        joining.identity = Identity::of(key(0xca), &key(0xcb), 1).unwrap();
    })
    .await;
    let tunnel = gateway.tunnel().await;
    let _control = tunnel.control().await;
    let prompt =
        json!({"model": MODEL, "messages": [{"role": "user", "content": "prompt-canary"}]});
    assert_eq!(whole(tunnel.chat(prompt).await).await.status, 200);
    assert_eq!(tunnel.get("/v1/models", Some("shown-canary")).await.status, 401);
    let debug = format!("{running:?}");
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("joined") && text.contains("answered"), "something is logged: {text}");
    assert!(!text.contains("canary"), "{text}");
    for secret in ["join-canary", &tunnel.token, &hex::encode([0xca; 32]), &hex::encode([0xcb; 32])]
    {
        assert!(!text.contains(secret), "{secret} in {text}");
        assert!(!debug.contains(secret), "{secret} in {debug}");
    }
}
