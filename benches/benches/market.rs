//! Ten thousand joined nodes of one model: what a hello, a heartbeat and the look for leases that are
//! over cost, memory for each, how long a snapshot takes to make, and how long readers wait meanwhile.
//! `cargo bench -p benches --bench market [-- COUNT]`; it prints figures as JSON and judges nothing. All
//! but the readers' is CPU time, which a machine that does other things does not falsify.

use gateway::auth::Scope;
use gateway::clock::{Clock as _, System};
use gateway::config;
use gateway::market::testing::{Node, served};
use gateway::market::{Market, Membership};
use gateway::request::Policy;
use gateway::route::eligible;
use openapi::node::control::Load;
use openapi::sign::SecretKey;
use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const COUNT: usize = 10_000;
const REBUILDS: usize = 50;
const ROUNDS: usize = 100;
/// The kernel counts CPU time in milliseconds: enough of what takes microseconds.
const LOOK_UPS: usize = 100_000;
/// Longer reads are counted as this long.
const NS_MAX: usize = 1_000_000;
const READING: Duration = Duration::from_secs(3);
const REGIONS: [&str; 8] = [
    "eu-west",
    "eu-central",
    "us-east",
    "us-west",
    "ap-south",
    "sa-east",
    "af-south",
    "me-central",
];

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(COUNT);
    let market = market()?;
    let nodes: Vec<Node> = (0..count).map(node).collect();
    let before = resident_bytes()?;
    let began = cpu_ns()?;
    let mut members = Vec::with_capacity(count);
    for node in &nodes {
        members.push(node.join(&market, &"http://192.0.2.1/v1".parse()?)?);
    }
    let joining_ns = cpu_ns()? - began;
    let began = cpu_ns()?;
    market.publish();
    let full_ns = cpu_ns()? - began;
    let bytes = resident_bytes()? - before;
    let one = one_change(&market, &nodes, &mut members)?;
    let beat_ns = heartbeats(&members)?;
    let began = cpu_ns()?;
    for _ in 0..ROUNDS {
        market.reap();
    }
    let reap_ns = (cpu_ns()? - began) / ROUNDS as u64;
    let (index_ns, naive_ns) = filter(&market)?;
    let idle = readers(&market, &nodes, &mut members, false)?;
    let busy = readers(&market, &nodes, &mut members, true)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        r#"{{
  "nodes": {count},
  "join_us_each_with_the_nodes_own_signatures": {:.1},
  "memory_bytes_each": {:.0},
  "snapshot_all_changed_ms": {:.2},
  "snapshot_one_changed_ms": {{"median": {:.2}, "max": {:.2}}},
  "heartbeat_ns_each": {beat_ns},
  "heartbeats_of_all_us_per_second": {:.1},
  "reap_us_per_second": {:.1},
  "policy_by_index_us": {:.2},
  "policy_naive_us": {:.2},
  "reader_ns_no_writer": {idle},
  "reader_ns_while_rebuilding": {busy}
}}"#,
        joining_ns as f64 / count as f64 / 1e3,
        bytes / count as f64,
        full_ns as f64 / 1e6,
        one.0,
        one.1,
        beat_ns as f64 * count as f64 / 5.0 / 1e3,
        reap_ns as f64 / 1e3,
        index_ns as f64 / 1e3,
        naive_ns as f64 / 1e3,
    )?;
    Ok(())
}

fn weights() -> String {
    format!("b3:{}", "a1".repeat(32))
}

fn market() -> Result<Market, Failure> {
    let text = format!(
        "[server]\ndata_dir = \"/nowhere\"\n[market]\nnode_listen = \"127.0.0.1:0\"\njoin = \"open\"\n\
         nodes_max = 1000000\nlease_ms = 600000\n[[model]]\nid = \"m\"\nweights_ids = [{:?}]\n",
        weights()
    );
    let settings = config::parse(&text, &|_| None)?;
    let identity = Arc::new(SecretKey::from_seed(&[42; 32]));
    Ok(Market::new(&settings, identity, Arc::new(System))?)
}

fn node(number: usize) -> Node {
    let mut model = served("m", Some(&weights()));
    model.quantization = Some(if number.is_multiple_of(3) { "q4_k_m" } else { "bf16" }.to_owned());
    let mut node = Node::new(number as u64, vec![model]);
    node.region = REGIONS.get(number % REGIONS.len()).map(|region| (*region).to_owned());
    node.price = (1000 * (number as u64 % 100), 2000);
    node
}

