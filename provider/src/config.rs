//! What the provider is told: a TOML file and flags, checked together. Every fault is reported at
//! once with its path; nothing is guessed. The validated type is here, reading is in its files.

mod engine;
mod market;
mod read;
mod toy;

pub use market::{Direct, Market};

use crate::engine::{scripted, upstream};
use crate::http;
use read::{Faults, Section};
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Validated settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    /// Where identity and state are kept; made when first needed.
    pub data_dir: Option<PathBuf>,
    pub requests: http::Limits,
    pub connections: http::listen::Limits,
    /// Jobs that may wait.
    pub queue: usize,
    /// How long running answers may go on after a signal.
    pub drain: Duration,
    pub engine: Engine,
    /// Wanted of clients of the plain listener.
    pub api_key: Option<SecretString>,
    pub market: Market,
}

/// Which engine, and how it is set up.
#[derive(Debug, Clone)]
pub enum Engine {
    Mistral(Mistral),
    Upstream(Box<upstream::Options>),
    Scripted(Box<scripted::Options>),
    Toy(Box<crate::engine::toy::Options>),
}

/// The inference engine's own settings; only builds with the feature `mistralrs` can use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistral {
    /// A folder with safetensors, a GGUF file, or a hub id.
    pub model: String,
    /// The served name; the path's last part if absent.
    pub id: Option<String>,
    pub cpu: bool,
    pub dtype: Dtype,
    pub max_concurrent: usize,
    /// Bytes of a matrix of logits when an answer is scored in one pass.
    pub score_matrix_bytes: usize,
    /// A second model, which makes embeddings: a folder.
    pub embedding_model: Option<String>,
    pub embedding_model_id: Option<String>,
    /// Whether a hub may be asked for a model that is no local path.
    pub allow_download: bool,
}

/// The precision of a model's weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dtype {
    #[default]
    Auto,
    F32,
    F16,
    Bf16,
}

/// What the command line says; wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub engine: Option<String>,
    pub model: Option<String>,
    pub model_id: Option<String>,
    pub embedding_model: Option<String>,
    pub embedding_model_id: Option<String>,
    pub listen: Option<SocketAddr>,
    pub upstream: Option<String>,
    pub script: Option<PathBuf>,
    pub max_concurrent: Option<usize>,
    pub data: Option<PathBuf>,
    pub gateways: Vec<String>,
    pub join_token: Option<SecretString>,
    pub region: Option<String>,
    pub lease_expires_at: Option<String>,
    pub price_in: Option<f64>,
    pub price_out: Option<f64>,
    pub operator_key: Option<PathBuf>,
}

/// Everything that is wrong, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration can't be used:\n  {}", .0.join("\n  "))]
pub struct Error(pub Vec<String>);

const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8081);

impl Settings {
    /// Reads the file, if any, and the flags over it.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, Error> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Error(vec![format!("{}: {error}", path.display())]))?,
            None => String::new(),
        };
        Self::parse(&text, flags)
    }

    /// The same, from text.
    pub fn parse(text: &str, flags: &Flags) -> Result<Self, Error> {
        let table =
            text.parse::<toml::Table>().map_err(|error| Error(vec![malformed(text, &error)]))?;
        let mut faults = Faults::default();
        let mut root = Section::root(table);
        let mut server = root.section("server", &mut faults);
        let requests = requests(&mut server, &mut faults);
        let connections = connections(&mut server, &mut faults);
        let listen = listen(&mut server, flags, &mut faults);
        let data_dir = server.text("data_dir", &mut faults).map(PathBuf::from);
        let drain = server.millis("drain_timeout_ms", 30_000, &mut faults);
        let api_key = server.text("api_key", &mut faults).map(SecretString::from);
        if api_key.as_ref().is_some_and(|key| key.expose_secret().is_empty()) {
            faults.add("server.api_key", "must not be empty");
        }
        server.finish(&mut faults);
        let mut admission = root.section("admission", &mut faults);
        let queue = admission.count("queue", 0, 100_000, 64, &mut faults);
        admission.finish(&mut faults);
        let engine = engine::read(&mut root, flags, &mut faults);
        let market = market::read(&mut root, flags, &mut faults);
        root.finish(&mut faults);
        match (engine, faults.into_lines()) {
            (Some(engine), lines) if lines.is_empty() => Ok(Self {
                listen,
                data_dir: flags.data.clone().or(data_dir),
                requests,
                connections,
                queue,
                drain,
                engine,
                api_key,
                market,
            }),
            (_, lines) => Err(Error(lines)),
        }
    }
}

/// Without the line itself, which the library would show: it may hold a key.
fn malformed(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    format!("line {line}: no TOML: {}", error.message())
}

fn listen(server: &mut Section, flags: &Flags, faults: &mut Faults) -> SocketAddr {
    let from_file = server.text("listen", faults).and_then(|text| match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            faults.add(&server.path("listen"), "must be an address and port, like 127.0.0.1:8081");
            None
        }
    });
    flags.listen.or(from_file).unwrap_or(LISTEN_DEFAULT)
}

fn requests(server: &mut Section, faults: &mut Faults) -> http::Limits {
    let default = http::Limits::default();
    http::Limits {
        body_bytes: server.count("body_limit_bytes", 1024, 1 << 32, default.body_bytes, faults),
        bodies_bytes: server.count(
            "bodies_limit_bytes",
            1024,
            1 << 40,
            default.bodies_bytes,
            faults,
        ),
        body_idle: server.millis("body_idle_timeout_ms", 30_000, faults),
        choices: u32::try_from(server.count("choices_max", 1, 128, 128, faults)).unwrap_or(128),
        keep_alive: server.millis("keep_alive_ms", 10_000, faults),
    }
}

fn connections(server: &mut Section, faults: &mut Faults) -> http::listen::Limits {
    http::listen::Limits {
        connections: server.count("max_connections", 1, 1_000_000, 10_000, faults),
        first_request: server.millis("header_read_timeout_ms", 10_000, faults),
        idle: server.millis("idle_timeout_ms", 75_000, faults),
        write_stall: server.millis("write_stall_timeout_ms", 30_000, faults),
    }
}

#[cfg(test)]
mod tests;
