//! A provider dies: before the first content nobody notices; after it the answer ends with an error.

use crate::harness::{Event, Market, counter, endless, guarded, signal, text_of};
use hyper::StatusCode;
use tokio::task::JoinSet;

const CLIENTS: usize = 16;

#[tokio::test]
async fn a_killed_provider_costs_only_the_answer_in_flight() {
    guarded(async {
        let market = Market::start(3).await;

        // One long answer, so that it is known which provider has an answer in flight.
        let mut long = market.api.stream(&endless(900)).await;
        long.first_content().await;
        let mut victim = None;
        for provider in &market.providers {
            if counter(provider, "tokens_generated_total").await > 0 {
                victim = Some(provider.clone());
            }
        }
        let victim = victim.expect("one provider generates");

        let mut others = JoinSet::new();
        for _ in 1..CLIENTS {
            let api = market.api.clone();
            others.spawn(async move {
                let mut stream = api.stream(&endless(40)).await;
                (stream.status, stream.rest().await)
            });
        }
        // The others are on their way: the victim's share of them waits in its queue.
        tokio::task::yield_now().await;
        signal("-9", victim.pid);

        let ending = long.rest().await;
        let Some(Event::Error(error)) = ending.last() else {
            panic!("the answer in flight ended with {:?}", ending.last());
        };
        for key in ["message", "type", "param", "code"] {
            assert!(error["error"].get(key).is_some(), "{error}");
        }
        assert!(!ending.contains(&Event::Done), "a cut answer is never presented as whole");

        for (status, events) in others.join_all().await {
            assert_eq!(status, StatusCode::OK, "{events:?}");
            let broken = events.iter().any(|event| matches!(event, Event::Error(_)));
            if broken {
                assert!(
                    !text_of(&events).is_empty(),
                    "an error before the first content: {events:?}"
                );
                assert_ne!(events.last(), Some(&Event::Done));
            } else {
                assert_eq!(events.last(), Some(&Event::Done), "{events:?}");
            }
        }
    })
    .await;
}

/// The dead provider comes back on its address and serves again.
#[tokio::test]
async fn a_killed_provider_is_started_again() {
    guarded(async {
        let market = Market::start(1).await;
        let provider = market.providers[0].clone();
        assert!(market.api.chat(&endless(3)).await.0.is_success());
        signal("-9", provider.pid);
        // Until it is back there is nobody to answer: an honest error each time.
        loop {
            let (status, answer) = market.api.chat(&endless(3)).await;
            if status.is_success() {
                break;
            }
            assert!(status.is_server_error(), "{status} {answer}");
            assert!(answer["error"]["message"].is_string(), "{answer}");
        }
        assert!(
            counter(&provider, "tokens_generated_total").await <= 6,
            "a new process counts anew"
        );
    })
    .await;
}
