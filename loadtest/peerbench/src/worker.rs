//! One connection's worth of load: the next request goes out when the last answer is complete.

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Incoming};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use std::time::Instant;

pub type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// What every request looks like, and which of them count.
#[derive(Clone, Debug)]
pub struct Plan {
    pub url: String,
    pub model: String,
    pub key: String,
    pub stream: bool,
    pub prompt_bytes: usize,
    /// Earlier requests warm up.
    pub from: Instant,
    pub to: Instant,
}

/// What a worker saw. Times in microseconds.
#[derive(Debug)]
pub struct Seen {
    pub total: Histogram<u64>,
    pub first_byte: Histogram<u64>,
    pub gap: Histogram<u64>,
    pub ok: u64,
    pub failed: u64,
    pub last_failure: String,
}

impl Default for Seen {
    fn default() -> Self {
        // Bounded up front (10 min): what is recorded saturates and never resizes.
        let histogram = || {
            Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds and digits are allowed")
        };
        Self {
            total: histogram(),
            first_byte: histogram(),
            gap: histogram(),
            ok: 0,
            failed: 0,
            last_failure: String::new(),
        }
    }
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.total, &other.total),
            (&mut self.first_byte, &other.first_byte),
            (&mut self.gap, &other.gap),
        ] {
            mine.add(theirs).expect("equal histograms");
        }
        self.ok += other.ok;
        self.failed += other.failed;
        if !other.last_failure.is_empty() {
            self.last_failure.clone_from(&other.last_failure);
        }
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.last_failure = why;
    }
}

/// Sends requests until the plan's end. Every prompt differs, so that no cache answers.
pub async fn run(number: usize, plan: Plan, client: HttpClient) -> Seen {
    let mut seen = Seen::default();
    let pad = "x".repeat(plan.prompt_bytes);
    let mut count = 0_u64;
    while Instant::now() < plan.to {
        count += 1;
        let request = request(&plan, &format!("{number}-{count} {pad}"));
        let begin = Instant::now();
        let mut ignored = Seen::default();
        let into = if begin >= plan.from { &mut seen } else { &mut ignored };
        match client.request(request).await {
            Ok(answer) => read(&plan, answer, begin, into).await,
            Err(error) => into.fail(format!("{error:?}")),
        }
    }
    seen
}

fn request(plan: &Plan, prompt: &str) -> Request<Full<Bytes>> {
    let streamed = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let body = format!(
        r#"{{"model":"{}","messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":64{}}}"#,
        plan.model,
        if plan.stream { streamed } else { "" }
    );
    Request::post(format!("{}/v1/chat/completions", plan.url))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", plan.key))
        .body(Full::new(Bytes::from(body)))
        .expect("a well-formed request")
}

async fn read(plan: &Plan, answer: hyper::Response<Incoming>, begin: Instant, seen: &mut Seen) {
    let micros = |from: Instant, to: Instant| (to - from).as_micros() as u64;
    let status = answer.status();
    let mut body = answer.into_body();
    let (mut last, mut first) = (begin, true);
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return seen.fail(format!("{status}, cut off")) };
        let Some(data) = frame.data_ref() else { continue };
        let now = Instant::now();
        let into = if first { &mut seen.first_byte } else { &mut seen.gap };
        into.saturating_record(micros(last, now));
        (last, first) = (now, false);
        text.extend_from_slice(data);
    }
    let complete = if plan.stream {
        text.trim_ascii_end().ends_with(b"[DONE]")
    } else {
        text.windows(9).any(|window| window == b"\"choices\"")
    };
    if status.is_success() && complete {
        seen.ok += 1;
        seen.total.saturating_record(micros(begin, Instant::now()));
    } else {
        let head = &text[..text.len().min(200)];
        seen.fail(format!("{status} {}", String::from_utf8_lossy(head)));
    }
}
