//! Twice what two processes can bear.

use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

use crate::market::{Answer, Plan, ask, guarded, stream};

const SLOTS: u32 = 4;
/// Of one answer.
const SERVICE: Duration = Duration::from_millis(400);
const SECONDS: u32 = 8;

/// Requests at even pace, at that many per capacity.
async fn load(addr: &str, share: f64, seconds: u32) -> Vec<Answer> {
    let every = SERVICE.div_f64(f64::from(2 * SLOTS) * share);
    let mut ticks = tokio::time::interval(every);
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds.into());
    let mut clients = JoinSet::new();
    while ticks.tick().await < end {
        let addr = addr.to_owned();
        let mut body = stream();
        body.as_object_mut().expect("an object").remove("provider");
        clients.spawn(async move { ask(&addr, &body).await });
    }
    clients.join_all().await
}

fn served(answers: &[Answer]) -> u32 {
    let good = answers.iter().filter(|answer| answer.events().last() == Some(&"[DONE]"));
    u32::try_from(good.count()).expect("few")
}

#[tokio::test]
async fn is_borne_by_real_processes() {
    guarded(async {
        let script = json!({"ttft_ms": 100, "itl_ms": 10, "tokens": 31});
        let plan = Plan::new(&[script.clone(), script]).limits("").concurrent(SLOTS);
        let market = plan.start().await;
        let before = load(&market.addr, 0.5, 2).await;
        assert_eq!(served(&before), u32::try_from(before.len()).expect("few"));
        let during = load(&market.addr, 2.0, SECONDS).await;
        let capacity = SECONDS * 1000 / 400 * 2 * SLOTS;
        let good = served(&during);
        println!("goodput {good} of {capacity}, {} asked", during.len());
        assert!(good * 10 >= capacity * 8, "goodput {good} of {capacity}");
        for shed in during.iter().filter(|answer| answer.status != 200) {
            assert_eq!(shed.status, 429, "{}", shed.text());
            let after: u64 = shed.header("retry-after").parse().expect("seconds");
            assert!((1..=60).contains(&after), "come back in {after} s");
        }
        let after = load(&market.addr, 0.5, 2).await;
        assert_eq!(served(&after), u32::try_from(after.len()).expect("few"), "not normal again");
    })
    .await;
}
