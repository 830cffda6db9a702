//! Who serves the weights it sells passes; who serves others under their name is found.

use provider::counters::Counters;
use provider::engine::Engine;
use provider::engine::mistral::{Dtype, Mistral};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;

use crate::harness::{Gateway, MODEL, Node, gateway_of};
use crate::posing::{Posing, load, models};

/// The bundled model of two operators, and a gateway that lists it.
async fn market() -> (Gateway, [Node; 2], Mistral) {
    let counters = Arc::new(Counters::default());
    let sample = load(&models("pip"), Dtype::Auto, &counters).await;
    let weights = sample.models()[0].weights_id.clone().expect("an id");
    let gateway = gateway_of(&weights, |_| {}).await;
    let nodes = [honest(&gateway).await, honest(&gateway).await];
    (gateway, nodes, sample)
}

async fn honest(gateway: &Gateway) -> Node {
    let counters = Arc::new(Counters::default());
    let engine = load(&models("pip"), Dtype::Auto, &counters).await;
    gateway.join(Arc::new(engine), counters).await
}

fn story() -> Value {
    json!({"model": MODEL, "stream": true, "temperature": 1.0, "max_tokens": 120,
        "messages": [{"role": "user", "content": "Tell me a story."}]})
}

#[tokio::test]
async fn the_full_weights_pass_and_another_model_under_their_name_is_sent_away() {
    let (gateway, honest, sample) = market().await;
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        fs::copy(models("impostor").join(name), folder.path().join(name)).expect("copies");
    }
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(models("pip").join(name), folder.path().join(name)).expect("copies");
    }
    let counters = Arc::new(Counters::default());
    let engine = load(folder.path(), Dtype::Auto, &counters).await;
    let posing = Posing::new(engine, sample.models().remove(0));
    let impostor = gateway.join(Arc::new(posing), counters).await;
    gateway.until_offers(3).await;

    let good = gateway.audited(&honest[0], &story(), 8).await;
    assert_eq!(good.fails, 0, "{:?}", gateway.evidence(&honest[0]));
    assert!(good.passes > 0, "{:?}", gateway.evidence(&honest[0]));

    // Answers are short: those of 64 tokens are judged together.
    let (mut fails, mut answers, mut first) = (0, 0, None);
    while gateway.standing(&impostor).is_some() && fails < 6 && answers < 60 {
        fails = gateway.audited(&impostor, &story(), 1).await.fails;
        answers += 1;
        first = first.or((fails > 0).then_some(answers));
    }
    println!("impostor: first fail at answer {first:?}, sent away after {answers}, {fails} fails");
    assert!(first.is_some_and(|first| first <= 8), "within two pools: {first:?}");
    assert!(gateway.standing(&impostor).is_none(), "sent away: {:?}", gateway.verdicts(&impostor));
    assert!(fails <= 5, "by the fifth confirmed fail: {fails}");
    for node in &honest {
        assert_eq!(gateway.verdicts(node).fails, 0, "{:?}", gateway.evidence(node));
    }
}

/// Half precision sold as full: whether a test of so few tokens sees it is a matter of its power, and is
/// told and not claimed.
#[tokio::test]
async fn half_precision_sold_as_full_is_measured() {
    let (gateway, _honest, sample) = market().await;
    let counters = Arc::new(Counters::default());
    let engine = load(&models("pip"), Dtype::F16, &counters).await;
    let posing = Posing::new(engine, sample.models().remove(0));
    let half = gateway.join(Arc::new(posing), counters).await;
    gateway.until_offers(3).await;
    let verdicts = gateway.audited(&half, &story(), 24).await;
    let evidence = gateway.evidence(&half);
    let scores = evidence.iter().filter_map(|record| record.audit.as_ref()).flat_map(|a| &a.scores);
    let distances: Vec<(u32, Option<f64>, Option<f64>)> =
        scores.map(|score| (score.tokens, score.distance, score.drawn_share)).collect();
    println!("f16 sold as f32: {verdicts:?}, tokens, distance, drawn share: {distances:?}");
    assert!(!distances.is_empty());
    assert!(distances.iter().all(|(_, distance, _)| distance.is_some_and(|d| d < 0.15)));
}
