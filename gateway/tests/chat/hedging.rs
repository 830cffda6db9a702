//! A provider that is late: another is asked beside it, the first with content answers, the other is
//! cancelled and sees it. And who is not hedged.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{
    MODEL, ask, chat, content, events, gateway, json_of, read_request, send, stream, until,
    upstream,
};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";

/// What a provider saw.
#[derive(Debug, Default)]
struct Seen {
    asked: AtomicUsize,
    /// Connections that the gateway closed before the answer was whole.
    cut: AtomicUsize,
}

/// How a provider behaves once it was asked.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Answers at once.
    Well,
    /// Sends its head and its role, and nothing else.
    Mute,
    /// As mute, until the other side was asked so often; then it answers.
    Late,
    /// Promises a whole answer, and sends the beginning of it and nothing else.
    Begun,
    /// Answers 500 at once.
    Broken,
}

struct Pair {
    gateway: gateway::Running,
    seen: [Arc<Seen>; 2],
    _data: tempfile::TempDir,
}

fn answer(text: &str) -> String {
    let delta = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    format!("data: {delta}\n\ndata: {end}\n\ndata: [DONE]\n\n")
}

async fn serve(
    mut socket: TcpStream,
    kind: Kind,
    name: &str,
    (own, other): (Arc<Seen>, Arc<Seen>),
) -> Option<()> {
    read_request(&mut socket).await?;
    own.asked.fetch_add(1, SeqCst);
    match kind {
        Kind::Broken => {
            let head = "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return socket.write_all(head.as_bytes()).await.ok();
        }
        Kind::Well => socket.write_all(HEAD.as_bytes()).await.ok()?,
        Kind::Begun => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                        content-length: 100\r\n\r\n{";
            socket.write_all(head.as_bytes()).await.ok()?;
        }
        Kind::Mute | Kind::Late => {
            socket.write_all((HEAD.to_owned() + ROLE).as_bytes()).await.ok()?
        }
    }
    if matches!(kind, Kind::Late) {
        until(|| other.asked.load(SeqCst) > 0).await;
    }
    if !matches!(kind, Kind::Mute | Kind::Begun) {
        return socket.write_all(answer(name).as_bytes()).await.ok();
    }
    while socket.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {}
    own.cut.fetch_add(1, SeqCst);
    None
}

/// Two providers; the first is the one that is chosen.
async fn pair(kinds: [Kind; 2]) -> Pair {
    let seen: [Arc<Seen>; 2] = Default::default();
    let mut addrs: Vec<SocketAddr> = Vec::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        let (own, other) = (Arc::clone(&seen[number]), Arc::clone(&seen[1 - number]));
        let serve = move |socket, _| {
            let both = (Arc::clone(&own), Arc::clone(&other));
            async move { serve(socket, kind, &format!("p{number}"), both).await }
        };
        addrs.push(upstream(serve).await);
    }
    let (gateway, data) = gateway("", &addrs, MODEL).await;
    Pair { gateway, seen, _data: data }
}

impl Pair {
    async fn ask(&self, body: &Value) -> (u16, http::HeaderMap, Bytes) {
        let (status, headers, bytes) = ask(self.gateway.addr, body).await;
        (status.as_u16(), headers, bytes)
    }

    fn asked(&self) -> [usize; 2] {
        [0, 1].map(|number| self.seen[number].asked.load(SeqCst))
    }

    fn counted(&self, line: &str) -> bool {
        self.gateway.app.metrics.encode().contains(line)
    }
}

/// The first provider first.
fn first(more: Value) -> [Value; 2] {
    let mut policy = json!({"order": ["p0"]});
    policy.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let member = json!({ "provider": policy });
    [chat(member.clone()), stream(member)]
}

fn text(body: &Value, bytes: &Bytes) -> String {
    match body["stream"] == true {
        true => content(&events(bytes)),
        false => {
            let answer = json_of(bytes);
            answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
        }
    }
}

#[tokio::test]
async fn a_second_provider_answers_for_one_that_is_late_which_is_cut() {
    for body in first(json!({})) {
        let pair = pair([Kind::Mute, Kind::Well]).await;
        let (status, headers, bytes) = pair.ask(&body).await;
        assert_eq!((status, text(&body, &bytes).as_str()), (200, "p1"), "{bytes:?}");
        assert_eq!(headers["x-quorate-provider"], "p1");
        assert_eq!(headers["x-quorate-hedged"], "1");
        assert_eq!(headers["x-quorate-attempts"], "2");
        // It is a race, and not a time-out: the first is cancelled.
        until(|| pair.seen[0].cut.load(SeqCst) == 1).await;
        assert_eq!(pair.asked(), [1, 1]);
        assert!(pair.counted("quorate_hedges_total{outcome=\"sent\"} 1"));
        assert!(pair.counted("quorate_hedges_total{outcome=\"won\"} 1"));
        assert!(pair.counted("quorate_attempts_total{outcome=\"cancelled\"} 1"));
        assert!(pair.counted("quorate_failovers_total 0"));
    }
}

