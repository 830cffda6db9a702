//! A node on the other end of a tunnel in memory, in paused time: what is measured is exactly what the
//! node's delays make of it.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use openapi::node::control::Load;
use openapi::node::{Feature, Served, Standing};
use openapi::nodes::{EvidenceKind, EvidenceVerdict, Measured};
use openapi::sign::SecretKey;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::probe::{Probe, endpoint};
use super::prompt::Numbers;
use super::{AT_ONCE, Bench};
use crate::clock::System;
use crate::config::{Limits, Upstream, UpstreamModel};
use crate::market::testing::{Node as Joining, served};
use crate::market::{Market, Membership, Offer, Time};
use crate::metrics::{ConnectionState, Held, Measurement, Metrics};
use crate::request::{Dialect, Endpoint as Asked};
use crate::shutdown::Shutdown;
use crate::upstream::{Context, Endpoint, Error, Tunnel, random};

/// How a node behaves.
#[derive(Clone, Copy)]
struct Node {
    /// Before the first answer, once.
    warm_up_ms: u64,
    head_ms: u64,
    /// Tokens a millisecond.
    prefill: u64,
    token_ms: u64,
    /// By which its usage is multiplied.
    boast: u64,
    /// Of each piece of text.
    ids: usize,
    /// It goes on with what nobody waits for, and with nothing else meanwhile.
    is_deaf: bool,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Status,
    /// No finish reason.
    Cut,
    /// Ids without text.
    Empty,
    Html,
    /// No answer, ever.
    Silent,
}

const HONEST: Node = Node {
    warm_up_ms: 0,
    head_ms: 50,
    prefill: 2,
    token_ms: 20,
    boast: 1,
    ids: 1,
    is_deaf: false,
    fault: Fault::None,
};

type Body = BoxBody<Bytes, Infallible>;

async fn answer(
    node: Node,
    asked: Arc<AtomicU32>,
    busy: Arc<Mutex<Option<Instant>>>,
    request: Request<Incoming>,
) -> Response<Body> {
    assert_eq!(request.headers().get("authorization").expect("a token"), "Bearer lease");
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).expect("an id");
    assert!(id.starts_with("req_") && id.len() == 36, "a client's request has another id: {id}");
    let is_embedding = request.uri().path().ends_with("/embeddings");
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["model"], "theirs");
    if asked.fetch_add(1, SeqCst) == 0 {
        sleep(Duration::from_millis(node.warm_up_ms)).await;
    }
    let whole = |status, kind, text: String| {
        let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
        response.body(Full::new(Bytes::from(text)).boxed()).expect("a response")
    };
    match node.fault {
        Fault::Status => return whole(StatusCode::BAD_GATEWAY, "text/plain", "no".to_owned()),
        Fault::Silent => std::future::pending::<()>().await,
        Fault::Html => return whole(StatusCode::OK, "text/html", "<p>".to_owned()),
        _ => {}
    }
    if is_embedding {
        let texts = body["input"].as_array().expect("a list");
        let words: usize =
            texts.iter().map(|text| text.as_str().expect("text").split(' ').count()).sum();
        sleep(Duration::from_millis(words as u64 / node.prefill)).await;
        let data: Vec<Value> = (0..texts.len())
            .map(|index| json!({"object": "embedding", "index": index, "embedding": [1.0]}))
            .collect();
        let tokens = words as u64 * node.boast;
        let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        let list = json!({"object": "list", "data": data, "model": "theirs", "usage": usage});
        return whole(StatusCode::OK, "application/json", list.to_string());
    }
    let tokens = body["max_tokens"].as_u64().expect("a number");
    assert_eq!(body["stream"], json!(true));
    if node.is_deaf {
        let mut busy = busy.lock().await;
        let until = busy.unwrap_or_else(Instant::now).max(Instant::now());
        tokio::time::sleep_until(until).await;
        *busy = Some(Instant::now() + Duration::from_millis(tokens * node.token_ms));
    }
    let prompt = body["messages"][0]["content"].as_str().expect("a prompt");
    let words = prompt.split(' ').count() as u64;
    sleep(Duration::from_millis(node.head_ms)).await;
    let chunks = stream::iter(0..=tokens).then(move |number| async move {
        let wait = if number == 0 { words / node.prefill } else { node.token_ms };
        sleep(Duration::from_millis(wait)).await;
        Ok(Frame::data(chunk(node, number, words, number == tokens)))
    });
    let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
    response.body(BodyExt::boxed(StreamBody::new(chunks))).expect("a response")
}

