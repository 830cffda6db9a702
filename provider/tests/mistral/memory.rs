//! Memory stays flat: 2,000 requests, half of them cancelled, constrained or cut.

use crate::bench::*;
use provider::engine::Constraint;

const WARM_UP: u64 = 300;
const REQUESTS: u64 = 2000;
/// The prefix cache alone would have kept more than 200 MB.
const GROWTH_MAX_KB: u64 = 16 << 10;

/// Set in the process that has the requests to itself: other tests' memory would count too.
const ALONE: &str = "QUORATE_TEST_ALONE";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn two_thousand_requests_leave_nothing_behind() {
    if std::env::var_os(ALONE).is_none() {
        let name = "memory::two_thousand_requests_leave_nothing_behind";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let status = alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").status();
        assert!(status.unwrap().success());
        return;
    }
    let bench = bench().await;
    let mut base = 0;
    for i in 0..WARM_UP + REQUESTS {
        if i == WARM_UP {
            base = resident_kb();
        }
        let job =
            Job { max_tokens: Some(12), ..warm(ask(&format!("What is {i} plus 5?")), 1.0, i) };
        match i % 4 {
            0 => drop(bench.start(job).await.unwrap()),
            1 => {
                let constraint = Some(Constraint::Regex("[a-z]{1,8}".into()));
                bench.read(Job { constraint, ..job }).await.unwrap();
            }
            _ => {
                bench.read(job).await.unwrap();
            }
        }
    }
    bench.settled().await;
    let now = resident_kb();
    println!("resident: {base} kB after {WARM_UP} requests, {now} kB after {REQUESTS} more");
    assert!(now < base + GROWTH_MAX_KB, "{base} kB, then {now} kB");
    bench.assert_alive().await;
}

#[cfg(target_os = "linux")]
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
