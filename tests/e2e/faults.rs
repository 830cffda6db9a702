//! A provider dies, and nobody notices: another begins anew, or goes on where it was.

use crate::harness::{Event, Market, counter, endless, guarded, signal};
use hyper::StatusCode;
use tokio::task::JoinSet;

const CLIENTS: usize = 16;

#[tokio::test]
async fn a_killed_provider_costs_no_answer() {
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
        assert_eq!(ending.last(), Some(&Event::Done), "{:?}", ending.last());

        for (status, events) in others.join_all().await {
            assert_eq!(status, StatusCode::OK, "{events:?}");
            assert_eq!(events.last(), Some(&Event::Done), "{events:?}");
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
