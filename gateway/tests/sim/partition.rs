//! The network breaks: partitions, lost and late packets, hosts that crash and come back.

use serde_json::{Value, json};
use std::time::Duration;

use crate::harness::{Answer, Gateway, chat, ordered, stream};
use crate::lan::{HOME, gateway, provider, sim};

const ORDER: [&str; 2] = ["p0", "p1"];

fn long() -> Value {
    json!({"ttft_ms": 100, "itl_ms": 50, "tokens": 60})
}

async fn asked(gateway: &Gateway, body: Value) -> Answer {
    gateway.ask(&ordered(body, &ORDER)).await
}

/// Asks, and breaks something a second later.
async fn asked_while(gateway: &Gateway, body: Value, trouble: impl FnOnce()) -> Answer {
    let (answer, ()) = tokio::join!(asked(gateway, body), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        trouble();
    });
    answer
}

#[test]
fn a_partition_in_mid_answer_of_a_whole_one_is_made_good_by_another() {
    let mut sim = sim(21);
    let first = provider(&mut sim, "p0", &long());
    let second = provider(&mut sim, "p1", &json!({"text": "good"}));
    sim.client(HOME, async {
        let gateway = gateway("", &ORDER);
        let answer =
            asked_while(&gateway, chat(json!({})), || turmoil::partition(HOME, "p0")).await;
        assert_eq!((answer.status.as_u16(), answer.content().as_str()), (200, "good"));
        assert!(answer.took < Duration::from_secs(15), "{:?}", answer.took);
        Ok(())
    });
    sim.run().expect("the simulation ends well");
    assert_eq!((first.counters.jobs_started(), second.counters.jobs_started()), (1, 1));
}

#[test]
fn a_partition_in_mid_stream_ends_it_with_an_error_and_never_quietly() {
    let mut sim = sim(22);
    provider(&mut sim, "p0", &long());
    sim.client(HOME, async {
        let gateway = gateway("", &["p0"]);
        let answer =
            asked_while(&gateway, stream(json!({})), || turmoil::partition(HOME, "p0")).await;
        assert_eq!(answer.status, 200);
        assert!(answer.error().is_some() && !answer.is_done(), "{}", answer.text());
        assert!(!answer.content().is_empty());
        assert!(answer.took < Duration::from_secs(15), "{:?}", answer.took);
        // The link mends, and so does the provider's name.
        turmoil::repair(HOME, "p0");
        tokio::time::sleep(Duration::from_secs(30)).await;
        let answer = gateway.ask(&stream(json!({}))).await;
        assert!(answer.is_done(), "{}", answer.text());
        Ok(())
    });
    sim.run().expect("the simulation ends well");
}

#[test]
fn what_a_network_held_for_a_moment_is_no_failure() {
    let mut sim = sim(23);
    let node = provider(&mut sim, "p0", &long());
    sim.client(HOME, async {
        let gateway = gateway("", &["p0"]);
        let (answer, ()) = tokio::join!(asked(&gateway, stream(json!({}))), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            turmoil::hold(HOME, "p0");
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            turmoil::release(HOME, "p0");
        });
        assert!(answer.is_done(), "{}", answer.text());
        assert!(answer.content().ends_with(" tok59"));
        Ok(())
    });
    sim.run().expect("the simulation ends well");
    assert_eq!(node.counters.jobs_started(), 1);
}

#[test]
fn a_host_that_nobody_reaches_is_passed_over() {
    let mut sim = sim(24);
    let first = provider(&mut sim, "p0", &long());
    let second = provider(&mut sim, "p1", &json!({"text": "good"}));
    sim.client(HOME, async {
        turmoil::partition(HOME, "p0");
        let gateway = gateway("", &ORDER);
        for _ in 0..20 {
            let answer = asked(&gateway, stream(json!({}))).await;
            assert_eq!(answer.content(), "good", "{}", answer.text());
            // Whoever connects to it waits for nothing; that happens a few times at most.
            assert!(answer.took < Duration::from_secs(6), "{:?}", answer.took);
        }
        Ok(())
    });
    sim.run().expect("the simulation ends well");
    assert_eq!(first.counters.jobs_started(), 0);
    assert_eq!(second.counters.jobs_started(), 20);
}

#[test]
fn a_crash_is_an_end_and_a_start_a_start() {
    let mut sim = sim(25);
    let script = json!({"ttft_ms": 50, "itl_ms": 20, "tokens": 20});
    let first = provider(&mut sim, "p0", &script);
    provider(&mut sim, "p1", &script);
    sim.client(HOME, async {
        let gateway = gateway("", &ORDER);
        for round in 0..600 {
            let answer = gateway.ask(&chat(json!({}))).await;
            assert!(answer.is_complete(), "round {round}: {}", answer.text());
            assert!(answer.content().ends_with(" tok19"));
        }
        Ok(())
    });
    let mut asked = [0; 3];
    for (stage, seconds) in [10u64, 40, 260].into_iter().enumerate() {
        while sim.elapsed() < Duration::from_secs(seconds) && !sim.step().expect("ends well") {}
        asked[stage] = first.counters.jobs_started();
        match stage {
            0 => sim.crash("p0"),
            1 => sim.bounce("p0"),
            _ => {}
        }
    }
    assert!(asked[0] > 0, "it was never asked");
    assert_eq!(asked[1], asked[0], "a dead host answers nothing");
    assert!(asked[2] > asked[1], "after it came back nobody asked it");
}

#[test]
fn a_link_that_is_slow_is_avoided() {
    let mut sim = sim(26);
    let script = json!({"ttft_ms": 100, "tokens": 4});
    let far = provider(&mut sim, "p0", &script);
    let near = provider(&mut sim, "p1", &script);
    sim.client(HOME, async {
        let gateway = gateway("", &ORDER);
        for _ in 0..100 {
            let answer = gateway.ask(&stream(json!({}))).await;
            assert!(answer.is_done(), "{}", answer.text());
        }
        Ok(())
    });
    sim.set_link_latency(HOME, "p0", Duration::from_millis(1_500));
    sim.run().expect("the simulation ends well");
    let (far, near) = (far.counters.jobs_started(), near.counters.jobs_started());
    assert!(near > far * 3, "asked far {far}, near {near}");
}
