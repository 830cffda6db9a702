//! What a node commits itself to with an answer, and what it shows of it on audit.

use crate::gateway::{Gateway, chat, member};
use crate::tunnel::{Answer, Tunnel};
use http::Method;
use openapi::commit::{self, Commitment, ids_sha256, logprobs_sha256};
use openapi::evidence::{PROVENANCE_PREFIX, Provenance, parse_ids};
use openapi::sign::PublicKey;
use openapi::verify::Revealed;
use provider::app::Running;
use serde_json::{Value, json};

const NONCE: &str = "00112233445566778899aabbccddeeff";

async fn node(script: Value) -> (Running, Gateway, Tunnel, PublicKey) {
    let mut gateway = Gateway::start(1).await;
    let running = member(&[gateway.pinned()], script, |_, _| {}).await;
    let tunnel = gateway.tunnel().await;
    let key = running.links.as_ref().unwrap().status().node;
    (running, gateway, tunnel, key)
}

/// A stream with evidence, as request `id`.
async fn stream(tunnel: &Tunnel, id: &str, members: Value) -> Answer {
    let mut body = chat(true);
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let headers = [("x-quorate-evidence", "1"), ("x-quorate-nonce", NONCE), ("x-request-id", id)];
    tunnel.ask(Method::POST, "/v1/chat/completions", &headers, body).await
}

fn provenance(text: &str) -> Option<Provenance> {
    let line = text.lines().find_map(|line| line.strip_prefix(PROVENANCE_PREFIX))?;
    serde_json::from_str(line).ok()
}

/// What a gateway collects from the comments.
fn ids(text: &str, choices: usize) -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new(); choices];
    for (choice, ids) in text.lines().filter_map(parse_ids) {
        all[choice as usize].extend(ids);
    }
    all
}

async fn reveal(tunnel: &Tunnel, id: &str, nonce: &str) -> Answer {
    let path = format!("/v1/verify/evidence/{id}");
    tunnel.ask(Method::GET, &path, &[("x-quorate-nonce", nonce)], Value::Null).await
}

async fn revealed(tunnel: &Tunnel, id: &str) -> Revealed {
    let answer = reveal(tunnel, id, NONCE).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    serde_json::from_str(&answer.text).unwrap()
}

/// As a gateway checks it: from what it saw itself, and what is shown.
fn check(text: &str, shown: &Revealed, key: PublicKey, (id, choices): (&str, usize)) {
    let told = provenance(text).unwrap();
    let digests = (ids_sha256(&ids(text, choices)), logprobs_sha256(&shown.choices));
    let expected = Commitment::new(&told, (crate::gateway::MODEL, id, NONCE), digests);
    assert_eq!(shown.commitment, expected);
    let digest = expected.digest().unwrap();
    assert_eq!(told.commit.as_ref(), Some(&digest));
    key.verify(commit::DOMAIN, digest.as_bytes(), &told.sig.unwrap()).unwrap();
}

#[tokio::test]
async fn an_answer_is_committed_to_and_shown_to_who_has_its_nonce() {
    let (_running, _gateway, tunnel, key) = node(json!({"tokens": 3})).await;
    let text = stream(&tunnel, "r-1", json!({"seed": 7})).await.text;
    let shown = revealed(&tunnel, "r-1").await;
    check(&text, &shown, key, ("r-1", 1));
    let lps: Vec<i32> = shown.choices[0].iter().map(|claim| claim.lp).collect();
    assert_eq!((lps, shown.commitment.seed.as_str()), (vec![-125, -250, -375], "7"));
    for (id, nonce) in [("r-2", NONCE), ("r-1", "ffffffffffffffffffffffffffffffff")] {
        let answer = reveal(&tunnel, id, nonce).await;
        assert_eq!(answer.status, 404);
        assert!(answer.text.contains("\"code\":\"evidence_not_found\""), "{}", answer.text);
    }
    let none = tunnel.ask(Method::GET, "/v1/verify/evidence/r-1", &[], Value::Null).await;
    assert_eq!(none.status, 404, "without its nonce");
    assert_eq!(tunnel.get("/v1/verify/evidence/r-1", None).await.status, 401);
}