fn chunk(node: Node, number: u64, words: u64, is_last: bool) -> Bytes {
    if is_last && node.fault == Fault::Cut {
        return Bytes::new();
    }
    let text = if is_last || node.fault == Fault::Empty { "" } else { " word" };
    let event = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "theirs",
        "choices": [{"index": 0, "delta": {"content": text},
            "finish_reason": is_last.then_some("stop")}],
    });
    let ids = match node.ids {
        0 => String::new(),
        count => format!(
            "{}
",
            openapi::evidence::ids_comment(0, &[1, 2, 3, 4][..count])
        ),
    };
    let mut sent = format!(
        "{ids}data: {event}

"
    );
    if is_last {
        let (prompt, completion) = (words * node.boast, number * node.boast);
        let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
            "model": "theirs", "choices": [], "usage": {"prompt_tokens": prompt,
            "completion_tokens": completion, "total_tokens": prompt + completion}});
        sent += &format!("data: {usage}\n\ndata: [DONE]\n\n");
    }
    Bytes::from(sent)
}

/// A node at the other end of a tunnel.
async fn node(
    node: Node,
    name: &str,
    asked: &Arc<AtomicU32>,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Arc<Endpoint> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let asked = asked.clone();
    let busy = Arc::default();
    shutdown.spawn(async move {
        let service = service_fn(move |request| {
            let (asked, busy) = (asked.clone(), Arc::clone(&busy));
            async move { Ok::<_, Infallible>(answer(node, asked, busy, request).await) }
        });
        let _ended = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(theirs), service)
            .await;
    });
    let held = Held::new(metrics.upstream_connections.get(ConnectionState::Active));
    let tunnel = Tunnel::open(TokioIo::new(ours), held, shutdown).await.expect("a tunnel");
    Arc::new(Endpoint::tunnel(name, "o", tunnel, "lease").expect("an endpoint"))
}

fn context(time: Arc<Time>) -> Context {
    Context {
        limits: Limits::default(),
        metrics: Arc::new(Metrics::new()),
        shutdown: Shutdown::new(),
        random,
        time,
        routing: crate::config::Routing::default(),
        hedging: crate::config::Hedging::default(),
        breaker: crate::config::Breaker::default(),
        probation_share: 0.0,
        seeds: crate::upstream::Seeds::draw().expect("random numbers"),
        witness: Arc::new(crate::upstream::Nobody),
        judge: Arc::new(crate::upstream::Nobody),
        parties: Arc::default(),
        dialer: None,
    }
}

/// What is measured of such a node, and how often it was asked.
async fn measured(behaviour: Node, asked: Asked) -> (Result<Measured, Error>, u32) {
    let count = Arc::new(AtomicU32::new(0));
    let clock = Arc::new(System);
    let context = context(Arc::new(Time::new(clock.clone())));
    let metrics = context.metrics.clone();
    let endpoint = node(behaviour, "n", &count, &metrics, &context.shutdown).await;
    let upstream = Upstream {
        id: "n".to_owned(),
        operator: "o".to_owned(),
        base_url: "http://localhost".parse().expect("a URL"),
        api_key: None,
        region: None,
        allow_private: false,
        continues: false,
        dialect: Dialect::default(),
        models: Vec::new(),
    };
    let served = UpstreamModel {
        id: "ours".to_owned(),
        upstream_model: "theirs".to_owned(),
        price_in: None,
        price_out: None,
        context: None,
        quantization: None,
    };
    let offer = Arc::new(Offer::of_upstream(endpoint, &upstream, &served, Default::default()));
    let mut probe =
        Probe { context: &context, clock: &*clock, offer: &offer, numbers: Numbers::new(4) };
    let result = probe.run(asked, 7).await;
    assert_eq!(offer.endpoint.in_flight(), 0, "nothing is left in flight");
    assert!(!metrics.encode().contains("quorate_attempts_total{outcome=\"ok\"} 1"));
    (result, count.load(SeqCst))
}

