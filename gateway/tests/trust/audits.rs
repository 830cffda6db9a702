//! Who is honest passes; who is not is found, by others' word or by its own, and sent away for good.

use bytes::Bytes;
use gateway::metrics::ScoreOutcome;
use openapi::nodes::{EvidenceKind, EvidenceVerdict};
use openapi::receipt::{Keys, verify};
use provider::engine::toy::Cheat;
use serde_json::{Value, json};

use crate::harness::{Gateway, Node, gateway, long, until_future};

/// A node that may cheat, and two honest ones of other operators.
async fn three(cheat: Option<Cheat>) -> (Gateway, Node, [Node; 2]) {
    let gateway = gateway(|_| {}).await;
    let node = gateway.node(cheat).await;
    let honest = [gateway.node(None).await, gateway.node(None).await];
    gateway.until_offers(3).await;
    (gateway, node, honest)
}

#[tokio::test]
async fn honest_answers_pass_streamed_whole_and_under_a_schema() {
    let (gateway, node, _others) = three(None).await;
    let verdicts = gateway.audited(&node, &long(), 5).await;
    assert_eq!((verdicts.passes, verdicts.fails), (5, 0), "{:?}", gateway.evidence(&node));
    let mut whole = long();
    whole["stream"] = json!(false);
    let verdicts = gateway.audited(&node, &whole, 3).await;
    assert_eq!((verdicts.passes, verdicts.fails), (8, 0), "{:?}", gateway.evidence(&node));
    let mut schema = long();
    schema["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "s",
        "schema": {"type": "object", "properties": {"a": {"type": "string", "maxLength": 8}},
        "required": ["a"], "additionalProperties": false}}});
    gateway.audited(&node, &schema, 8).await;
    assert_eq!(gateway.verdicts(&node).fails, 0, "{:?}", gateway.evidence(&node));
}

#[tokio::test]
async fn short_answers_are_judged_together() {
    let (gateway, node, _others) = three(None).await;
    let mut short = long();
    short["max_tokens"] = json!(16);
    let verdicts = gateway.audited(&node, &short, 8).await;
    assert_eq!(verdicts.fails, 0, "{:?}", gateway.evidence(&node));
    assert!((1..=4).contains(&verdicts.passes), "{verdicts:?}");
}

#[tokio::test]
async fn who_sells_another_model_is_sent_away_and_stays_so() {
    let (gateway, node, others) = three(Some(Cheat::WrongModel)).await;
    for _ in 0..10 {
        if gateway.standing(&node).is_none() {
            break;
        }
        gateway.audited(&node, &long(), 1).await;
    }
    assert_eq!(gateway.standing(&node), None, "{:?}", gateway.verdicts(&node));
    let reason = gateway.running.app.market.ejected(&node.key).expect("sent away");
    assert!(reason.contains("quarantined"), "{reason}");
    let fails: Vec<_> = gateway
        .evidence(&node)
        .into_iter()
        .filter(|record| record.kind == EvidenceKind::Audit)
        .collect();
    assert!(fails.iter().all(|record| record.verdict == EvidenceVerdict::Failed), "{fails:?}");
    let audit = fails.last().and_then(|record| record.audit.clone()).expect("an audit");
    assert!(audit.scores.len() >= 2, "a fail is confirmed: {audit:?}");
    assert!(audit.commit.is_some() && audit.sig.is_some());
    for other in &others {
        assert_eq!(gateway.verdicts(other).fails, 0, "{:?}", gateway.evidence(other));
    }
    let again = gateway.restarted().await;
    assert!(again.running.app.market.ejected(&node.key).is_some(), "it is on disk");
    assert!(!again.evidence(&node).is_empty(), "and why");
}

#[tokio::test]
async fn what_a_cheater_is_found_by() {
    for (cheat, reason) in [
        (Cheat::Prefill, "(S3)"),
        (Cheat::IgnoresSeed, "(S3)"),
        (Cheat::IgnoresTemperature, "(S3)"),
        (Cheat::ForgedLogprobs, "(S1)"),
        (Cheat::Truncated, "(S5)"),
        (Cheat::OtherIds, "(S6)"),
    ] {
        let (gateway, node, _others) = three(Some(cheat)).await;
        let verdicts = gateway.audited(&node, &long(), 2).await;
        let evidence = gateway.evidence(&node);
        let reasons: Vec<String> =
            evidence.iter().filter_map(|r| Some(r.audit.as_ref()?.reasons.join(";"))).collect();
        assert!(verdicts.fails > 0, "{cheat:?}: {evidence:?}");
        assert!(reasons.iter().any(|why| why.contains(reason)), "{cheat:?}: {reasons:?}");
    }
}

#[tokio::test]
async fn without_a_second_scorer_nobody_is_blamed() {
    let gateway = gateway(|_| {}).await;
    let node = gateway.node(Some(Cheat::WrongModel)).await;
    let _one = gateway.node(None).await;
    gateway.until_offers(2).await;
    let verdicts = gateway.audited(&node, &long(), 3).await;
    assert_eq!((verdicts.passes, verdicts.fails), (0, 0));
    let unknown = gateway.evidence(&node);
    assert!(unknown.iter().any(|record| record.verdict == EvidenceVerdict::Unknown));
}

