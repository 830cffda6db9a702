//! One choice of a provider out of a thousand, ten thousand and a hundred thousand joined nodes: the production
//! function with the default policy, and with a policy that few fulfil. Percentiles of the means of batches
//! of 1,000 choices. `cargo bench -p benches --bench choice [-- COUNT…]`; it prints figures as JSON, one
//! object a line, and judges nothing. What else the machine does falsifies it: batches are short, so the
//! median tells most of a busy machine, and the 99th percentile of an idle one.

use bytes::Bytes;
use gateway::clock::{Clock as _, System};
use gateway::config;
use gateway::market::testing::{Node, served};
use gateway::market::{Market, Membership, Model};
use gateway::metrics::Metrics;
use gateway::request::Policy;
use gateway::route::{Ask, Failure, Flight, Prefix, Random};
use gateway::shutdown::Shutdown;
use gateway::upstream::testing::Request;
use gateway::upstream::{self, Context};
use openapi::sign::SecretKey;
use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const COUNTS: [usize; 3] = [1_000, 10_000, 100_000];
const BATCH: usize = 1_000;
const BATCHES: usize = 2_000;
/// Requests with prompts of their own, so that the ring is asked in many places.
const REQUESTS: usize = 256;
const PROMPT_BYTES: usize = 6_000;

type Failed = Box<dyn Error>;

fn main() -> Result<(), Failed> {
    let given: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    for count in if given.is_empty() { COUNTS.to_vec() } else { given } {
        let (market, _members) = filled(count)?;
        let snapshot = market.snapshot();
        let model = snapshot.model("m").ok_or("the model")?;
        teach(model);
        let context = context(&market)?;
        let few = Policy::from_json(r#"{"regions": ["rare"]}"#).map_err(|e| format!("{e:?}"))?;
        for (name, policy) in [("default", None), ("region of one in 500", Some(few))] {
            let means = measure(&context, model, policy)?;
            let at = |per_cent: usize| {
                means.get((means.len() - 1) * per_cent / 100).copied().unwrap_or_default()
            };
            writeln!(
                std::io::stdout(),
                r#"{{"providers": {count}, "policy": "{name}", "p50_ns": {:.0}, "p99_ns": {:.0}, "max_ns": {:.0}}}"#,
                at(50),
                at(99),
                at(100),
            )?;
        }
    }
    Ok(())
}

/// The means of the batches, sorted, in nanoseconds a choice.
fn measure(
    context: &Context,
    model: &Arc<Model>,
    policy: Option<Policy>,
) -> Result<Vec<f64>, Failed> {
    let request = |number: usize| {
        let text = format!("{number:06} ").repeat(PROMPT_BYTES / 7);
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
        Request::new(model.clone(), policy.clone(), "key", Bytes::from(body))
    };
    let requests = (0..REQUESTS).map(request).collect::<Result<Vec<_>, _>>();
    let requests = requests.map_err(|error| format!("{error:?}"))?;
    let picks = requests.iter().map(|request| request.prepare(context));
    let picks = picks.collect::<Result<Vec<_>, _>>()?;
    let mut means = Vec::with_capacity(BATCHES);
    let mut turn = picks.iter().cycle();
    for _ in 0..BATCHES {
        let began = System.now();
        for pick in turn.by_ref().take(BATCH) {
            assert!(black_box(pick()).is_some(), "somebody is there");
        }
        means.push(began.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    means.sort_unstable_by(f64::total_cmp);
    Ok(means)
}

fn filled(count: usize) -> Result<(Market, Vec<Membership>), Failed> {
    let weights = format!("b3:{}", "a1".repeat(32));
    let text = format!(
        "[server]\ndata_dir = \"/nowhere\"\n[market]\nnode_listen = \"127.0.0.1:0\"\njoin = \"open\"\n\
         probation_answers = 0\nnodes_max = 1000000\nlease_ms = 600000\n\
         [[model]]\nid = \"m\"\nweights_ids = [{weights:?}]\n"
    );
    let settings = config::parse(&text, &|_| None)?;
    let identity = Arc::new(SecretKey::from_seed(&[42; 32]));
    let market = Market::new(&settings, identity, Arc::new(System))?;
    let url = "http://192.0.2.1/v1".parse()?;
    let mut random = Random::new(1);
    let mut members = Vec::with_capacity(count);
    for number in 0..count {
        let mut node = Node::new(number as u64, vec![served("m", Some(&weights))]);
        node.price =
            (50_000 + random.below(100_000) as u64, 100_000 + random.below(200_000) as u64);
        node.region = Some(if number.is_multiple_of(500) { "rare" } else { "common" }.to_owned());
        members.push(node.join(&market, &url)?);
    }
    market.publish();
    Ok((market, members))
}

/// What nodes of different speed and load would have taught; one in twenty has failed lately.
fn teach(model: &Model) {
    let mut random = Random::new(2);
    let ask = Ask { prompt_tokens: 1000.0, answer_tokens: 200.0, values: Default::default() };
    let prefix = Prefix::default();
    for offer in &model.offers {
        let facts = offer.learned.facts(&ask, &prefix, 0);
        let begin = || Flight::begin(&offer.learned, &facts, &ask, prefix, 0, false);
        let mut answered = begin();
        let first_ms = 200 + random.below(1_000) as u64;
        answered.first_token(first_ms);
        answered.succeeded(first_ms + 2_000 + random.below(8_000) as u64, 200, None);
        if random.below(20) == 0 {
            begin().failed(Failure::Hard, first_ms, random.unit());
        }
        for _ in 0..random.below(3) {
            std::mem::forget(begin());
        }
    }
}

fn context(market: &Market) -> Result<Context, Failed> {
    Ok(Context {
        limits: config::Limits::default(),
        metrics: Arc::new(Metrics::new()),
        shutdown: Shutdown::new(),
        random: upstream::random,
        time: market.time().clone(),
        probation_share: 0.02,
        routing: config::Routing::default(),
        hedging: config::Hedging::default(),
        breaker: config::Breaker::default(),
        seeds: upstream::Seeds::draw()?,
        witness: Arc::new(upstream::Nobody),
        judge: Arc::new(upstream::Nobody),
        parties: Arc::default(),
        dialer: None,
    })
}
