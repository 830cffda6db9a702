//! Closed-loop load on one base URL. Prints one JSON line: latency, time to first byte, gap between
//! chunks (microseconds), and the CPU time that the target process spent per good answer.

use clap::Parser;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use peerbench::{
    process,
    worker::{self, HttpClient, Plan, Seen},
};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Args {
    #[arg(long)]
    url: String,
    #[arg(long, default_value = "mock-model")]
    model: String,
    #[arg(long, default_value = "")]
    key: String,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 32)]
    conns: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5.0)]
    secs: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    #[arg(long)]
    stream: bool,
    /// A process whose CPU time is charged to the target, with its children.
    #[arg(long)]
    pid: Vec<u32>,
    #[arg(long, default_value_t = 300)]
    prompt_bytes: usize,
    /// What the line is called.
    #[arg(long, default_value = "")]
    name: String,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let args = Args::parse();
    let client: HttpClient =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(args.conns).build_http();
    let from = Instant::now() + Duration::from_secs_f64(args.warm);
    let to = from + Duration::from_secs_f64(args.secs);
    let plan = Plan {
        url: args.url.clone(),
        model: args.model.clone(),
        key: args.key.clone(),
        stream: args.stream,
        prompt_bytes: args.prompt_bytes,
        from,
        to,
    };
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..args.conns {
        workers.spawn(worker::run(number, plan.clone(), client.clone()));
    }
    tokio::time::sleep_until(from.into()).await;
    let cpu_before = process::cpu_seconds(&args.pid);
    tokio::time::sleep_until(to.into()).await;
    let cpu = process::cpu_seconds(&args.pid) - cpu_before;
    let rss = process::rss_mib(&args.pid);
    let mut seen = Seen::default();
    for one in workers.join_all().await {
        seen.add(&one);
    }
    println!("{}", line(&args, &seen, cpu, rss));
}

fn line(args: &Args, seen: &Seen, cpu: f64, rss: f64) -> serde_json::Value {
    let per_answer = |total: f64| if seen.ok > 0 { total / seen.ok as f64 } else { 0.0 };
    serde_json::json!({
        "name": args.name,
        "conns": args.conns,
        "stream": args.stream,
        "ok": seen.ok,
        "failed": seen.failed,
        "rps": (seen.ok as f64 / args.secs).round(),
        "p50_us": seen.total.value_at_quantile(0.5),
        "p99_us": seen.total.value_at_quantile(0.99),
        "first_byte_p50_us": seen.first_byte.value_at_quantile(0.5),
        "gap_p99_us": seen.gap.value_at_quantile(0.99),
        "cpu_us_per_answer": per_answer(cpu * 1e6).round(),
        "rss_mib": rss.round(),
        "last_failure": seen.last_failure,
    })
}
