//! Scoring by a fronted server: each dialect as the server speaks it, and what it is asked in it.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Json, Response};
use http_body_util::BodyExt;
use openapi::chat::FinishReason;
use openapi::node::Feature;
use provider::engine::score::{Answer, Job};
use provider::engine::upstream::{Dialect, ModelMap, Options, Upstream};
use provider::engine::{self, Engine, Error, Prompt, RawRequest, Sampling, ToolUse};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const END: u32 = 1535;
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/pip");

/// The likeliest tokens behind so many: 20 of them, the last one an end every fifth time.
fn likeliest(behind: usize) -> Vec<(u32, f64)> {
    let id = |rank: u32| match rank {
        2 if behind.is_multiple_of(5) => END,
        rank => (u32::try_from(behind).unwrap() * 7 + rank) % 1000,
    };
    (0..20).map(|rank| (id(rank), -1.8 - 0.3 * f64::from(rank))).collect()
}

/// Any token's.
fn lp(behind: usize, id: u32) -> (f64, u32) {
    let likely = likeliest(behind);
    let at = likely.iter().position(|(other, _)| *other == id);
    at.map_or((-9.0, 40), |at| (likely[at].1, u32::try_from(at).unwrap()))
}

#[derive(Debug)]
struct Server {
    asked: Mutex<Vec<(String, Value)>>,
    /// Changes what is answered.
    twist: fn(&mut Value),
    _tasks: Mutex<JoinSet<()>>,
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let ids = |name: &str| -> Vec<u32> { serde_json::from_value(body[name].clone()).unwrap() };
    let mut said = match path.as_str() {
        "/v1/models" => return Json(json!({"data": [{"id": "there"}]})).into_response(),
        "/v1/completions" => vllm(&ids("prompt")),
        "/generate" => sglang(&ids("input_ids"), body["logprob_start_len"].as_u64().unwrap()),
        "/completion" => llama_cpp(ids("prompt").len(), body["n_probs"].as_u64().unwrap()),
        _ => return http::StatusCode::NOT_FOUND.into_response(),
    };
    (server.twist)(&mut said);
    server.asked.lock().unwrap().push((path, body));
    Json(said).into_response()
}

fn vllm(ids: &[u32]) -> Value {
    let entry = |lp: f64, rank: u32| json!({"logprob": lp, "rank": rank + 1, "decoded_token": "x"});
    let row = |(at, id): (usize, &u32)| {
        if at == 0 {
            return Value::Null;
        }
        let likely = (0..).zip(likeliest(at));
        let mut row: BTreeMap<String, Value> =
            likely.map(|(rank, (id, lp))| (id.to_string(), entry(lp, rank))).collect();
        let (own, rank) = lp(at, *id);
        row.insert(id.to_string(), entry(own, rank));
        json!(row)
    };
    let rows: Vec<Value> = ids.iter().enumerate().map(row).collect();
    json!({"id": "cmpl-1", "choices": [{"index": 0, "text": "x", "prompt_logprobs": rows}]})
}

fn sglang(ids: &[u32], start: u64) -> Value {
    let start = usize::try_from(start).unwrap();
    let own = |at: usize| json!([lp(at, ids[at]).0, ids[at], null]);
    let likely = |at: usize| {
        let all: Vec<Value> = likeliest(at).iter().map(|(id, lp)| json!([lp, id, "x"])).collect();
        json!(all)
    };
    let rest = start + 1..ids.len();
    let own: Vec<Value> =
        std::iter::once(json!([null, ids[start], null])).chain(rest.clone().map(own)).collect();
    let likely: Vec<Value> = std::iter::once(Value::Null).chain(rest.map(likely)).collect();
    json!({"text": "x", "meta_info": {"prompt_tokens": ids.len(), "input_token_logprobs": own,
        "input_top_logprobs": likely}})
}

fn llama_cpp(behind: usize, count: u64) -> Value {
    assert!(count >= 20);
    let likely = likeliest(behind);
    let all: Vec<Value> = likely
        .iter()
        .map(|(id, lp)| json!({"id": id, "token": "x", "bytes": [120], "logprob": lp}))
        .collect();
    json!({"content": "x", "tokens": [1], "completion_probabilities": [{"id": 1, "token": "x",
        "bytes": [120], "logprob": -0.5, "top_logprobs": all}]})
}

