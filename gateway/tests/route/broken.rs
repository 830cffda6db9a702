//! Streams that break in the middle, or are not quite what they should be.

use serde_json::json;

use crate::market::{LARGE, MODEL, Plan, guarded, kinds, market, stream};

const GOOD: &str = "good answer";
const SHORT_PAUSES: &str = "";

#[tokio::test]
async fn a_cut_stream_ends_with_an_error_where_nobody_can_go_on() {
    guarded(async {
        let market = market(&[json!({"itl_ms": 10, "cut_after": 5}), json!({"text": GOOD})]).await;
        let answer = market.ask(&stream()).await;
        answer.assert_broken();
        assert!(answer.content().starts_with(" tok0 tok1 tok2"), "{}", answer.text());
        assert_eq!(market.asked().await, [1, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_cut_before_the_first_content_is_anothers_chance() {
    guarded(async {
        for body in kinds() {
            let market = market(&[json!({"cut_after": 0}), json!({"text": GOOD})]).await;
            market.ask(&body).await.assert_good(GOOD, "p1");
            assert_eq!(market.asked().await, [1, 1]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_malformed_event_is_dropped_and_the_stream_goes_on() {
    guarded(async {
        for body in kinds() {
            let market = market(&[json!({"tokens": 8, "malformed_after": 4, "itl_ms": 2})]).await;
            let answer = market.ask(&body).await;
            answer.assert_good(" tok0 tok1 tok2 tok3 tok4 tok5 tok6 tok7", "p0");
            assert_eq!(market.asked().await, [1]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_missing_done_is_written() {
    guarded(async {
        for body in kinds() {
            let market = market(&[json!({"text": GOOD, "no_done": true})]).await;
            market.ask(&body).await.assert_good(GOOD, "p0");
            assert_eq!(market.asked().await, [1]);
        }
    })
    .await;
}

#[tokio::test]
async fn the_answer_names_its_model_and_carries_usage() {
    guarded(async {
        let plan = Plan::new(&[json!({"status": 500}), json!({"status": 500})]);
        let market = plan.and_large(json!({"text": GOOD})).start().await;
        for mut body in kinds() {
            body["models"] = json!([MODEL, LARGE]);
            body["stream_options"] = match body["stream"].as_bool() {
                Some(true) => json!({"include_usage": true}),
                _ => json!(null),
            };
            let answer = market.ask(&body).await;
            answer.assert_good(GOOD, "p2");
            let said = match body["stream"].as_bool() {
                Some(true) => answer.chunks(),
                _ => vec![answer.json()],
            };
            assert!(said.iter().all(|part| part["model"] == LARGE), "{}", answer.text());
            let usage = &said.last().expect("an event")["usage"];
            assert_eq!(usage["completion_tokens"], 2, "{}", answer.text());
            let attempts: u64 = answer.header("x-quorate-attempts").parse().expect("a number");
            assert!((2..=3).contains(&attempts), "{attempts} attempts");
        }
        let asked = market.asked().await;
        assert!(asked[0] + asked[1] <= 4 && asked[2] == 2, "{asked:?}");
    })
    .await;
}

#[tokio::test]
async fn a_primary_that_flaps_recovers_and_no_client_sees_it() {
    guarded(async {
        // A minute in the large; here six seconds.
        let flap = json!({"up_ms": 500, "down_ms": 500, "for_ms": 6_000});
        let scripts = [json!({"text": "primary", "flap": flap}), json!({"text": GOOD})];
        let market = Plan::new(&scripts).more(SHORT_PAUSES).start().await;
        let (mut requests, mut recovered) = (0u64, 0);
        // Ordered: the primary is preferred whenever it may be asked.
        while recovered < 20 {
            let answer = market.ask(&kinds()[usize::from(requests % 2 == 0)]).await;
            let expected = match answer.header("x-quorate-provider") {
                "p0" => "primary",
                _ => GOOD,
            };
            answer.assert_good(expected, answer.header("x-quorate-provider"));
            requests += 1;
            recovered = if expected == "primary" { recovered + 1 } else { 0 };
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let asked = market.asked().await;
        let extra = asked.iter().sum::<u64>() - requests;
        assert!(extra <= 20 + requests / 5, "{extra} extra attempts for {requests}: {asked:?}");
    })
    .await;
}
