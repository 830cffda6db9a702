//! Scoring over a lease: what is refused before any engine hears of it, what the engine is asked, one at a
//! time, and the signature. The engine is a stand-in that tells what it was asked.

use crate::gateway::Gateway;
use crate::tunnel::{Answer, Tunnel};
use futures_util::future::BoxFuture;
use http::Method;
use openapi::chat::FinishReason;
use openapi::node::Feature;
use openapi::sign::{PublicKey, Signed};
use openapi::verify::{Info, Score, Scored};
use provider::app::Running;
use provider::engine::score::{Answer as Verdict, Job, Reach};
use provider::engine::{self, Engine, Error, ModelInfo, Prompt};
use provider::testing;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

const PATH: &str = "/v1/verify/score";

/// Says of each token what it was asked about it.
#[derive(Debug)]
struct Judge {
    asked: Mutex<Vec<Job>>,
    /// One for each that has begun.
    begun: Semaphore,
    /// Each score takes one.
    go: Semaphore,
}

impl Engine for Judge {
    fn models(&self) -> Vec<ModelInfo> {
        let reach = Some(Reach { tokens_max: 700, sampler: Some("gumbel-v1") });
        let weights_id = Some("b3:ours".to_owned());
        let plain = ModelInfo {
            id: "other".into(),
            weights_id: Some("b3:other".into()),
            ..ModelInfo::default()
        };
        let features = vec![Feature::Chat, Feature::Score];
        vec![
            plain,
            ModelInfo { id: "m".into(), weights_id, reach, features, ..ModelInfo::default() },
        ]
    }

    fn start(&self, _: engine::Job) -> BoxFuture<'_, Result<engine::Answer, Error>> {
        Box::pin(std::future::ready(Err(Error::Unavailable("it only judges".to_owned()))))
    }

    fn score(&self, job: Job) -> BoxFuture<'_, Result<Verdict, Error>> {
        Box::pin(async move {
            self.begun.add_permits(1);
            self.go.acquire().await.unwrap().forget();
            let scores =
                (0u32..).zip(&job.ids).map(|(i, id)| Score { i, id: *id, ..Score::default() });
            let verdict = Verdict {
                prompt_ids_sha256: "p".to_owned(),
                prompt_tokens: 3,
                text_sha256: "t".to_owned(),
                finish_reason: Some(FinishReason::Stop),
                max_tokens: job.job.max_tokens.unwrap_or(0),
                constrained: job.job.constraint.is_some(),
                sampler: job.margins.then_some("gumbel-v1"),
                scores: scores.collect(),
            };
            self.asked.lock().unwrap().push(job);
            Ok(verdict)
        })
    }

    fn concurrency(&self) -> usize {
        4
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }
}

struct Bench {
    judge: Arc<Judge>,
    _running: Running,
    _gateway: Gateway,
    tunnel: Tunnel,
    key: PublicKey,
}

fn judge(permits: usize) -> Judge {
    let (begun, go) = (Semaphore::new(0), Semaphore::new(permits));
    Judge { asked: Mutex::default(), begun, go }
}

async fn bench(permits: usize) -> Bench {
    let judge = Arc::new(judge(permits));
    let mut gateway = Gateway::start(1).await;
    let engine = Arc::clone(&judge) as Arc<dyn Engine>;
    let gateways = [gateway.pinned()];
    let running = testing::member_of(&gateways, engine, Arc::default(), |_| {});
    let running = running.await.unwrap();
    let tunnel = gateway.tunnel().await;
    let key = running.links.as_ref().unwrap().status().node;
    Bench { judge, _running: running, _gateway: gateway, tunnel, key }
}

