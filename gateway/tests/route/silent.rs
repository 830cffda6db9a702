//! Providers that say nothing, or not in time.

use serde_json::json;
use std::time::Duration;

use crate::market::{Plan, guarded, kinds, market, stream, until};

const GOOD: &str = "good answer";
/// What a test gives up after that is not to be waited for: far more than the shortened time-outs.
const SOON: Duration = Duration::from_secs(9);

#[tokio::test]
async fn a_reset_before_the_head_is_made_good_by_the_other() {
    guarded(async {
        for body in kinds() {
            let market = market(&[json!({"reset_before_head": true}), json!({"text": GOOD})]).await;
            market.ask(&body).await.assert_good(GOOD, "p1");
            assert_eq!(market.asked().await, [1, 1]);
        }
    })
    .await;
}

#[tokio::test]
async fn no_response_at_all_is_not_waited_for() {
    guarded(async {
        for body in kinds() {
            let market = market(&[json!({"head_ms": 3_600_000}), json!({"text": GOOD})]).await;
            let answer = market.ask(&body).await;
            answer.assert_good(GOOD, "p1");
            assert!(answer.took < SOON, "{:?}", answer.took);
            assert_eq!(market.asked().await, [1, 1]);
            // The one that was given up is told.
            until(async || market.counted("jobs_cancelled_total").await == [1, 0]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_first_token_after_20_s_is_anothers_chance() {
    guarded(async {
        for body in kinds() {
            let market = market(&[json!({"ttft_ms": 20_000}), json!({"text": GOOD})]).await;
            let answer = market.ask(&body).await;
            answer.assert_good(GOOD, "p1");
            assert!(answer.took < SOON, "{:?}", answer.took);
            assert_eq!(market.asked().await, [1, 1]);
            until(async || market.counted("jobs_cancelled_total").await == [1, 0]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_first_token_after_20_s_is_waited_for_where_nobody_else_is() {
    guarded(async {
        // The defaults: they are the promise.
        let market = Plan::new(&[json!({"ttft_ms": 20_000, "text": GOOD})]).limits("");
        let market = market.start().await;
        let [whole, streamed] = kinds();
        let (whole, streamed) = tokio::join!(market.ask(&whole), market.ask(&streamed));
        whole.assert_good(GOOD, "p0");
        assert_eq!(streamed.content(), GOOD, "{}", streamed.text());
        assert_eq!(streamed.events().last(), Some(&"[DONE]"));
        assert_eq!(market.asked().await, [2]);
    })
    .await;
}

#[tokio::test]
async fn a_stall_of_30_s_ends_a_stream_where_nobody_can_go_on() {
    guarded(async {
        let stalling = json!({"itl_ms": 5, "stall_after": 5, "stall_ms": 30_000});
        let market = market(&[stalling, json!({"text": GOOD})]).await;
        let answer = market.ask(&stream()).await;
        answer.assert_broken();
        assert_eq!(answer.content(), " tok0 tok1 tok2 tok3 tok4");
        assert!(answer.took < SOON, "{:?}", answer.took);
        until(async || market.counted("jobs_cancelled_total").await == [1, 0]).await;
        assert_eq!(market.asked().await, [1, 0], "another's answer would be another answer");
    })
    .await;
}

#[tokio::test]
async fn a_stall_of_30_s_in_a_whole_answer_is_anothers_chance() {
    guarded(async {
        let stalling = json!({"itl_ms": 5, "stall_after": 5, "stall_ms": 30_000});
        let market = market(&[stalling, json!({"text": GOOD})]).await;
        let answer = market.ask(&kinds()[0]).await;
        answer.assert_good(GOOD, "p1");
        assert!(answer.took < SOON, "{:?}", answer.took);
        assert_eq!(market.asked().await, [1, 1]);
    })
    .await;
}