/// An engine before a server that speaks this.
async fn front(scorer: Dialect, twist: fn(&mut Value)) -> (Upstream, Arc<Server>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    let server = Arc::new(Server { asked: Mutex::default(), twist, _tasks: Mutex::default() });
    let router = Router::new().fallback(answer).with_state(Arc::clone(&server));
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    *server._tasks.lock().unwrap() = tasks;
    provider::app::install_crypto();
    let map = ModelMap {
        id: "ours".to_owned(),
        upstream_model: "there".to_owned(),
        weights_id: Some("b3:w".to_owned()),
        quant: Some("bf16".to_owned()),
        files: Some(FILES.into()),
        ..ModelMap::default()
    };
    let options = Options {
        base_url: format!("http://{addr}/v1").parse().unwrap(),
        api_key: None,
        models: vec![map],
        max_concurrent: 4,
        connect_timeout: Duration::from_secs(5),
        header_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(20),
        refresh: Duration::from_secs(60),
        scorer: Some(scorer),
    };
    let engine = Upstream::new(options, Arc::default()).unwrap();
    engine.refresh().await;
    (engine, server)
}

/// " 7 plus 5", in tokens of the files, and an end.
fn job(ids: &[u32], positions: Option<Vec<u32>>) -> Job {
    let body =
        json!({"model": "ours", "messages": [{"role": "user", "content": "What is 7 plus 5?"}]});
    let job = engine::Job {
        request_id: "test".into(),
        model: "ours".into(),
        prompt: Prompt::Chat(Arc::new(serde_json::from_value(body).unwrap())),
        sampling: Sampling {
            seed: 1,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: BTreeMap::new(),
        },
        max_tokens: Some(9),
        stop: vec![],
        constraint: None,
        tool_use: ToolUse::Off,
        logprobs: None,
        evidence: false,
        choice: 0,
        resume: None,
        raw: RawRequest::default(),
    };
    Job { job, ids: ids.to_vec(), positions, top_k: 4, margins: true }
}

/// Four tokens of which the last is an end: the likeliest, the fourth, an unlikely one.
fn ids(prompt: usize) -> Vec<u32> {
    vec![likeliest(prompt)[0].0, likeliest(prompt + 1)[3].0, 1200, END]
}

fn check(answer: &Answer, scored: &[u32], exact: bool) {
    let prompt = answer.prompt_tokens as usize;
    assert!(prompt > 5);
    assert_eq!(answer.scores.iter().map(|score| score.i).collect::<Vec<_>>(), scored);
    assert_eq!((answer.finish_reason, answer.max_tokens), (Some(FinishReason::Stop), 9));
    assert_eq!((answer.sampler, answer.prompt_ids_sha256.len()), (None, 64));
    for score in &answer.scores {
        let behind = prompt + score.i as usize;
        let (own, rank) = lp(behind, score.id);
        if exact || rank < 20 {
            assert!((score.lp - own).abs() < 1e-9, "{score:?}");
        } else {
            // No more is known than that it is not among the likeliest.
            assert!(score.lp <= likeliest(behind)[19].1 && score.lp > -9.0, "{score:?}");
        }
        assert_eq!(score.rank, if exact || rank < 20 { rank } else { 20 }, "{score:?}");
        assert_eq!(score.top, likeliest(behind)[..4], "{score:?}");
        assert_eq!(score.margin, None);
        let end = match score.id {
            END => score.rank,
            _ if behind.is_multiple_of(5) => 2,
            _ => 20,
        };
        assert_eq!(score.eos_rank, end, "{score:?}");
        let is_known = behind.is_multiple_of(5);
        assert_eq!((score.eos_lp - lp(behind, END).0).abs() < 1e-9, is_known || exact && end == 40);
        match rank {
            0 => assert!(score.above == 0.0 && score.own > 0.2, "{score:?}"),
            3 => assert!(score.above > 0.5 && score.own > 0.0, "{score:?}"),
            _ => {}
        }
    }
}

/// How many tokens the prompt has.
async fn prompt(engine: &Upstream) -> usize {
    engine.score(job(&[END], None)).await.unwrap().prompt_tokens as usize
}

#[tokio::test]
async fn vllm_is_asked_for_the_log_probabilities_of_a_prompt() {
    let (engine, server) = front(Dialect::Vllm, |_| {}).await;
    let ids = ids(prompt(&engine).await);
    check(&engine.score(job(&ids, None)).await.unwrap(), &[0, 1, 2, 3], true);
    let (path, body) = server.asked.lock().unwrap().pop().unwrap();
    assert_eq!((path.as_str(), &body["model"]), ("/v1/completions", &json!("there")));
    assert_eq!((&body["prompt_logprobs"], &body["max_tokens"]), (&json!(20), &json!(1)));
    let sent = body["prompt"].as_array().unwrap();
    assert_eq!(json!(sent[sent.len() - 4..]), json!(ids));
    check(&engine.score(job(&ids, Some(vec![1, 2]))).await.unwrap(), &[1, 2], true);
}

