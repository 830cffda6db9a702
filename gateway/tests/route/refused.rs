//! Refusals that are about the request: who may be asked again, and who may not.

use serde_json::{Value, json};

use crate::market::{LARGE, MODEL, Plan, guarded, kinds, market};

const GOOD: &str = "good answer";

fn refusal(code: &str) -> Value {
    let body = json!({"error": {"message": "not this", "type": "invalid_request_error",
                                "param": "messages", "code": code}});
    json!({"status": 400, "body": body.to_string()})
}

#[tokio::test]
async fn too_long_for_the_model_is_told_where_no_other_is_named() {
    guarded(async {
        let long = refusal("context_length_exceeded");
        for body in kinds() {
            let market = market(&[long.clone(), long.clone()]).await;
            let answer = market.ask(&body).await;
            assert_eq!(answer.status, 400, "{}", answer.text());
            assert_eq!(answer.error()["code"], "context_length_exceeded");
            assert_eq!(answer.error()["param"], "messages");
            let asked: u64 = market.asked().await.iter().sum();
            assert_eq!(asked, 1, "the same model is as short elsewhere");
        }
    })
    .await;
}

#[tokio::test]
async fn too_long_for_the_model_is_the_larger_ones_chance() {
    guarded(async {
        let long = refusal("context_length_exceeded");
        for mut body in kinds() {
            let plan = Plan::new(&[long.clone(), long.clone()]).and_large(json!({"text": GOOD}));
            let market = plan.start().await;
            body["models"] = json!([MODEL, LARGE]);
            market.ask(&body).await.assert_good(GOOD, "p2");
            let asked = market.asked().await;
            assert_eq!((asked[0] + asked[1], asked[2]), (1, 1), "{asked:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_content_policy_is_not_shopped_around() {
    guarded(async {
        let policy = refusal("content_policy_violation");
        for body in kinds() {
            let market = market(&[policy.clone(), json!({"text": GOOD})]).await;
            let answer = market.ask(&body).await;
            assert_eq!(answer.status, 400, "{}", answer.text());
            assert_eq!(answer.error()["code"], "content_policy_violation");
            assert_eq!(market.asked().await, [1, 0]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_content_policy_is_another_models_chance_where_the_client_names_one() {
    guarded(async {
        let policy = refusal("content_policy_violation");
        for mut body in kinds() {
            let plan = Plan::new(std::slice::from_ref(&policy)).and_large(json!({"text": GOOD}));
            let market = plan.start().await;
            body["models"] = json!([MODEL, LARGE]);
            market.ask(&body).await.assert_good(GOOD, "p1");
            assert_eq!(market.asked().await, [1, 1]);
        }
    })
    .await;
}
