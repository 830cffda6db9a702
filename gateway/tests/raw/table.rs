//! All cases against one gateway; then again and again, to see that nothing of them stays.

use serde_json::json;
use std::fs;
use std::net::SocketAddr;

use crate::case::Case;
use crate::market::{Market, market};
use crate::{bodies, cors, encodings, framing, heads, json, pipelining, urls};

/// The gateway's body limit here: the default would make the bombs slow, not different.
pub(crate) const BODY_BYTES: usize = 1 << 20;
/// What the process may have grown by after the rounds.
const GROWTH_BYTES_MAX: usize = 24 << 20;
const ROUNDS: usize = 5;

async fn cases() -> Vec<Case> {
    let cases = [
        heads::cases(),
        framing::cases(),
        urls::cases(),
        cors::cases(),
        json::cases(),
        bodies::cases(),
        encodings::cases().await,
        pipelining::cases(),
    ]
    .concat();
    assert!(cases.len() >= 60, "{}", cases.len());
    cases
}

async fn served() -> Market {
    market(&format!("body_bytes = {BODY_BYTES}"), json!({"tokens": 3})).await
}

/// One after the other; says of all of them that fail.
async fn run(cases: &[Case], addr: SocketAddr) {
    let mut failed = 0;
    for case in cases {
        let case = case.clone();
        let run = tokio::task::spawn(async move { case.run(addr).await });
        failed += usize::from(run.await.is_err());
    }
    assert_eq!(failed, 0, "cases fail");
}

/// Resident memory, by the kernel's count of pages of 4 KiB.
fn resident_bytes() -> usize {
    let text = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = text.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * 4096
}

#[tokio::test]
async fn every_case_is_answered_as_it_should_be_and_leaves_nothing() {
    let market = served().await;
    let cases = cases().await;
    run(&cases, market.addr()).await;
    market.until_quiet().await;
    let before = resident_bytes();
    for _ in 0..ROUNDS {
        run(&cases, market.addr()).await;
    }
    market.until_quiet().await;
    let grown = resident_bytes().saturating_sub(before);
    println!("{} cases, {ROUNDS} rounds more: grown by {} KiB", cases.len(), grown >> 10);
    assert!(grown < GROWTH_BYTES_MAX, "grown by {grown} bytes");
    assert_eq!(market.gateway.stop().await, gateway::shutdown::Drained::Clean);
}

#[tokio::test]
async fn all_cases_at_once_do_not_disturb_each_other() {
    let market = served().await;
    let addr = market.addr();
    let running: Vec<_> = cases()
        .await
        .into_iter()
        .map(|case| tokio::task::spawn(async move { case.run(addr).await }))
        .collect();
    for case in running {
        case.await.expect("the case passes");
    }
    market.until_quiet().await;
    assert_eq!(market.gateway.stop().await, gateway::shutdown::Drained::Clean);
}
