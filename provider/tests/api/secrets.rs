//! Prompts, answers and keys reach no log line, not even at the loudest level.

use crate::client::scripted;
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
    let (_running, client) = scripted(json!({"text": "the answer-canary"})).await;
    let members = json!({"messages": [{"role": "user", "content": "the prompt-canary"}]});
    for change in [json!({}), json!({"stream": true}), json!({"n": 0})] {
        let mut members = members.clone();
        members.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let mut request = client.chat_request(members);
        request.headers_mut().insert("authorization", "Bearer key-canary".parse().unwrap());
        client.send(request).await;
    }
    for input in [json!("the input-canary"), json!(["the input-canary", ""])] {
        client.embed(json!({"input": input})).await;
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("answered"), "something is logged: {text}");
    assert!(!text.contains("canary"), "{text}");
}
