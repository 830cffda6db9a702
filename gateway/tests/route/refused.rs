//! Refusals that are about the request: who may be asked again, and who may not.

use serde_json::{Value, json};

use crate::market::{LARGE, MODEL, Plan, guarded, kinds, market, stream};

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

#[tokio::test]
async fn a_fall_back_that_refuses_prefill_does_not_mask_the_first_failure() {
    guarded(async {
        let refusing = refusal("prefill_not_supported");
        let scripts = [json!({"itl_ms": 10, "cut_after": 5}), refusing.clone(), refusing];
        let market = Plan::new(&scripts).with_prefill().start().await;
        let answer = market.ask(&stream()).await;
        answer.assert_broken();
        assert!(answer.content().starts_with(" tok0 tok1 tok2"), "{}", answer.text());
        assert_eq!(answer.error()["code"], "provider_error", "{}", answer.text());
        assert!(!answer.text().contains("not this"), "its words are about what we made of it");
        let asked = market.asked().await;
        assert!(asked[0] == 1 && asked[1] + asked[2] <= 2, "{asked:?}");
    })
    .await;
}

#[tokio::test]
async fn a_fall_back_that_takes_prefill_goes_on() {
    guarded(async {
        let scripts = [json!({"itl_ms": 10, "cut_after": 5}), json!({"text": " and so on"})];
        let market = Plan::new(&scripts).with_prefill().start().await;
        let answer = market.ask(&stream()).await;
        let content = answer.content();
        assert!(content.starts_with(" tok0 tok1 tok2"), "{}", answer.text());
        assert!(content.ends_with(" and so on"), "{}", answer.text());
        let done = answer.events().iter().filter(|event| **event == "[DONE]").count();
        assert_eq!(done, 1, "{}", answer.text());
        assert_eq!(market.asked().await, [1, 1]);
    })
    .await;
}
