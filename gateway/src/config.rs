//! One TOML file -> validated [`Settings`]. The file's types (`raw`) are not the validated types:
//! what the gateway runs on can't hold a value that was not checked. Every error is reported at once,
//! each with its path in the file. It reads no environment but through the function it is given, and
//! it never prints a key.

mod audit;
mod breaker;
mod cache;
mod check;
mod cors;
mod env;
mod hedging;
mod limits;
mod market;
mod problem;
mod raw;
mod receipts;
mod routing;

use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use url::Url;

pub use audit::Audit;
pub use breaker::Breaker;
pub use cache::Cache;
pub use cors::CorsOrigins;
pub use hedging::Hedging;
pub use limits::{LIMITS, Limit, Limits};
pub use market::{Alias, Join, Market, Named, Place, TlsFiles};
pub use problem::{Error, Problem};
pub use receipts::Receipts;
pub use routing::Routing;

pub(crate) use check::is_model_name;

use crate::auth::Scope;
use crate::limit::Rules;
use crate::market::region::Atlas;
use crate::request::Dialect;

/// What the gateway runs on.
#[derive(Debug, Clone)]
pub struct Settings {
    pub server: Server,
    pub auth: Auth,
    pub keys: Vec<Key>,
    pub upstreams: Vec<Upstream>,
    /// The catalogue: what a name means.
    pub models: Vec<ModelEntry>,
    /// Names that stand for other names.
    pub aliases: Vec<Alias>,
    /// Providers that join by themselves.
    pub market: Market,
    pub limits: Limits,
    pub routing: Routing,
    pub hedging: Hedging,
    pub audit: Audit,
    pub breaker: Breaker,
    pub cache: Cache,
    pub receipts: Receipts,
    pub telemetry: Telemetry,
}

#[derive(Debug, Clone)]
pub struct Server {
    /// Where clients connect. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Metrics and administration.
    pub admin_listen: SocketAddr,
    /// Holds the admin token and the keys made at run time. Made when absent.
    pub data_dir: PathBuf,
    /// The sites whose pages may read answers.
    pub cors_origins: CorsOrigins,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Auth {
    pub mode: Mode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Every `/v1` request carries `Authorization: Bearer KEY`.
    #[default]
    Keys,
    /// Anyone on this machine. Only with loopback listeners.
    Open,
}

#[derive(Debug, Clone)]
pub struct Key {
    /// Shown in logs and metrics in place of the key.
    pub name: String,
    pub key: SecretString,
    pub rules: Rules,
    pub scope: Scope,
    /// Dollars. Accepted, not yet enforced.
    pub budget_usd_per_day: Option<f64>,
    /// Its deterministic requests are answered from the cache where they can be.
    pub cache: bool,
}

/// A static provider: any OpenAI-compatible server.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub id: String,
    /// Who runs it; its id when the file names nobody.
    pub operator: String,
    /// `http` or `https`, without query, fragment, user or trailing slash.
    pub base_url: Url,
    pub api_key: Option<SecretString>,
    pub region: Option<String>,
    /// Lets the connect-time guard pass loopback and private addresses.
    pub allow_private: bool,
    /// What it must read in other words than the client wrote.
    pub dialect: Dialect,
    /// It can go on with an answer that another provider began, told as the assistant's turn so far.
    pub continues: bool,
    pub models: Vec<UpstreamModel>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamModel {
    /// The name here.
    pub id: String,
    /// The name there.
    pub upstream_model: String,
    /// Dollars per million prompt tokens.
    pub price_in: Option<f64>,
    /// Dollars per million answer tokens.
    pub price_out: Option<f64>,
    /// Tokens, prompt and answer together.
    pub context: Option<u64>,
    /// As the provider states it: `bf16`, `q4_k_m`.
    pub quantization: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    pub id: String,
    pub aliases: Vec<String>,
    /// Digests of the weights that may serve this name: `b3:` and 64 hex digits.
    pub weights_ids: Vec<String>,
    /// Of the chat template that nodes must use, hex; absent: any.
    pub template_sha256: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Telemetry {
    pub format: LogFormat,
    /// A `tracing` filter: `info`, `gateway=debug,warn`.
    pub level: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    #[default]
    Auto,
    Pretty,
    Json,
}

/// Reads and checks a file, with the process's environment.
///
/// # Errors
/// The file can't be read, or anything in it is wrong: all of it at once.
pub fn load(path: &Path) -> Result<Settings, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::Read)?;
    parse(&text, &|name| std::env::var(name).ok())
}

/// Checks a text. `env` answers for `$NAME` and `${NAME}`.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Error> {
    let mut problems = problem::Problems::default();
    let mut tree = raw::tree(text)?;
    env::interpolate(&mut tree, env, &mut problems);
    let raw = raw::read(tree, &mut problems);
    let settings = check::settings(raw, env, &mut problems);
    problems.into_result(settings)
}

/// Where a gateway keeps its data when the file does not say: `$XDG_DATA_HOME/quorate`, else
/// `$HOME/.local/share/quorate`. A relative path is ignored, as the XDG specification asks.
pub fn default_data_dir(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    home.map(|dir| dir.join("quorate"))
}

// === impl Key ===

impl Key {
    /// A key that may use everything.
    pub fn new(name: impl Into<String>, key: SecretString) -> Self {
        let (rules, scope) = (Rules::default(), Scope::default());
        Self { name: name.into(), key, rules, scope, budget_usd_per_day: None, cache: false }
    }
}

// === impl Settings ===

impl Settings {
    /// What the file asks for and this version does not do.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for key in &self.keys {
            if key.budget_usd_per_day.is_some() {
                warnings.push(format!("key {}: budget_usd_per_day is not yet enforced", key.name));
            }
        }
        for key in self.keys.iter().filter(|key| key.cache && !self.cache.enabled) {
            warnings.push(format!("key {}: the cache is not enabled", key.name));
        }
        let is_closed = self.market.join == Join::Closed;
        for model in &self.models {
            let mut served = self.upstreams.iter().flat_map(|upstream| &upstream.models);
            if served.any(|served| served.id == model.id) {
                continue;
            }
            if is_closed {
                warnings.push(format!("model {}: no upstream serves it", model.id));
            } else if model.weights_ids.is_empty() {
                let what = "no upstream serves it, and without weights_ids no node can";
                warnings.push(format!("model {}: {what}", model.id));
            }
        }
        if self.upstreams.is_empty() && is_closed {
            warnings.push("no [[upstream]]: every completion will be answered 503".to_owned());
        }
        if is_closed && self.market.node_listen.is_some() {
            let what = "market.node_listen: join is \"closed\", and every node will be refused";
            warnings.push(what.to_owned());
        }
        if self.market.join != Join::Token && !self.market.tokens.is_empty() {
            warnings
                .push("market.tokens: join is not \"token\", so nobody asks for them".to_owned());
        }
        let market = &self.market;
        if let Some(region) = &market.region
            && Atlas::new(&market.places).find(region).is_none()
        {
            warnings.push(format!(
                "market.region: where {region} lies is not known (name it in a [[market.place]]); no \
                 node's region can be judged"
            ));
        }
        warnings
    }
}

// === impl Telemetry ===

impl Default for Telemetry {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned() }
    }
}
