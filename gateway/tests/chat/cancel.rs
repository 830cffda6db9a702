//! The client leaves: the provider stops, in every phase, streamed and whole. The abort is seen by the
//! provider each time, and by the gateway's own books.

use http_body_util::BodyExt as _;
use provider::app::Running;
use provider::counters::Counters;
use provider::engine::scripted::{Options, Scripted};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{
    MODEL, chat, gateway, gateway_at, market, market_with, read_request, send, stream, until,
    upstream,
};

/// A market at the moment when the client may leave.
struct Scene {
    gateway: gateway::Running,
    /// The phase has begun.
    begun: Box<dyn Fn() -> bool>,
    /// The provider knows that nobody waits any more.
    gone: Box<dyn Fn() -> bool>,
    _kept: Box<dyn std::any::Any>,
}

/// What raw providers saw.
#[derive(Debug, Default)]
struct Seen {
    begun: AtomicUsize,
    gone: AtomicUsize,
}

impl Seen {
    /// Says that the phase has begun, then waits for the other side to go.
    async fn wait_for_the_end(&self, mut socket: tokio::net::TcpStream) -> Option<()> {
        self.begun.fetch_add(1, SeqCst);
        while socket.read(&mut [0u8; 1024]).await.is_ok_and(|n| n > 0) {}
        self.gone.fetch_add(1, SeqCst);
        None
    }

    fn scene(self: Arc<Self>, market: (gateway::Running, tempfile::TempDir)) -> Scene {
        let (gateway, data) = market;
        let other = Arc::clone(&self);
        Scene {
            gateway,
            begun: Box::new(move || self.begun.load(SeqCst) == 1),
            gone: Box::new(move || other.gone.load(SeqCst) == 1),
            _kept: Box::new(data),
        }
    }
}

/// A scripted provider; the phase has begun when its counters say so.
async fn scripted(script: Value, begun: fn(&Counters) -> bool) -> Scene {
    let provider = provider::testing::scripted(MODEL, script).await.expect("serves");
    let (gateway, data) = gateway("", &[provider.addr], MODEL).await;
    let (counters, other) = (Arc::clone(&provider.counters), Arc::clone(&provider.counters));
    Scene {
        gateway,
        begun: Box::new(move || begun(&counters)),
        gone: Box::new(move || other.jobs_cancelled() == 1),
        _kept: Box::new((data, provider)),
    }
}

/// The provider's one place is taken: the request waits in its queue.
async fn queued() -> Scene {
    let counters = Arc::new(Counters::default());
    let options = Options {
        models: vec![MODEL.to_owned()],
        max_concurrent: 1,
        script: provider::testing::parse(json!({"head_ms": 3_600_000})).expect("a script"),
        ..Options::default()
    };
    let engine = Arc::new(Scripted::new(options, Arc::clone(&counters)));
    let provider = provider::testing::serve(engine, counters).await.expect("serves");
    let provider: Arc<Running> = Arc::new(provider);
    let addr = provider.addr;
    let first = tokio::task::spawn(async move { send(addr, &chat(json!({}))).await });
    until(|| provider.counters.jobs_started() == 1).await;
    let (gateway, data) = gateway("", &[addr], MODEL).await;
    let (waits, left) = (Arc::clone(&provider), Arc::clone(&provider));
    Scene {
        gateway,
        begun: Box::new(move || waits.waiting() == 1),
        gone: Box::new(move || left.waiting() == 0 && left.counters.jobs_started() == 1),
        _kept: Box::new((data, first, provider)),
    }
}

/// The provider takes the connection and never answers the TLS handshake.
async fn connecting() -> Scene {
    let seen = Arc::new(Seen::default());
    let own = Arc::clone(&seen);
    let addr = upstream(move |mut socket, _| {
        let seen = Arc::clone(&own);
        async move {
            // Its first flight: the gateway is at the handshake.
            socket.read_exact(&mut [0u8; 16]).await.ok()?;
            seen.wait_for_the_end(socket).await
        }
    })
    .await;
    seen.scene(gateway_at("", &[format!("https://{addr}/v1")], MODEL).await)
}

/// The first provider fails, the second is silent; a third would be there.
async fn at_the_second_attempt() -> Scene {
    let seen = Arc::new(Seen::default());
    let own = Arc::clone(&seen);
    let addr = upstream(move |mut socket, number| {
        let seen = Arc::clone(&own);
        async move {
            read_request(&mut socket).await?;
            if number == 0 {
                let failure =
                    b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                return socket.write_all(failure).await.ok();
            }
            seen.wait_for_the_end(socket).await
        }
    })
    .await;
    seen.scene(gateway("attempts = 3", &[addr, addr, addr], MODEL).await)
}