fn body(change: Value) -> Value {
    let request = json!({"model": "sold as this", "messages": [{"role": "user", "content": "hi"}],
        "seed": 40, "temperature": 0.5, "max_tokens": 9, "n": 3, "stream": true});
    let mut body = json!({"weights_id": "b3:ours", "path": "/v1/chat/completions", "request": request,
        "choice": 2, "completion_token_ids": [5, 6, 7], "top_k": 3, "nonce": "once"});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

impl Bench {
    async fn score(&self, change: Value) -> Answer {
        self.tunnel.ask(Method::POST, PATH, &[], body(change)).await
    }

    async fn scored(&self, change: Value) -> (Scored, Job) {
        let answer = self.score(change).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let signed: Signed<Scored> = serde_json::from_str(&answer.text).unwrap();
        (signed.open(&self.key).unwrap(), self.judge.asked.lock().unwrap().pop().unwrap())
    }
}

#[tokio::test]
async fn the_engine_is_asked_as_the_writer_was_and_the_answer_is_signed() {
    let bench = bench(9).await;
    let (scored, job) = bench.scored(json!({"positions": [0, 2]})).await;
    assert_eq!((scored.nonce.as_str(), scored.weights_id.as_str()), ("once", "b3:ours"));
    assert_eq!((scored.max_tokens, scored.prompt_tokens), (9, 3));
    assert_eq!(scored.finish_reason, Some(FinishReason::Stop));
    assert_eq!(scored.scores.iter().map(|score| score.id).collect::<Vec<_>>(), [5, 6, 7]);
    // The name here, the third choice's seed.
    assert_eq!((job.job.model.as_str(), job.job.sampling.seed), ("m", 42));
    assert_eq!((job.job.sampling.temperature, job.job.choice), (0.5, 2));
    assert_eq!((job.positions, job.top_k, job.margins), (Some(vec![0, 2]), 3, true));
    assert_eq!(job.ids, [5, 6, 7]);
    let Prompt::Chat(request) = job.job.prompt else { panic!("no chat") };
    assert_eq!(request.messages.len(), 1);
    let text = json!({"model": "x", "prompt": ["a", "b"], "seed": -1, "n": 1});
    let (_, job) =
        bench.scored(json!({"path": "/v1/completions", "request": text, "choice": 1})).await;
    assert!(matches!(job.job.prompt, Prompt::Text(text) if text == "b"));
    assert_eq!((job.job.sampling.seed, job.job.max_tokens), (u64::MAX, Some(16)));
}

#[tokio::test]
async fn without_a_seed_margins_are_told_only_where_nothing_is_drawn() {
    let bench = bench(9).await;
    let request = |temperature: f64| {
        let messages = json!([{"role": "user", "content": "hi"}]);
        json!({"choice": 0, "request": {"model": "m", "messages": messages, "temperature": temperature}})
    };
    assert!(!bench.scored(request(1.0)).await.1.margins);
    assert!(bench.scored(request(0.0)).await.1.margins);
}

#[tokio::test]
async fn an_answer_gone_on_with_is_scored_from_its_first_token() {
    let bench = bench(1).await;
    let mut body = body(json!({"choice": 0}));
    body["request"]["n"] = json!(1);
    body["request"]["quorate"] = json!({"resume": {"ids": [5], "text_bytes": 0}});
    let answer = bench.tunnel.ask(Method::POST, PATH, &[], body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let job = bench.judge.asked.lock().unwrap().pop().unwrap();
    assert!(job.job.resume.is_none());
    assert_eq!(job.ids, [5, 6, 7]);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let bench = bench(0).await;
    let many: Vec<u32> = (0..2049).collect();
    for (change, status, param) in [
        (json!({"weights_id": "b3:other"}), 409, "weights_id"),
        (json!({"path": "/v1/embeddings"}), 400, "path"),
        (
            json!({"request": {"model": "m", "messages": [], "temperature": 9}}),
            400,
            "request.messages",
        ),
        (json!({"request": {"model": "m"}}), 400, "request.messages"),
        (json!({"request": 7}), 400, "request"),
        (json!({"choice": 3}), 400, "choice"),
        (json!({"top_k": 21}), 400, "top_k"),
        (json!({"nonce": "x".repeat(65)}), 400, "nonce"),
        (json!({"completion_token_ids": []}), 400, "completion_token_ids"),
        (json!({"completion_token_ids": [-1]}), 400, "completion_token_ids[0]"),
        (json!({"completion_token_ids": many}), 400, "completion_token_ids"),
        (json!({"positions": []}), 400, "positions"),
        (json!({"positions": [3]}), 400, "positions"),
        (json!({"positions": [1, 0]}), 400, "positions"),
        (json!({"positions": [1, 1]}), 400, "positions"),
    ] {
        let answer = bench.score(change.clone()).await;
        assert_eq!(answer.status, status, "{change}: {}", answer.text);
        let error: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(error["error"]["param"], param, "{change}: {}", answer.text);
        if status == 409 {
            assert_eq!(error["error"]["code"], "weights_mismatch");
        }
    }
    assert!(bench.judge.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn one_at_a_time_and_when_to_come_back() {
    let bench = bench(0).await;
    let first = bench.score(json!({}));
    let rest = async {
        bench.judge.begun.acquire().await.unwrap().forget();
        let refused = bench.score(json!({})).await;
        bench.judge.go.add_permits(1);
        refused
    };
    let (first, refused) = tokio::join!(first, rest);
    assert_eq!((first.status, refused.status), (200.try_into().unwrap(), 429.try_into().unwrap()));
    assert_eq!(refused.headers["retry-after"], "1");
    bench.judge.go.add_permits(1);
    assert_eq!(bench.score(json!({})).await.status, 200);
}

#[tokio::test]
async fn only_over_a_lease() {
    let bench = bench(1).await;
    let none =
        bench.tunnel.send(Method::POST, PATH, None, body(json!({})).to_string().into()).await;
    assert_eq!(none.status(), 401);
    assert_eq!(bench.tunnel.get("/v1/verify/info", None).await.status, 401);
    let info = bench.tunnel.get("/v1/verify/info", Some(&bench.tunnel.token)).await;
    let info: Info = serde_json::from_str(&info.text).unwrap();
    assert_eq!((info.models.len(), info.models[0].model.as_str()), (1, "m"));
    assert_eq!((info.models[0].tokens_max, info.time_share), (700, 0.1));
    // One in no market has no key to sign with.
    let alone = testing::serve(Arc::new(judge(1)), Arc::default()).await.unwrap();
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Full<bytes::Bytes>>();
    let request = http::Request::post(format!("http://{}{PATH}", alone.addr))
        .header("content-type", "application/json")
        .body(http_body_util::Full::from(body(json!({})).to_string()))
        .unwrap();
    assert_eq!(client.request(request).await.unwrap().status(), 503);
}
