//! Keys reach no log, no metric and no Debug text, at any level.

use gateway::http::Edge;
use gateway::serve_app;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::support::{KEY, settings};

const UPSTREAM_KEY: &str = "sk-upstream-canary";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
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
async fn a_key_is_in_no_log_line_metric_or_debug_text() {
    let log = Log::default();
    let _guard = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .set_default();
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(&data, "");
    settings.upstreams[0].api_key = Some(UPSTREAM_KEY.into());
    let debug = format!("{settings:?}");
    let running =
        serve_app(gateway::app::App::new(settings).expect("a market")).await.expect("serves");

    for path in ["/v1/models", "/v1/models/nope", "/v1/nope"] {
        let mut socket = TcpStream::connect(running.addr).await.expect("connected");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("answered");
        assert!(!answer.contains(KEY), "{answer}");
    }
    let debug = debug + &format!("{:?} {:?}", running.app, Edge::client(&running.app));
    let metrics = running.app.metrics.encode();
    running.stop().await;

    let log = String::from_utf8(log.0.lock().expect("unpoisoned").clone()).expect("text");
    assert!(log.contains("answered"), "the log was captured");
    for text in [&log, &debug, &metrics] {
        assert!(!text.contains(KEY) && !text.contains(UPSTREAM_KEY), "{text}");
    }
}
