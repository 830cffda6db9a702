//! What may be spent beyond the first attempt: the retries of a model, and the money of one request.

use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::AsyncWriteExt as _;

use crate::harness::{MODEL, ask, chat, gateway, json_of, read_request, stream, upstream};

const GOOD: &str = "good answer";

#[tokio::test]
async fn where_all_fail_the_retries_of_a_model_come_to_an_end() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut addrs = Vec::new();
    for _ in 0..2 {
        let asked = Arc::clone(&asked);
        addrs.push(
            upstream(move |mut socket, _| {
                let asked = Arc::clone(&asked);
                async move {
                    read_request(&mut socket).await?;
                    asked.fetch_add(1, SeqCst);
                    let head =
                        "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    socket.write_all(head.as_bytes()).await.ok()
                }
            })
            .await,
        );
    }
    // Nobody is tried out meanwhile.
    let (gateway, _data) = gateway("[breaker]\nbackoff_ms = 86400000", &addrs, MODEL).await;
    let denied = || gateway.app.metrics.route.retries_denied.get();
    // A hundred are there at the start, and each request and second gives a few more.
    for number in 0..4_000 {
        let before = asked.load(SeqCst);
        let body = if number % 2 == 0 { chat(json!({})) } else { stream(json!({})) };
        let (status, headers, bytes) = ask(gateway.addr, &body).await;
        let (attempts, error) = (asked.load(SeqCst) - before, &json_of(&bytes)["error"]);
        if denied() == 0 {
            assert_eq!((status.as_u16(), attempts), (502, 2), "request {number}: {bytes:?}");
            continue;
        }
        assert!(number >= 100, "only {number} requests had a second attempt");
        assert_eq!((status.as_u16(), attempts), (503, 1), "{bytes:?}");
        assert_eq!(error["code"], "no_provider", "{bytes:?}");
        let message = error["message"].as_str().expect("text");
        assert!(message.contains("as many requests are tried again as may be"), "{message}");
        assert_eq!(headers["retry-after"], "1");
        assert_eq!(headers["x-should-retry"], "true");
        let scraped = gateway.app.metrics.encode();
        assert!(scraped.contains("quorate_retries_denied_total 1\n"), "{scraped}");
        return;
    }
    panic!("every request had a second attempt");
}

/// Two providers at ten dollars a million answer tokens; the first is the one that is asked first.
async fn priced(scripts: [Value; 2]) -> Priced {
    let data = tempfile::tempdir().expect("a folder");
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         [auth]\nmode = \"open\"\n[limits]\nrequest_ms = 3500\n",
        data.path()
    );
    let mut providers = Vec::new();
    for (number, script) in scripts.into_iter().enumerate() {
        let running = provider::testing::scripted(MODEL, script).await.expect("serves");
        text += &format!(
            "[[upstream]]\nid = \"p{number}\"\nallow_private = true\n\
             base_url = \"http://{}/v1\"\n\
             models = [{{ id = {MODEL:?}, price_in = 0, price_out = 10 }}]\n",
            running.addr
        );
        providers.push(running);
    }
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    let gateway = gateway::serve(settings).await.expect("serves");
    Priced { gateway, providers, _data: data }
}

struct Priced {
    gateway: gateway::Running,
    providers: Vec<provider::app::Running>,
    _data: tempfile::TempDir,
}

impl Priced {
    /// An answer of ten tokens costs 0.0001 $ at most, and one that comes to nothing a tenth of it.
    async fn ask(&self, max: f64, is_stream: bool) -> (StatusCode, http::HeaderMap, bytes::Bytes) {
        let policy = json!({"order": ["p0"], "max_price": {"request": max}});
        let mut body = chat(json!({"max_tokens": 10, "provider": policy}));
        body["stream"] = json!(is_stream);
        ask(self.gateway.addr, &body).await
    }

    fn second_was_asked(&self) -> bool {
        self.providers[1].counters.jobs_started() > 0
    }
}

/// Enough for one answer, and for one after an attempt that came to nothing.
const ONE: f64 = 0.000_105;
const BOTH: f64 = 0.000_115;

#[tokio::test]
async fn a_retry_that_would_cost_too_much_is_not_begun() {
    for is_stream in [false, true] {
        let market = priced([json!({"status": 500}), json!({"text": GOOD})]).await;
        let (status, _, bytes) = market.ask(ONE, is_stream).await;
        assert_eq!(status, 502, "{bytes:?}");
        assert_eq!(json_of(&bytes)["error"]["code"], "provider_error", "{bytes:?}");
        assert!(!market.second_was_asked(), "beyond what the request may cost");
        let (status, headers, bytes) = market.ask(BOTH, is_stream).await;
        assert_eq!(status, 200, "{bytes:?}");
        assert_eq!(headers["x-quorate-provider"], "p1");
        assert_eq!(headers["x-quorate-attempts"], "2");
    }
}

#[tokio::test]
async fn a_hedge_that_would_cost_too_much_is_not_begun() {
    let market = priced([json!({"ttft_ms": 60_000}), json!({"text": GOOD})]).await;
    let (status, _, bytes) = market.ask(ONE, true).await;
    assert_eq!(status, 504, "{bytes:?}");
    assert!(!market.second_was_asked(), "beyond what the request may cost");
    let scraped = market.gateway.app.metrics.encode();
    let line = "quorate_hedges_denied_total{reason=\"price\"}";
    assert!(scraped.lines().any(|l| l.starts_with(line) && !l.ends_with(" 0")), "{scraped}");
    let (status, headers, bytes) = market.ask(BOTH, true).await;
    assert_eq!(status, 200, "{bytes:?}");
    assert_eq!(headers["x-quorate-provider"], "p1");
    assert_eq!(headers["x-quorate-hedged"], "1");
}
