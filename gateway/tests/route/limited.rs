//! Providers that are at their limit, or answer with a failure of their own.

use serde_json::{Value, json};

use crate::market::{guarded, kinds, market};

const GOOD: &str = "good answer";

fn good() -> Value {
    json!({"text": GOOD})
}

#[tokio::test]
async fn a_429_goes_to_the_other_and_its_retry_after_is_kept() {
    guarded(async {
        for body in kinds() {
            let limited = json!({"sequence": [{"status": 429, "retry_after": "30"}, {}]});
            let market = market(&[limited, good()]).await;
            for _ in 0..5 {
                market.ask(&body).await.assert_good(GOOD, "p1");
            }
            assert_eq!(market.asked().await, [1, 5], "it is left alone until then");
        }
    })
    .await;
}

#[tokio::test]
async fn a_429_of_a_lone_provider_is_told_and_over_when_it_said() {
    guarded(async {
        for body in kinds() {
            let limited =
                json!({"text": GOOD, "sequence": [{"status": 429, "retry_after": "1"}, {}]});
            let market = market(&[limited]).await;
            let refused = market.ask(&body).await;
            assert_eq!(refused.status, 429, "{}", refused.text());
            let after: u64 = refused.header("retry-after").parse().expect("seconds");
            assert_eq!(after, 1, "the provider's own word");
            assert_eq!(market.asked().await, [1]);
            tokio::time::sleep(std::time::Duration::from_secs(after)).await;
            market.ask(&body).await.assert_good(GOOD, "p0");
            assert_eq!(market.asked().await, [2]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_persistent_429_is_told_with_the_providers_word() {
    guarded(async {
        for body in kinds() {
            // Longer than a request may wait for room.
            let limited = json!({"status": 429, "retry_after": "40"});
            let market = market(&[limited.clone(), limited]).await;
            for code in ["provider_rate_limited", ""] {
                let answer = market.ask(&body).await;
                assert_eq!(answer.status, 429, "{}", answer.text());
                assert!(code.is_empty() || answer.error()["code"] == code, "{}", answer.text());
                let after: u64 = answer.header("retry-after").parse().expect("seconds");
                assert!((30..=40).contains(&after), "come back in {after} s");
                // Until then nobody is asked again.
                assert_eq!(market.asked().await, [1, 1]);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_500_once_is_made_good_by_the_other() {
    guarded(async {
        for body in kinds() {
            let market = market(&[json!({"sequence": [{"status": 500}, {}]}), good()]).await;
            let answer = market.ask(&body).await;
            answer.assert_good(GOOD, "p1");
            assert_eq!(answer.header("x-quorate-attempts"), "2");
            assert_eq!(market.asked().await, [1, 1]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_500_once_of_a_lone_provider_is_tried_again() {
    guarded(async {
        for body in kinds() {
            let market = market(&[json!({"text": GOOD, "sequence": [{"status": 500}, {}]})]).await;
            market.ask(&body).await.assert_good(GOOD, "p0");
            assert_eq!(market.asked().await, [2]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_persistent_503_ends_after_bounded_attempts() {
    guarded(async {
        for body in kinds() {
            let failing = json!({"status": 503, "body": "<html>", "content_type": "text/html"});
            let market = market(&[failing.clone(), failing.clone(), failing]).await;
            let answer = market.ask(&body).await;
            assert_eq!(answer.status, 502, "{}", answer.text());
            assert_eq!(answer.error()["code"], "provider_error");
            let asked = market.asked().await;
            assert_eq!(asked.iter().sum::<u64>(), 3, "{asked:?}");
            assert!(asked.iter().all(|times| *times <= 2), "{asked:?}");
        }
    })
    .await;
}