#[tokio::test]
async fn the_head_of_a_whole_answer_wins_nothing() {
    let [body, _] = first(json!({}));
    let pair = pair([Kind::Begun, Kind::Well]).await;
    let (status, headers, bytes) = pair.ask(&body).await;
    assert_eq!((status, text(&body, &bytes).as_str()), (200, "p1"), "{bytes:?}");
    assert_eq!(headers["x-quorate-hedged"], "1");
    until(|| pair.seen[0].cut.load(SeqCst) == 1).await;
}

#[tokio::test]
async fn the_first_answers_after_all_and_the_second_is_cut() {
    for body in first(json!({})) {
        let pair = pair([Kind::Late, Kind::Mute]).await;
        let (status, headers, bytes) = pair.ask(&body).await;
        assert_eq!((status, text(&body, &bytes).as_str()), (200, "p0"), "{bytes:?}");
        assert_eq!(headers["x-quorate-provider"], "p0");
        assert_eq!(headers["x-quorate-hedged"], "1");
        until(|| pair.seen[1].cut.load(SeqCst) == 1).await;
        assert_eq!(pair.asked(), [1, 1]);
        assert!(pair.counted("quorate_hedges_total{outcome=\"won\"} 0"));
    }
}

#[tokio::test]
async fn who_is_in_time_is_not_hedged() {
    for body in first(json!({})) {
        let pair = pair([Kind::Well, Kind::Well]).await;
        let (status, headers, _) = pair.ask(&body).await;
        assert_eq!((status, headers.get("x-quorate-hedged")), (200, None));
        assert_eq!(pair.asked(), [1, 0]);
    }
}

#[tokio::test]
async fn the_late_one_goes_on_though_the_second_fails() {
    for body in first(json!({})) {
        let pair = pair([Kind::Late, Kind::Broken]).await;
        let (status, _, bytes) = pair.ask(&body).await;
        assert_eq!((status, text(&body, &bytes).as_str()), (200, "p0"), "{bytes:?}");
        assert_eq!(pair.asked(), [1, 1]);
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_race_leaves_nobody_at_work() {
    for body in first(json!({})) {
        let pair = pair([Kind::Mute, Kind::Mute]).await;
        let addr = pair.gateway.addr;
        let client = tokio::task::spawn(async move { send(addr, &body).await.collect().await });
        until(|| pair.asked() == [1, 1]).await;
        client.abort();
        until(|| pair.seen.iter().all(|seen| seen.cut.load(SeqCst) == 1)).await;
        assert!(pair.counted("quorate_attempts_total{outcome=\"cancelled\"} 2"));
    }
}

#[tokio::test]
async fn who_wants_no_hedge_gets_none() {
    // The limit ends the test: nobody else is asked before.
    let refusing = [
        (first(json!({"hedge": "off"})), ""),
        (first(json!({"hedge": "auto"})), "attempts = 1"),
        (first(json!({"only": ["p0"]})), ""),
    ];
    for (bodies, limits) in refusing {
        for body in bodies {
            let seen: [Arc<Seen>; 2] = Default::default();
            let mut addrs = Vec::new();
            for seen in &seen {
                let own = Arc::clone(seen);
                let serve = move |socket, _| {
                    let both = (Arc::clone(&own), Arc::default());
                    async move { serve(socket, Kind::Mute, "mute", both).await }
                };
                addrs.push(upstream(serve).await);
            }
            let limits = format!("request_ms = 2500\n{limits}");
            let (gateway, _data) = gateway(&limits, &addrs, MODEL).await;
            let (status, _, bytes) = ask(gateway.addr, &body).await;
            assert_eq!(status, 504, "{bytes:?}");
            let asked = seen.each_ref().map(|seen| seen.asked.load(SeqCst));
            assert_eq!(asked, [1, 0], "{body}");
        }
    }
}

#[tokio::test]
async fn several_choices_are_not_made_twice() {
    let pair = pair([Kind::Late, Kind::Well]).await;
    let mut body = first(json!({}))[0].clone();
    body["n"] = json!(2);
    let addr = pair.gateway.addr;
    let client = tokio::task::spawn(async move { ask(addr, &body).await });
    until(|| pair.asked()[0] == 1).await;
    // A request that may be hedged waits as long, and then asks the second.
    let (status, _, _) = pair.ask(&first(json!({}))[1]).await;
    assert_eq!(status, 200);
    assert_eq!(pair.asked(), [2, 1], "the second was asked for the one request alone");
    drop(client);
}