/// One node leaves, and is back: two snapshots. Median and maximum of one, in milliseconds.
fn one_change(
    market: &Market,
    nodes: &[Node],
    members: &mut Vec<Membership>,
) -> Result<(f64, f64), Failure> {
    let mut took = Vec::new();
    for node in nodes.iter().rev().take(REBUILDS / 2) {
        members.retain(|member| member.member().node != node.key.public());
        took.push(published(market)?);
        members.push(node.join(market, &"http://192.0.2.1/v1".parse()?)?);
        took.push(published(market)?);
    }
    took.sort_unstable();
    let ms = |at: usize| took.get(at).map_or(0.0, |ns| *ns as f64 / 1e6);
    Ok((ms(took.len() / 2), ms(took.len() - 1)))
}

fn published(market: &Market) -> Result<u64, Failure> {
    let began = cpu_ns()?;
    assert!(market.publish(), "something has changed");
    Ok(cpu_ns()? - began)
}

fn heartbeats(members: &[Membership]) -> Result<u64, Failure> {
    let began = cpu_ns()?;
    for round in 0..ROUNDS {
        let load = Load { running: u32::try_from(round)?, queued: 0, kv_used: Some(0.5) };
        for member in members {
            member.heartbeat(black_box(load));
        }
    }
    Ok((cpu_ns()? - began) / (ROUNDS * members.len()) as u64)
}

/// A policy of a region, a quantization and somebody ignored: by the index, and offer by offer.
fn filter(market: &Market) -> Result<(u64, u64), Failure> {
    let text = r#"{"regions": ["eu-west"], "quantizations": ["bf16"], "ignore": ["nobody"]}"#;
    let policy = Policy::from_json(text).map_err(|error| format!("{error:?}"))?;
    let snapshot = market.snapshot();
    let model = snapshot.model("m").ok_or("the model")?;
    let began = cpu_ns()?;
    let mut found = 0;
    for _ in 0..LOOK_UPS {
        let scope = Scope::default();
        let admitted = model.index.admitted(&model.offers, Some(black_box(&policy)), &scope);
        found = admitted.count_ones(..);
    }
    let index_ns = (cpu_ns()? - began) / LOOK_UPS as u64;
    let began = cpu_ns()?;
    for _ in 0..ROUNDS {
        let fits = |offer: &&Arc<gateway::market::Offer>| {
            eligible::refusal(black_box(&policy), &offer.terms()).is_none()
        };
        assert_eq!(model.offers.iter().filter(fits).count(), found);
    }
    Ok((index_ns, (cpu_ns()? - began) / ROUNDS as u64))
}

/// How long a look-up in the snapshot takes, as JSON; with `writing` while snapshots are made one after
/// the other.
fn readers(
    market: &Market,
    nodes: &[Node],
    members: &mut Vec<Membership>,
    writing: bool,
) -> Result<String, Failure> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut took, mut longest) = (vec![0u64; NS_MAX], 0);
            while !is_over.load(Ordering::Relaxed) {
                let began = now();
                let snapshot = market.snapshot();
                black_box(snapshot.model(black_box("m")).map(|model| model.offers.len()));
                drop(snapshot);
                let ns = usize::try_from(began.elapsed().as_nanos()).unwrap_or(usize::MAX);
                longest = longest.max(ns);
                if let Some(count) = took.get_mut(ns.min(NS_MAX - 1)) {
                    *count += 1;
                }
            }
            (took, longest)
        });
        let (began, mut made) = (now(), 0);
        while began.elapsed() < READING {
            if writing
                && let (Some(node), Some(gone)) =
                    (nodes.first(), members.first().map(|m| m.member().node))
            {
                members.retain(|member| member.member().node != gone);
                market.publish();
                let back = nodes.iter().find(|node| node.key.public() == gone).unwrap_or(node);
                members.push(back.join(market, &"http://192.0.2.1/v1".parse()?)?);
                market.publish();
                made += 2;
            } else {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let (took, longest) = reader.join().map_err(|_| "the reader failed")?;
        let reads: u64 = took.iter().sum();
        let at = |per_mille: u64| {
            let mut left = reads * per_mille / 1000;
            let reached = took.iter().position(|count| {
                let is_here = *count > left;
                left = left.saturating_sub(*count);
                is_here
            });
            reached.unwrap_or(NS_MAX)
        };
        Ok(format!(
            r#"{{"reads": {}, "snapshots_made": {made}, "p50": {}, "p99": {}, "p99.9": {}, "max": {}}}"#,
            reads,
            at(500),
            at(990),
            at(999),
            longest
        ))
    })
}

/// CPU time of this thread.
fn cpu_ns() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no times")?.parse()?)
}

fn resident_bytes() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = text.split_whitespace().nth(1).ok_or("no pages")?.parse()?;
    Ok(pages * 4096.0)
}

fn now() -> Instant {
    System.now()
}
