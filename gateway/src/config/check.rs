//! Raw members -> settings. Nothing stops at the first error; a value that can't be used is reported
//! and its entry is left out, which is harmless because a file with any problem is refused.

use secrecy::{ExposeSecret, SecretString};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::problem::Problems;
use super::raw::{Raw, RawAuth, RawKey, RawServer, RawTelemetry};
use super::{Auth, CorsOrigins, Key, LogFormat, Mode, Server, Settings, Telemetry};
use crate::auth::{Draft, wrong_name};

mod aliases;
mod catalogue;
mod market;

pub(crate) use catalogue::is_model_name;

/// Shorter keys can be guessed.
const KEY_BYTES_MIN: usize = 16;
const KEY_BYTES_MAX: usize = 256;

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) fn settings(raw: Raw, env: Env<'_>, problems: &mut Problems) -> Option<Settings> {
    let server = server(raw.server, env, problems);
    let auth = auth(&raw.auth, problems);
    let keys = keys(raw.key, problems);
    let upstreams = catalogue::upstreams(raw.upstream, problems);
    let models = catalogue::models(raw.model, &upstreams, problems);
    let aliases = aliases::aliases(raw.alias, &models, &upstreams, problems);
    let market = market::market(raw.market, &upstreams, problems);
    let limits = raw.limits.check(problems);
    let routing = raw.routing.check(problems);
    let hedging = raw.hedging.check(problems);
    let audit = raw.audit.check(problems);
    let breaker = raw.breaker.check(problems);
    let cache = raw.cache.check(problems);
    let receipts = raw.receipts.check(problems);
    let telemetry = telemetry(raw.telemetry, problems);
    let server = server?;
    exposure(&server, auth, problems);
    market::listener(&server, &market, problems);
    Some(Settings {
        server,
        auth,
        keys,
        upstreams,
        models,
        aliases,
        market,
        limits,
        routing,
        hedging,
        audit,
        breaker,
        cache,
        receipts,
        telemetry,
    })
}

fn server(raw: RawServer, env: Env<'_>, problems: &mut Problems) -> Option<Server> {
    let listen =
        address("server.listen", raw.listen.as_deref().unwrap_or("127.0.0.1:8080"), problems);
    let admin_listen = address(
        "server.admin_listen",
        raw.admin_listen.as_deref().unwrap_or("127.0.0.1:9090"),
        problems,
    );
    let data_dir = match raw.data_dir {
        Some(dir) if !dir.is_empty() => Some(PathBuf::from(dir)),
        Some(_) => None,
        None => super::default_data_dir(env),
    };
    if data_dir.is_none() {
        problems.add("server.data_dir", "is required");
    }
    let cors_origins = CorsOrigins::check(raw.cors_origins, problems);
    let (listen, admin_listen) = (listen?, admin_listen?);
    if listen == admin_listen && listen.port() != 0 {
        problems.add("server.admin_listen", "must differ from server.listen");
    }
    Some(Server { listen, admin_listen, data_dir: data_dir?, cors_origins })
}

fn address(path: &str, text: &str, problems: &mut Problems) -> Option<SocketAddr> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let address = numeric.parse().ok();
    if address.is_none() {
        problems.add(path, format!("{text:?} is not an address and port, such as 127.0.0.1:8080"));
    }
    address
}

fn auth(raw: &RawAuth, problems: &mut Problems) -> Auth {
    let mode = match raw.mode.as_deref() {
        None | Some("keys") => Mode::Keys,
        Some("open") => Mode::Open,
        Some(other) => {
            problems.add("auth.mode", format!("{other:?} is neither \"keys\" nor \"open\""));
            Mode::Keys
        }
    };
    Auth { mode }
}

/// An open gateway must not be reachable from elsewhere.
fn exposure(server: &Server, auth: Auth, problems: &mut Problems) {
    if auth.mode == Mode::Keys {
        return;
    }
    if server.cors_origins.any() {
        problems.add("server.cors_origins", "\"*\" with mode \"open\" would let any page in");
    }
    for (name, address) in
        [("server.listen", server.listen), ("server.admin_listen", server.admin_listen)]
    {
        if !address.ip().to_canonical().is_loopback() {
            problems.add(
                "auth.mode",
                format!("\"open\" needs loopback listeners, and {name} is {address}"),
            );
        }
    }
}

fn keys(raw: Vec<RawKey>, problems: &mut Problems) -> Vec<Key> {
    let mut names = HashSet::new();
    let mut seen = HashSet::new();
    let mut keys = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let path = format!("key[{index}]");
        let name = required(&format!("{path}.name"), raw.name, problems);
        if let Some(name) = &name {
            if !names.insert(name.clone()) {
                problems.add(format!("{path}.name"), format!("{name:?} is used twice"));
            }
            if let Some(what) = wrong_name(name) {
                problems.add(format!("{path}.name"), what);
            }
        }
        let key = secret(&format!("{path}.key"), raw.key, problems);
        if let Some(key) = &key
            && !seen.insert(key.expose_secret().to_owned())
        {
            problems.add(format!("{path}.key"), "is the same as another key");
        }
        let draft = Draft {
            requests_per_minute: raw.requests_per_minute,
            tokens_per_minute: raw.tokens_per_minute,
            concurrent_streams: raw.concurrent_streams,
            choices_max: raw.choices_max,
            hedges_max: raw.hedges_max,
            quorum_max: raw.quorum_max,
            verification: raw.verification,
            models: raw.models,
            regions: raw.regions,
            providers: raw.providers,
        };
        let (rules, scope) =
            draft.check(&mut |member, what| problems.add(format!("{path}.{member}"), what));
        if raw.budget_usd_per_day.is_some_and(|usd| !usd.is_finite() || usd < 0.0) {
            problems.add(format!("{path}.budget_usd_per_day"), "must be a number of at least 0");
        }
        if let (Some(name), Some(key)) = (name, key) {
            let budget_usd_per_day = raw.budget_usd_per_day;
            keys.push(Key { name, key, rules, scope, budget_usd_per_day, cache: raw.cache });
        }
    }
    keys
}

fn secret(path: &str, key: Option<SecretString>, problems: &mut Problems) -> Option<SecretString> {
    let Some(key) = key else {
        required(path, None, problems);
        return None;
    };
    let text = key.expose_secret();
    if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&text.len())
        || !text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        if !problems.has(path) {
            problems.add(
                path,
                format!("must be {KEY_BYTES_MIN} to {KEY_BYTES_MAX} visible ASCII characters"),
            );
        }
        return None;
    }
    Some(key)
}

fn telemetry(raw: RawTelemetry, problems: &mut Problems) -> Telemetry {
    let defaults = Telemetry::default();
    let format = match raw.format.as_deref() {
        None | Some("auto") => LogFormat::Auto,
        Some("pretty") => LogFormat::Pretty,
        Some("json") => LogFormat::Json,
        Some(other) => {
            problems.add("telemetry.format", format!("{other:?} is not auto, pretty or json"));
            LogFormat::Auto
        }
    };
    let level = raw.level.unwrap_or(defaults.level);
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
        problems.add("telemetry.level", format!("{level:?} is not a log filter: {error}"));
    }
    Telemetry { format, level }
}

/// A value that must be there and not be empty.
fn required(path: &str, value: Option<String>, problems: &mut Problems) -> Option<String> {
    let value = value.filter(|text| !text.is_empty());
    if value.is_none() && !problems.has(path) {
        problems.add(path, "is required");
    }
    value
}
