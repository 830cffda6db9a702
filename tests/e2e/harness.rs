//! Starts markets and single commands, and speaks HTTP to them.

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{future::Future, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A test that takes longer hangs.
const GUARD: Duration = Duration::from_secs(240);
/// Token ids that end an answer of the bundled model: banned, it goes on to `max_tokens`.
const ENDS: [u32; 2] = [1533, 1535];

pub(crate) async fn guarded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, test).await.expect("the test hangs")
}

/// The binary under test, its output piped, killed with the test.
pub(crate) fn quorate(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    command
}

/// Sends a signal by its name, as a user would.
pub(crate) fn signal(name: &str, pid: u32) {
    let status =
        std::process::Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill {name} {pid}");
}

/// Whether a process of this id exists and is no zombie.
pub(crate) fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit(") ").next().map(|rest| !rest.starts_with('Z')))
        .unwrap_or(false)
}

#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) pid: u32,
}

/// A running `quorate up`.
pub(crate) struct Market {
    pub(crate) process: Child,
    pub(crate) api: Api,
    pub(crate) providers: Vec<Provider>,
    pub(crate) banner: String,
    pub(crate) data: TempDir,
    /// Kept so that the process can go on writing.
    _stdout: Lines<BufReader<ChildStdout>>,
}

// === impl Market ===

impl Market {
    /// Starts `up` with that many providers on free ports and waits for its banner. What a provider
    /// counts are then the test's own requests.
    pub(crate) async fn start(providers: usize) -> Self {
        Self::start_with(providers, &["--no-measure"]).await
    }

    pub(crate) async fn start_with(providers: usize, more: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let count = providers.to_string();
        let folder = data.path().to_str().unwrap().to_owned();
        let mut process = quorate(&[
            "up",
            "--providers",
            &count,
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--data",
            &folder,
        ])
        .args(more)
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            let line = lines.next_line().await.unwrap().expect("`up` ended before its banner");
            banner.push_str(&line);
            banner.push('\n');
        }
        let field = |name: &str| {
            let line = banner.lines().find_map(|line| line.trim().strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {banner}")).trim().to_owned()
        };
        let api = Api::new(&field("base URL"), &field("API key"));
        let providers = (1..=providers)
            .map(|n| provider(&format!("op-{n}"), &field(&format!("op-{n} "))))
            .collect();
        Self { process, api, providers, banner, data, _stdout: lines }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id().expect("`up` has ended")
    }
}

/// From `http://127.0.0.1:7001  (process 42)`.
fn provider(name: &str, field: &str) -> Provider {
    let (url, rest) = field.split_once("  (process ").unwrap();
    let pid = rest.trim_end_matches(')').parse().unwrap();
    Provider { name: name.to_owned(), url: url.to_owned(), pid }
}

/// Reads lines of a command's stdout until one starts with `prefix`; the rest of that line.
pub(crate) async fn line_with(process: &mut Child, prefix: &str) -> String {
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(rest) = line.strip_prefix(prefix) {
            return rest.to_owned();
        }
    }
    panic!("the command ended without a line that starts with {prefix:?}")
}

/// A client of one base URL.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    key: String,
}

// === impl Api ===

impl Api {
    /// `base` ends in `/v1`.
    pub(crate) fn new(base: &str, key: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base: base.to_owned(), key: key.to_owned() }
    }

    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.client.request(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.send(Method::GET, path, Vec::new()).await).await
    }

    pub(crate) async fn chat(&self, body: &Value) -> (StatusCode, Value) {
        self.chat_bytes(body.to_string().into_bytes()).await
    }

    pub(crate) async fn chat_bytes(&self, body: Vec<u8>) -> (StatusCode, Value) {
        read(self.send(Method::POST, "/chat/completions", body).await).await
    }

    /// A whole answer's text.
    pub(crate) async fn say(&self, body: &Value) -> String {
        let (status, answer) = self.chat(body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }

    /// Opens a stream; `body` gets `stream: true`.
    pub(crate) async fn stream(&self, body: &Value) -> Stream {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let response =
            self.send(Method::POST, "/chat/completions", body.to_string().into_bytes()).await;
        let status = response.status();
        Stream { status, body: response.into_body(), pending: Vec::new() }
    }
}

/// Any plain GET, for health and metrics.
pub(crate) async fn fetch(url: &str) -> (StatusCode, String) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.get(url.parse().unwrap()).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn read(response: Response<Incoming>) -> (StatusCode, Value) {
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&bytes)));
    (status, value)
}

/// What came next on a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Chunk(Value),
    Error(Value),
    Done,
}

/// An open answer. Dropping it closes the connection, as a client that leaves does.
pub(crate) struct Stream {
    pub(crate) status: StatusCode,
    body: Incoming,
    pending: Vec<u8>,
}

// === impl Stream ===

impl Stream {
    /// The next event, comments skipped; `None` at the end of the body.
    ///
    /// A body that breaks off is an error of the test: a stream must end well-formed.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.pending.drain(..end + 2).collect();
                let text = String::from_utf8(event).unwrap();
                if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                    return Some(event_of(data));
                }
            }
            let frame = self.body.frame().await?.expect("the body broke off");
            if let Ok(data) = frame.into_data() {
                self.pending.extend_from_slice(&data);
            }
        }
    }

    /// Reads up to the first chunk with text.
    pub(crate) async fn first_content(&mut self) -> String {
        assert_eq!(self.status, StatusCode::OK);
        loop {
            match self.next().await {
                Some(Event::Chunk(chunk)) => {
                    let text = content(&chunk);
                    if !text.is_empty() {
                        return text;
                    }
                }
                other => panic!("before the first content came {other:?}"),
            }
        }
    }

    /// Everything that is left.
    pub(crate) async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn event_of(data: &str) -> Event {
    if data == "[DONE]" {
        return Event::Done;
    }
    let value: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("no JSON: {data}"));
    if value.get("error").is_some_and(|error| !error.is_null()) {
        return Event::Error(value);
    }
    Event::Chunk(value)
}

/// The text of a chunk's first choice.
pub(crate) fn content(chunk: &Value) -> String {
    chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
}

/// The text of all chunks.
pub(crate) fn text_of(events: &[Event]) -> String {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Chunk(chunk) => Some(content(chunk)),
            Event::Error(_) | Event::Done => None,
        })
        .collect()
}

pub(crate) fn user(question: &str) -> Value {
    json!({"model": "pip", "temperature": 0, "max_tokens": 200,
           "messages": [{"role": "user", "content": question}]})
}

/// An answer that only ends at `tokens`.
pub(crate) fn endless(tokens: u32) -> Value {
    let mut body = user("Count forever.");
    body["max_tokens"] = json!(tokens);
    body["logit_bias"] = ENDS.iter().map(|id| (id.to_string(), json!(-100))).collect();
    body
}

/// One of a provider's counters, by its name without the prefix `quorate_provider_`.
pub(crate) async fn counter(provider: &Provider, name: &str) -> u64 {
    let (status, text) = fetch(&format!("{}/metrics", provider.url)).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let line = format!("quorate_provider_{name} ");
    text.lines()
        .find_map(|l| l.strip_prefix(&line))
        .unwrap_or_else(|| panic!("no {name} in\n{text}"))
        .trim()
        .parse()
        .unwrap()
}

/// Asks again until the counter is at least that; the value seen.
pub(crate) async fn reaches(provider: &Provider, name: &str, least: u64) -> u64 {
    loop {
        let value = counter(provider, name).await;
        if value >= least {
            return value;
        }
    }
}

/// Everything below a folder, by relative path.
pub(crate) fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