#[tokio::test]
async fn each_choice_and_each_occasion_has_its_own() {
    let (_running, _gateway, tunnel, key) = node(json!({"tokens": 2})).await;
    let text = stream(&tunnel, "r-1", json!({"n": 3})).await.text;
    let shown = revealed(&tunnel, "r-1").await;
    assert_eq!(shown.choices.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
    check(&text, &shown, key, ("r-1", 3));
    let again = stream(&tunnel, "r-2", json!({"n": 3})).await.text;
    assert_ne!(provenance(&again).unwrap().commit, provenance(&text).unwrap().commit);
    // Who asks for no evidence gets none, and nothing is kept.
    let plain =
        tunnel.ask(Method::POST, "/v1/chat/completions", &[("x-request-id", "r-3")], chat(true));
    assert!(!plain.await.text.contains("q-provenance"));
    assert_eq!(reveal(&tunnel, "r-3", NONCE).await.status, 404);
}

#[tokio::test]
async fn of_an_answer_gone_on_with_only_one_s_own_tokens_are_claimed() {
    let (_running, _gateway, tunnel, key) = node(json!({"tokens": 5})).await;
    let resume = json!({"resume": {"ids": [0, 1], "text_bytes": 10}});
    let text = stream(&tunnel, "r-1", json!({"quorate": resume})).await.text;
    let told = provenance(&text).unwrap();
    assert_eq!((told.resumed, told.usage.completion_tokens), (2, 5));
    let shown = revealed(&tunnel, "r-1").await;
    assert_eq!((shown.choices[0].len(), shown.commitment.resumed), (3, 2));
    // The ids are the whole answer's: the gateway knows those before.
    let before = ": q 0 1\n".to_owned();
    check(&(before + &text), &shown, key, ("r-1", 1));
}

#[tokio::test]
async fn a_nonce_that_is_none_is_refused() {
    let (_running, _gateway, tunnel, _) = node(json!({})).await;
    for nonce in ["", "00", "0011223344556677889900112233445g", &NONCE.repeat(2)] {
        let headers = [("x-quorate-nonce", nonce)];
        let answer = tunnel.ask(Method::POST, "/v1/chat/completions", &headers, chat(true)).await;
        assert_eq!(answer.status, 400, "{nonce}");
        assert!(answer.text.contains("\"param\":\"x-quorate-nonce\""), "{}", answer.text);
        assert_eq!(reveal(&tunnel, "r", nonce).await.status, 400);
    }
}

/// What gateways must notice; each a member of the script.
#[tokio::test]
async fn scripts_spoil_their_evidence() {
    let (_running, _gateway, tunnel, key) = node(json!({"tokens": 3})).await;
    let mut number = 0;
    let mut spoilt = async |fault: &str| {
        number += 1;
        let id = format!("r-{number}");
        let text = stream(&tunnel, &id, json!({"script": {"evidence": fault}})).await.text;
        assert!(text.contains("data: [DONE]"), "{fault}: {text}");
        (provenance(&text), text)
    };
    assert!(spoilt("no_provenance").await.0.is_none());
    let (none, text) = spoilt("malformed_provenance").await;
    assert!(none.is_none() && text.contains(PROVENANCE_PREFIX));
    let (told, text) = spoilt("no_ids").await;
    assert!(told.is_some() && ids(&text, 1)[0].is_empty());
    assert_eq!(ids(&spoilt("other_ids").await.1, 1)[0], [1, 2, 3]);
    let told = spoilt("no_signature").await.0.unwrap();
    assert!(told.commit.is_some() && told.sig.is_none());
    let told = spoilt("bad_commitment").await.0.unwrap();
    let digest = told.commit.unwrap();
    assert!(key.verify(commit::DOMAIN, digest.as_bytes(), &told.sig.unwrap()).is_err());
    let honest = provenance(&stream(&tunnel, "r-0", json!({})).await.text).unwrap();
    assert_ne!(spoilt("other_weights").await.0.unwrap().weights_id, honest.weights_id);
    assert_ne!(spoilt("other_prompt").await.0.unwrap().prompt_ids_sha256, honest.prompt_ids_sha256);
}