/// Where a request may be when its client leaves.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Queued,
    Connecting,
    AwaitingHead,
    AwaitingContent,
    MidAnswer,
    SecondAttempt,
}

impl Phase {
    async fn scene(self) -> Scene {
        let started = |counters: &Counters| counters.jobs_started() == 1;
        let talking = |counters: &Counters| counters.tokens_generated() > 3;
        match self {
            Self::Queued => queued().await,
            Self::Connecting => connecting().await,
            Self::AwaitingHead => scripted(json!({"head_ms": 3_600_000}), started).await,
            Self::AwaitingContent => scripted(json!({"ttft_ms": 3_600_000}), started).await,
            Self::MidAnswer => scripted(json!({"tokens": 100_000, "itl_ms": 5}), talking).await,
            Self::SecondAttempt => at_the_second_attempt().await,
        }
    }
}

#[tokio::test]
async fn in_every_phase_streamed_and_whole() {
    for phase in [
        Phase::Queued,
        Phase::Connecting,
        Phase::AwaitingHead,
        Phase::AwaitingContent,
        Phase::MidAnswer,
        Phase::SecondAttempt,
    ] {
        for streamed in [false, true] {
            let body = chat(json!({"stream": streamed}));
            leave(phase.scene().await, body, &format!("{phase:?}, streamed: {streamed}")).await;
        }
    }
}

/// Asks, leaves once the phase has begun, and looks at what is left.
async fn leave(scene: Scene, body: Value, what: &str) {
    let addr = scene.gateway.addr;
    let client = tokio::task::spawn(async move {
        let mut body = send(addr, &body).await.into_body();
        while body.frame().await.is_some() {}
    });
    until(&scene.begun).await;
    assert!(!client.is_finished(), "{what}: the answer came");
    assert!(!(scene.gone)(), "{what}: gone before its time");
    client.abort();
    let _ = client.await;
    until(&scene.gone).await;
    let app = &scene.gateway.app;
    until(|| app.market.snapshot().endpoints().iter().all(|e| e.in_flight() == 0)).await;
    let record =
        r#"quorate_requests_total{endpoint="chat",status_class="4xx",outcome="client_gone"} 1"#;
    until(|| app.metrics.encode().contains(record)).await;
    let text = app.metrics.encode();
    let cancelled = "quorate_attempts_total{outcome=\"cancelled\"} 1\n";
    assert!(text.contains(cancelled), "{what}: {text}");
    assert!(text.contains("quorate_open_streams 0"), "{what}: {text}");
    assert!((scene.gone)(), "{what}: another attempt was made");
}

#[tokio::test]
async fn after_the_status_line_and_before_the_first_content() {
    let limits = "hold_ms = 20\nkeep_alive_comment_ms = 100";
    let market = market_with(limits, &[json!({"ttft_ms": 60_000})]).await;
    let mut body = market.send(&stream(json!({}))).await.into_body();
    body.frame().await.expect("a comment").expect("data");
    drop(body);
    market.until(|counters| counters.jobs_cancelled() == 1).await;
}

#[tokio::test]
async fn a_stream_that_is_left_costs_no_more_tokens() {
    let market = market(&[json!({"tokens": 100_000, "itl_ms": 5})]).await;
    let mut body = market.send(&stream(json!({}))).await.into_body();
    for _ in 0..3 {
        body.frame().await.expect("a frame").expect("data");
    }
    drop(body);
    market.until(|counters| counters.jobs_cancelled() == 1).await;
    let made = market.providers[0].counters.tokens_generated();
    assert!(made < 1000, "{made} tokens were made for nobody");
}

#[tokio::test]
async fn every_request_ends_in_exactly_one_record() {
    let market = market(&[json!({"tokens": 100_000, "itl_ms": 5})]).await;
    for _ in 0..5 {
        let mut body = market.send(&stream(json!({}))).await.into_body();
        body.frame().await.expect("a frame").expect("data");
    }
    let line =
        r#"quorate_requests_total{endpoint="chat",status_class="4xx",outcome="client_gone"} 5"#;
    until(|| market.gateway.app.metrics.encode().contains(line)).await;
    until(|| market.gateway.app.market.snapshot().endpoints()[0].in_flight() == 0).await;
    let text = market.gateway.app.metrics.encode();
    assert!(text.contains(r#"quorate_attempts_total{outcome="cancelled"} 5"#), "{text}");
    assert!(text.contains("quorate_open_streams 0"), "{text}");
}
