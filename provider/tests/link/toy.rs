//! The toy model behind the shipped server: what one node writes, another scores, over leases. Cheaters go
//! through the same server, and are signed for.

use crate::gateway::{Gateway, MODEL, chat};
use crate::tunnel::Tunnel;
use http::Method;
use openapi::evidence::{PROVENANCE_PREFIX, Provenance, parse_ids};
use openapi::sign::{PublicKey, Signed};
use openapi::verify::Scored;
use provider::app::Running;
use provider::engine::toy::{Cheat, Options, Toy};
use provider::testing;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

struct Node {
    _running: Running,
    _gateway: Gateway,
    tunnel: Tunnel,
    key: PublicKey,
}

struct Written {
    ids: Vec<u32>,
    provenance: Provenance,
    text: String,
}

fn request() -> Value {
    let mut request = chat(true);
    request["seed"] = 7.into();
    request["max_tokens"] = 40.into();
    request
}

impl Node {
    async fn new(cheat: Option<Cheat>) -> Self {
        let options = Options { id: MODEL.to_owned(), cheat, ..Options::default() };
        let toy = Arc::new(Toy::new(options, Arc::default()).unwrap());
        let mut gateway = Gateway::start(1).await;
        let urls = [gateway.pinned()];
        let member = testing::member_of(&urls, toy, Arc::default(), |_| {});
        let running = member.await.unwrap();
        let tunnel = gateway.tunnel().await;
        let key = running.links.as_ref().unwrap().status().node;
        Self { _running: running, _gateway: gateway, tunnel, key }
    }

    async fn write(&self) -> Written {
        let headers = [("x-quorate-evidence", "1"), ("x-request-id", "r-1")];
        let path = "/v1/chat/completions";
        let stream = self.tunnel.ask(Method::POST, path, &headers, request()).await.text;
        let ids = stream.lines().filter_map(parse_ids).flat_map(|(_, ids)| ids).collect();
        let told = stream.lines().find_map(|line| line.strip_prefix(PROVENANCE_PREFIX));
        let events = stream.lines().filter_map(|line| line.strip_prefix("data: {"));
        let events = events.map(|event| serde_json::from_str(&format!("{{{event}")).unwrap());
        let text = events.filter_map(|event: Value| {
            Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())
        });
        let text = text.collect();
        Written { ids, provenance: serde_json::from_str(told.unwrap()).unwrap(), text }
    }

    async fn score(&self, written: &Written) -> Scored {
        let body = json!({"weights_id": written.provenance.weights_id, "request": request(),
            "path": "/v1/chat/completions", "completion_token_ids": written.ids, "nonce": "once"});
        let answer = self.tunnel.ask(Method::POST, "/v1/verify/score", &[], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let signed: Signed<Scored> = serde_json::from_str(&answer.text).unwrap();
        signed.open(&self.key).unwrap()
    }
}

fn drawn(scored: &Scored) -> usize {
    scored.scores.iter().filter(|score| score.margin == Some(0.0)).count()
}

#[tokio::test]
async fn what_one_node_writes_another_scores() {
    let (writer, scorer) = (Node::new(None).await, Node::new(None).await);
    let written = writer.write().await;
    assert_eq!(written.ids.len() as u64, written.provenance.usage.completion_tokens);
    assert!(written.provenance.engine.starts_with("toy/"));
    let scored = scorer.score(&written).await;
    assert_eq!(drawn(&scored), written.ids.len());
    assert_eq!(scored.text_sha256, hex::encode(Sha256::digest(written.text.as_bytes())));
    assert_eq!(scored.prompt_ids_sha256, written.provenance.prompt_ids_sha256);
    assert_eq!(scored.weights_id, written.provenance.weights_id);
    assert_eq!(scored.engine, written.provenance.engine);
}

#[tokio::test]
async fn cheaters_go_through_the_same_server() {
    let scorer = Node::new(None).await;
    let honest = Node::new(None).await.write().await;
    let wrong = Node::new(Some(Cheat::WrongModel)).await.write().await;
    assert_eq!(wrong.provenance.weights_id, honest.provenance.weights_id);
    assert!(wrong.provenance.commit.is_some());
    assert!(2 * drawn(&scorer.score(&wrong).await) < wrong.ids.len());
    let more = Node::new(Some(Cheat::InflatedCount)).await.write().await;
    assert!(more.provenance.usage.completion_tokens > more.ids.len() as u64);
    let other = Node::new(Some(Cheat::OtherIds)).await.write().await;
    assert_eq!(other.text, honest.text);
    let scored = scorer.score(&other).await;
    assert_ne!(scored.text_sha256, hex::encode(Sha256::digest(other.text.as_bytes())));
}
