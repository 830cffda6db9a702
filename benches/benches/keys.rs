//! A million keys: how long a start takes with them, what each costs in memory, and how long one look-up
//! takes. `cargo bench -p benches --bench keys [-- COUNT]`; it prints figures and judges nothing. Look-ups
//! are in CPU time, which a machine that does other things does not falsify.

use gateway::auth::{Keys, Minted, Scope, Terms, mint};
use gateway::clock::{Clock as _, System};
use gateway::config::Mode;
use gateway::limit::Rules;
use gateway::store::{File, Keys as _, Record};
use secrecy::{ExposeSecret as _, SecretString};
use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const COUNT: usize = 1_000_000;
/// Keys of one transaction.
const BATCH: usize = 10_000;
/// Of each thread: the kernel counts in 10 ms.
const LOOK_UPS: usize = 2_000_000;
/// Keys that are looked up, spread over all.
const SAMPLE: usize = 65_536;

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(COUNT);
    let data = tempfile::tempdir()?;
    let mut out = std::io::stdout().lock();

    let store = File::open(data.path())?;
    let began = now();
    let sample = fill(&store, count)?;
    writeln!(out, "keys made and kept, {BATCH} at a time: {:.1} s", seconds(began))?;
    let began = now();
    store.insert(&[new(count)?.record], u64::MAX)?;
    writeln!(out, "one more, on disk:     {:.1} ms", seconds(began) * 1e3)?;
    drop(store);
    let file_bytes = std::fs::metadata(data.path().join("keys.redb"))?.len();
    writeln!(out, "file:                  {:.0} MB", file_bytes as f64 / 1e6)?;

    let before = resident_bytes()?;
    let began = now();
    let store = File::open(data.path())?;
    writeln!(out, "start, integrity check: {:.2} s", seconds(began))?;
    let began = now();
    let keys = Keys::new(Mode::Keys, &[], Some(Box::new(store)), Terms::default())?;
    writeln!(out, "start, keys read:      {:.2} s", seconds(began))?;
    let each = (resident_bytes()? - before) / count as f64;
    writeln!(out, "memory:                {each:.0} bytes a key (resident, store and all)")?;

    let known = sample.iter().map(|key| key.expose_secret().as_bytes()).collect::<Vec<_>>();
    for threads in [1, std::thread::available_parallelism()?.get()] {
        let each = look_up(&keys, &known, threads)?;
        writeln!(out, "look-up, {threads} threads:    {each:.0} ns (SHA-256 of the key and all)")?;
    }
    let unknown: Vec<String> = (0..SAMPLE).map(|number| format!("qk_{number:064x}")).collect();
    let unknown: Vec<&[u8]> = unknown.iter().map(|key| key.as_bytes()).collect();
    writeln!(out, "look-up of no key:     {:.0} ns", look_up(&keys, &unknown, 1)?)?;
    Ok(())
}

fn new(number: usize) -> Result<Minted, Box<dyn Error>> {
    let rules = Rules { requests_per_minute: NonZeroU32::new(600), ..Rules::default() };
    Ok(mint(format!("customer {number}"), rules, Scope::default(), System.unix_ms())?)
}

/// Keeps `count` keys, and returns some of them.
fn fill(store: &File, count: usize) -> Result<Vec<SecretString>, Box<dyn Error>> {
    let every = (count / SAMPLE).max(1);
    let mut sample = Vec::new();
    for start in (0..count).step_by(BATCH) {
        let mut records: Vec<Record> = Vec::with_capacity(BATCH);
        for number in start..count.min(start + BATCH) {
            let minted = new(number)?;
            records.push(minted.record);
            if number % every == 0 {
                sample.push(minted.key);
            }
        }
        store.insert(&records, u64::MAX)?;
    }
    Ok(sample)
}

/// Nanoseconds of CPU time of one, with `threads` at it.
fn look_up(keys: &Keys, asked: &[&[u8]], threads: usize) -> Result<f64, Box<dyn Error>> {
    let before = cpu_seconds()?;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let from = asked.iter().cycle().skip(thread * 997);
                for key in from.take(LOOK_UPS) {
                    black_box(keys.find(black_box(key)));
                }
            });
        }
    });
    Ok((cpu_seconds()? - before) * 1e9 / (LOOK_UPS * threads) as f64)
}

fn now() -> Instant {
    System.now()
}

fn seconds(began: Instant) -> f64 {
    now().saturating_duration_since(began).max(Duration::from_nanos(1)).as_secs_f64()
}

/// Of this process so far; zero where the system does not tell.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    // The 14th and 15th of all, which begin with two that are cut off here; 100 ticks a second.
    let ticks = |at: usize| fields.get(at).unwrap_or(&"0").parse::<f64>();
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// Of this process; zero where the system does not tell.
fn resident_bytes() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).unwrap_or("0");
    Ok(kib.parse::<f64>()? * 1024.0)
}