#[tokio::test]
async fn sglang_is_asked_from_the_answer_s_first_token_on() {
    let (engine, server) = front(Dialect::Sglang, |_| {}).await;
    let prompt = prompt(&engine).await;
    let ids = ids(prompt);
    // Its rank is counted in the likeliest.
    check(&without_rank(engine.score(job(&ids, None)).await.unwrap()), &[0, 1, 2, 3], true);
    let (path, body) = server.asked.lock().unwrap().pop().unwrap();
    assert_eq!((path.as_str(), &body["return_logprob"]), ("/generate", &json!(true)));
    assert_eq!(body["logprob_start_len"], json!(prompt - 1));
    assert_eq!(body["input_ids"].as_array().unwrap().len(), prompt + 4);
    let some = engine.score(job(&ids, Some(vec![0, 3]))).await.unwrap();
    check(&without_rank(some), &[0, 3], true);
}

/// A rank beyond the likeliest is not told there.
fn without_rank(mut answer: Answer) -> Answer {
    for score in &mut answer.scores {
        if score.rank == 20 {
            score.rank = 40;
            score.eos_rank = if score.id == END { 40 } else { score.eos_rank };
        }
    }
    answer
}

#[tokio::test]
async fn llama_cpp_is_asked_position_by_position() {
    let (engine, server) = front(Dialect::LlamaCpp, |_| {}).await;
    let prompt = prompt(&engine).await;
    let ids = ids(prompt);
    server.asked.lock().unwrap().clear();
    check(&engine.score(job(&ids, None)).await.unwrap(), &[0, 1, 2, 3], false);
    let asked = std::mem::take(&mut *server.asked.lock().unwrap());
    let lengths = asked.iter().map(|(_, body)| body["prompt"].as_array().unwrap().len());
    assert_eq!(lengths.collect::<Vec<_>>(), [prompt, prompt + 1, prompt + 2, prompt + 3]);
    assert!(asked.iter().all(|(path, body)| path == "/completion" && body["n_predict"] == 1));
    assert!(
        asked.iter().all(|(_, body)| body["cache_prompt"] == true && body["temperature"] == -1)
    );
    let many = engine.score(job(&[1; 9], None)).await;
    assert!(many.is_ok());
    let many = Job { ids: vec![1; 40], ..job(&[], Some((0..11).collect())) };
    assert!(
        matches!(engine.score(many).await, Err(Error::Invalid { param: Some(p), .. }) if p == "positions")
    );
}

#[tokio::test]
async fn what_can_be_scored_is_told() {
    let (engine, _server) = front(Dialect::Vllm, |_| {}).await;
    let model = engine.models().remove(0);
    assert_eq!((model.weights_id.as_deref(), model.quant.as_deref()), (Some("b3:w"), Some("bf16")));
    assert!(model.features.contains(&Feature::Score) && model.template_sha256.is_some());
    assert_eq!(model.reach.map(|reach| (reach.tokens_max, reach.sampler)), Some((2048, None)));
    let (engine, _server) = front(Dialect::LlamaCpp, |_| {}).await;
    assert_eq!(engine.models()[0].reach.map(|reach| reach.tokens_max), Some(10));
    let mut other = job(&[END], None);
    other.job.model = "there".to_owned();
    assert!(matches!(engine.score(other).await, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn an_answer_that_is_of_something_else_is_no_score() {
    let fails = async |dialect: Dialect, twist: fn(&mut Value)| {
        let (engine, _server) = front(dialect, twist).await;
        let scored = engine.score(job(&[5, END], None)).await;
        assert!(matches!(scored, Err(Error::Unavailable(_))), "{dialect:?}: {scored:?}");
    };
    for dialect in [Dialect::Vllm, Dialect::Sglang, Dialect::LlamaCpp] {
        fails(dialect, |said| *said = json!({})).await;
        fails(dialect, |said| *said = json!([])).await;
    }
    fails(Dialect::Vllm, |said| {
        said["choices"][0]["prompt_logprobs"].as_array_mut().unwrap().pop();
    })
    .await;
    fails(Dialect::Vllm, |said| {
        let rows = said["choices"][0]["prompt_logprobs"].as_array_mut().unwrap();
        *rows.last_mut().unwrap() = json!({"7": {"logprob": -1.0, "rank": 1}});
    })
    .await;
    fails(Dialect::Sglang, |said| {
        let rows = said["meta_info"]["input_token_logprobs"].as_array_mut().unwrap();
        *rows.last_mut().unwrap() = json!([-1.0, 7, null]);
    })
    .await;
    fails(Dialect::LlamaCpp, |said| said["completion_probabilities"] = json!([])).await;
}