#[tokio::test(start_paused = true)]
async fn figures_are_what_the_nodes_delays_make() {
    let (result, asked) = measured(HONEST, Asked::ChatCompletions).await;
    let found = result.expect("measured");
    // 2 words a millisecond, a token every 20 ms; the short prompt is 32 words and three more.
    assert_eq!(found.prefill_tps, Some(2_000.0), "{found:?}");
    assert_eq!(found.ttft_ms, Some(50.0 + 17.0), "{found:?}");
    assert_eq!(found.decode_tps, Some(50.0), "{found:?}");
    assert_eq!((asked, found.at_ms), (5, 7));
    assert_eq!(found.cancels, Some(true));
    // Without ids each piece of text is a token; with too many of them it is no more than asked for.
    for ids in [0, 4] {
        let (result, _) = measured(Node { ids, ..HONEST }, Asked::ChatCompletions).await;
        assert_eq!(result.expect("measured").decode_tps, Some(50.0), "{ids} ids");
    }
}

#[tokio::test(start_paused = true)]
async fn a_boast_makes_no_figure_larger() {
    for asked in [Asked::ChatCompletions, Asked::Embeddings] {
        let (honest, _) = measured(HONEST, asked).await;
        let (boasting, _) = measured(Node { boast: 9, ..HONEST }, asked).await;
        assert_eq!(boasting.expect("measured"), honest.expect("measured"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_on_with_a_cancelled_answer_is_found_out() {
    let (deaf, _) = measured(Node { is_deaf: true, ..HONEST }, Asked::ChatCompletions).await;
    let deaf = deaf.expect("measured");
    assert_eq!((deaf.cancels, deaf.decode_tps), (Some(false), Some(50.0)));
}

#[tokio::test(start_paused = true)]
async fn warming_up_changes_nothing() {
    for asked in [Asked::ChatCompletions, Asked::Embeddings] {
        let (warm, _) = measured(HONEST, asked).await;
        let (cold, _) = measured(Node { warm_up_ms: 9_000, ..HONEST }, asked).await;
        assert_eq!(cold.expect("measured"), warm.expect("measured"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_embedding_model_is_measured_by_a_batch() {
    let (result, asked) = measured(HONEST, Asked::Embeddings).await;
    let found = result.expect("measured");
    assert_eq!((found.prefill_tps, asked), (Some(2_000.0), 2));
    assert_eq!((found.decode_tps, found.ttft_ms), (None, None));
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_told_and_no_figure_comes_of_it() {
    for (fault, why) in [
        (Fault::Status, "status 502"),
        (Fault::Cut, "ended before"),
        (Fault::Html, "something else than text/event-stream"),
        (Fault::Empty, "ended before"),
    ] {
        let (result, asked) = measured(Node { fault, ..HONEST }, Asked::ChatCompletions).await;
        let error = result.expect_err("no figure").to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(asked, 1, "{error}");
    }
}

#[test]
fn a_model_is_asked_the_way_it_can_be() {
    use Feature::{Chat, Completions, Embeddings, Evidence, Vision};
    assert_eq!(endpoint(&[Evidence, Completions, Chat]), Some(Asked::ChatCompletions));
    assert_eq!(endpoint(&[Completions]), Some(Asked::Completions));
    assert_eq!(endpoint(&[Embeddings]), Some(Asked::Embeddings));
    assert_eq!(endpoint(&[Vision]), None);
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A market whose nodes are measured, every hour.
struct Stage {
    market: Market,
    context: Arc<Context>,
    asked: Arc<AtomicU32>,
}

impl Stage {
    fn new(measure: &str) -> Self {
        let text = "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
             data_dir = \"/nowhere\"\n[auth]\nmode = \"open\"\n\
             [market]\nnode_listen = \"127.0.0.1:0\"\njoin = \"open\"\n";
        let mut settings = crate::config::parse(text, &|_| None).expect("settings");
        settings.market.measure = measure != "off";
        settings.market.measure_every = 60 * MINUTE;
        let identity = Arc::new(SecretKey::from_seed(&[42; 32]));
        let market = Market::new(&settings, identity, Arc::new(System)).expect("a market");
        let context = Arc::new(context(market.time().clone()));
        let bench = Arc::new(Bench::new(market.clone(), context.clone(), &settings.market));
        context.shutdown.spawn(bench.run());
        Self { market, context, asked: Arc::new(AtomicU32::new(0)) }
    }

    /// A node that joined.
    async fn join(&self, number: u64, behaviour: Node) -> Membership {
        let theirs = Served { features: vec![Feature::Chat], ..served("theirs", None) };
        let admission = Joining::new(number, vec![theirs]).ask(&self.market).expect("admitted");
        let (metrics, shutdown) = (&self.context.metrics, &self.context.shutdown);
        let endpoint = node(behaviour, &admission.provider, &self.asked, metrics, shutdown).await;
        let membership = self.market.attach(admission, endpoint);
        self.market.publish();
        membership
    }

    fn counts(&self) -> (u64, u64) {
        let measurements = &self.context.metrics.measurements;
        (measurements.get(Measurement::Ok).get(), measurements.get(Measurement::Failed).get())
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_measured_when_it_joins_and_every_so_often() {
    let stage = Stage::new("on");
    let member = stage.join(1, HONEST).await;
    sleep(30 * SECOND).await;
    assert_eq!(stage.counts(), (1, 0));
    let known = member.member().known.clone();
    assert_eq!(known.figures().decode_tps, Some(50.0));
    sleep(50 * MINUTE).await;
    assert_eq!(stage.counts(), (1, 0), "an hour, a tenth more or less, is not over");
    sleep(20 * MINUTE).await;
    assert_eq!(stage.counts(), (2, 0));
    drop(member);
    stage.market.publish();
    let back = stage.join(1, HONEST).await;
    sleep(8 * MINUTE).await;
    assert_eq!(stage.counts(), (2, 0), "coming and going has nobody measured all the time");
    assert_eq!(back.report().decode_tps, Some(50.0), "what is known stays with the key");
    sleep(5 * MINUTE).await;
    assert_eq!(stage.counts(), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_busy_node_is_waited_for_but_not_for_ever() {
    let stage = Stage::new("on");
    let member = stage.join(1, HONEST).await;
    member.heartbeat(Load { running: 1, queued: 0, kv_used: None });
    sleep(50 * SECOND).await;
    assert_eq!(stage.asked.load(SeqCst), 0);
    sleep(30 * SECOND).await;
    assert_eq!(stage.counts(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn so_many_are_measured_at_once_and_the_others_in_turn() {
    let stage = Stage::new("on");
    let mut members = Vec::new();
    for number in 0..20 {
        members.push(stage.join(number, Node { head_ms: 5_000, ..HONEST }).await);
    }
    sleep(3 * SECOND).await;
    assert_eq!(stage.asked.load(SeqCst), u32::try_from(AT_ONCE).expect("small"));
    sleep(2 * MINUTE).await;
    assert_eq!(stage.counts(), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_kept_and_tried_again_later_and_costs_no_standing() {
    let stage = Stage::new("on");
    let silent = stage.join(1, Node { fault: Fault::Silent, ..HONEST }).await;
    sleep(50 * SECOND).await;
    assert_eq!(stage.counts(), (0, 0));
    sleep(20 * SECOND).await;
    assert_eq!(stage.counts(), (0, 1), "it was given up");
    let evidence = &silent.member().known.evidence;
    let last = evidence.last(EvidenceKind::Speed).expect("a record");
    assert_eq!(last.verdict, EvidenceVerdict::Failed);
    assert_eq!(last.note.as_deref(), Some("it took too long"));
    assert_eq!(silent.member().standing(), Standing::Probation);
    sleep(12 * MINUTE).await;
    assert_eq!(stage.counts(), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_measured_where_that_is_off_and_who_left_did_not_fail() {
    let off = Stage::new("off");
    let _member = off.join(1, HONEST).await;
    sleep(10 * MINUTE).await;
    assert_eq!(off.asked.load(SeqCst), 0);
    let on = Stage::new("on");
    let member = on.join(1, Node { fault: Fault::Silent, ..HONEST }).await;
    sleep(5 * SECOND).await;
    assert_eq!(on.asked.load(SeqCst), 1);
    drop(member);
    sleep(10 * MINUTE).await;
    assert_eq!(on.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn coming_back_after_a_failure_is_no_reason_to_be_measured_again() {
    let stage = Stage::new("on");
    for _ in 0..20 {
        let failing = stage.join(1, Node { fault: Fault::Status, ..HONEST }).await;
        sleep(5 * SECOND).await;
        drop(failing);
        stage.market.publish();
    }
    assert_eq!(stage.counts(), (0, 1));
    let _back = stage.join(1, HONEST).await;
    sleep(11 * MINUTE).await;
    assert_eq!(stage.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_it_is_measured_makes_room_at_once() {
    let stage = Stage::new("on");
    let mut silent = Vec::new();
    for number in 0..AT_ONCE as u64 {
        silent.push(stage.join(number, Node { fault: Fault::Silent, ..HONEST }).await);
    }
    sleep(3 * SECOND).await;
    let _waiting = stage.join(99, HONEST).await;
    drop(silent);
    stage.market.publish();
    sleep(10 * SECOND).await;
    assert_eq!(stage.counts(), (1, 0));
}