#[tokio::test]
async fn a_key_or_a_request_may_do_without() {
    let (gateway, node, _others) = three(Some(Cheat::WrongModel)).await;
    let mut off = long();
    off["verification"] = json!({"mode": "off"});
    let verdicts = gateway.audited(&node, &off, 3).await;
    assert_eq!((verdicts.answers, verdicts.fails, verdicts.passes), (3, 0, 0));
}

#[tokio::test]
async fn a_lazy_scorer_is_the_odd_one_out() {
    let gateway = gateway(|_| {}).await;
    let node = gateway.node(None).await;
    let lazy = gateway.node(Some(Cheat::LazyRandom)).await;
    let _others = [gateway.node(None).await, gateway.node(None).await];
    gateway.until_offers(4).await;
    gateway.audited(&node, &long(), 16).await;
    assert!(gateway.verdicts(&lazy).fails > 0, "{:?}", gateway.evidence(&lazy));
    assert_eq!(gateway.verdicts(&node).fails, 0, "{:?}", gateway.evidence(&node));
}

#[tokio::test]
async fn nobody_scores_what_the_requests_policy_keeps_from_them() {
    let (gateway, node, _others) = three(Some(Cheat::WrongModel)).await;
    let member = gateway.running.app.market.member(&node.key).expect("here");
    let mut only = long();
    only["provider"] = json!({"only": [&*member.provider]});
    for _ in 0..3 {
        let (status, bytes) = gateway.ask(&only).await;
        assert_eq!(status, 200, "{bytes:?}");
    }
    gateway.settled().await;
    let verdicts = gateway.verdicts(&node);
    assert_eq!((verdicts.passes, verdicts.fails), (0, 0), "none, and never a pass");
    let asked = [ScoreOutcome::Ok, ScoreOutcome::Failed, ScoreOutcome::Malformed]
        .map(|outcome| gateway.running.app.metrics.trust.scores.get(outcome).get());
    assert_eq!(asked, [0; 3]);
}

/// Asked for until nothing is pending any more.
async fn receipt(gateway: &Gateway, id: &str) -> Value {
    until_future(async {
        loop {
            let path = format!("/v1/receipts/{id}");
            let (status, _, bytes) = gateway.send("GET", &path, Bytes::new()).await;
            let receipt: Value = serde_json::from_slice(&bytes).expect("JSON");
            if status == 200 && receipt["claims"]["verified"] != "pending" {
                return receipt;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_receipt_says_what_the_audit_found_under_the_scorers_signatures() {
    for (cheat, verified, audits) in [(None, "pass", 1), (Some(Cheat::WrongModel), "fail", 2)] {
        let (gateway, node, _others) = three(cheat).await;
        let mut body = long();
        body["provider"] = json!({"order": [gateway.name(&node)]});
        let body = Bytes::from(body.to_string());
        let (_, headers, answer) = gateway.send("POST", "/v1/chat/completions", body.clone()).await;
        assert_eq!(headers["x-quorate-verified"], "pending");
        let id = headers["x-quorate-receipt"].to_str().expect("an id").to_owned();
        let receipt = receipt(&gateway, &id).await;
        let claims = &receipt["claims"];
        assert_eq!(claims["verified"], verified, "{claims}");
        assert_eq!(claims["verification"]["mode"], "audit");
        assert_eq!(claims["audits"].as_array().map(Vec::len), Some(audits), "{claims}");
        let (_, _, keys) = gateway.send("GET", "/v1/receipts/keys", Bytes::new()).await;
        let keys: Keys = serde_json::from_slice(&keys).expect("keys");
        let keys: Vec<_> = keys.data.iter().map(|key| key.key).collect();
        let text = receipt.to_string();
        let fits =
            |answer: &[u8]| verify(text.as_bytes(), Some(&body), Some(answer), &keys).is_ok();
        assert!(fits(&answer));
        assert!(!fits(b"another answer"));
    }
}

#[tokio::test]
async fn a_request_may_ask_for_what_audits_have_shown() {
    let (gateway, node, _others) = three(None).await;
    gateway.audited(&node, &long(), 12).await;
    let mut body = long();
    body["provider"] = json!({"min_reputation": 0.5});
    for _ in 0..4 {
        let sent = Bytes::from(body.to_string());
        let (status, headers, _) = gateway.send("POST", "/v1/chat/completions", sent).await;
        assert_eq!(status, 200);
        assert_eq!(headers["x-quorate-provider"], *gateway.name(&node));
    }
    body["provider"] = json!({"min_reputation": 0.99});
    let (status, bytes) = gateway.ask(&body).await;
    let error: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!((status.as_u16(), &error["error"]["code"]), (503, &json!("no_provider")));
    let message = error["error"]["message"].as_str().expect("a message");
    assert!(message.contains("provider.min_reputation"), "{message}");
}
