//! `[market]`: who may join, and on which terms.

use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::super::market::{RawMarket, RawNamed, RawPlace, RawTls};
use super::super::problem::Problems;
use super::super::{Join, Market, Named, Place, Server, TlsFiles, Upstream};
use super::{KEY_BYTES_MAX, KEY_BYTES_MIN, address, required};

const NAME_BYTES_MAX: usize = 64;
const DAY_MS: u64 = 24 * 3600 * 1000;

pub(super) fn market(raw: RawMarket, upstreams: &[Upstream], problems: &mut Problems) -> Market {
    let defaults = Market::default();
    let join = join(raw.join.as_deref(), problems);
    let node_listen = raw.node_listen.as_deref();
    let node_listen = node_listen.and_then(|text| address("market.node_listen", text, problems));
    if join != Join::Closed && node_listen.is_none() && !problems.has("market.node_listen") {
        problems.add("market.node_listen", "is required where nodes may join");
    }
    let tokens = tokens(raw.tokens, join, problems);
    let mut taken: HashSet<String> = upstreams.iter().map(|upstream| upstream.id.clone()).collect();
    let nodes = named("node", raw.node, &mut taken, problems);
    let operators = named("operator", raw.operator, &mut HashSet::new(), problems);
    if join == Join::AllowList && nodes.is_empty() && operators.is_empty() {
        problems
            .add("market.join", "\"allow-list\" needs a [[market.node]] or [[market.operator]]");
    }
    let mut number = |name: &str, value: Option<u64>, default: u64, range| {
        within(&format!("market.{name}"), value.unwrap_or(default), range, problems)
    };
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(DAY_MS);
    let heartbeat_ms =
        number("heartbeat_ms", raw.heartbeat_ms, millis(defaults.heartbeat), 100..=60_000);
    let lease_ms = number("lease_ms", raw.lease_ms, millis(defaults.lease), 300..=600_000);
    let every = millis(defaults.measure_every);
    let measure_every_ms = number("measure_every_ms", raw.measure_every_ms, every, 0..=30 * DAY_MS);
    let probation = defaults.probation_answers;
    let probation_answers =
        number("probation_answers", raw.probation_answers, probation, 0..=1_000_000);
    let nodes_max = number("nodes_max", raw.nodes_max, defaults.nodes_max as u64, 1..=1_000_000);
    let joining = defaults.joining_max as u64;
    let joining_max = number("joining_max", raw.joining_max, joining, 1..=65_536);
    if lease_ms < heartbeat_ms.saturating_mul(2) {
        problems.add("market.lease_ms", "must be at least twice market.heartbeat_ms");
    }
    let probation_share = raw.probation_share.unwrap_or(defaults.probation_share);
    if !(0.0..=1.0).contains(&probation_share) {
        problems.add("market.probation_share", "must be a number from 0 to 1");
    }
    Market {
        node_listen,
        join,
        tokens,
        nodes,
        operators,
        tls: raw.tls.and_then(|raw| tls(raw, problems)),
        client_ca: raw.client_ca.filter(|path| !path.is_empty()).map(PathBuf::from),
        region: raw.region.filter(|region| !region.is_empty()),
        places: places(raw.place, problems),
        heartbeat: Duration::from_millis(heartbeat_ms),
        lease: Duration::from_millis(lease_ms),
        nodes_max: usize::try_from(nodes_max).unwrap_or(usize::MAX),
        joining_max: usize::try_from(joining_max).unwrap_or(usize::MAX),
        direct_private: raw.direct_private,
        loopback_apart: raw.loopback_apart,
        probation_answers,
        probation_share,
        measure: raw.measure.unwrap_or(defaults.measure),
        measure_every: Duration::from_millis(measure_every_ms),
    }
}

/// Nodes have a port of their own.
pub(super) fn listener(server: &Server, market: &Market, problems: &mut Problems) {
    let Some(listen) = market.node_listen else { return };
    if listen.port() != 0 && [server.listen, server.admin_listen].contains(&listen) {
        let message = "must differ from server.listen and server.admin_listen";
        problems.add("market.node_listen", message);
    }
}

fn join(text: Option<&str>, problems: &mut Problems) -> Join {
    match text {
        None | Some("closed") => Join::Closed,
        Some("open") => Join::Open,
        Some("token") => Join::Token,
        Some("allow-list") => Join::AllowList,
        Some(other) => {
            let words = "open, token, allow-list or closed";
            problems.add("market.join", format!("{other:?} is not {words}"));
            Join::Closed
        }
    }
}

fn tokens(raw: Vec<SecretString>, join: Join, problems: &mut Problems) -> Vec<SecretString> {
    if join == Join::Token && raw.is_empty() && !problems.has("market.tokens") {
        problems.add("market.tokens", "needs at least one token where join is \"token\"");
    }
    for (index, token) in raw.iter().enumerate() {
        let token = token.expose_secret();
        let fits = (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        let path = format!("market.tokens[{index}]");
        if !fits && !problems.has(&path) {
            let message =
                format!("must be {KEY_BYTES_MIN} to {KEY_BYTES_MAX} visible ASCII characters");
            problems.add(path, message);
        }
    }
    raw
}

/// One name each, and one key each.
fn named(
    what: &str,
    raw: Vec<RawNamed>,
    taken: &mut HashSet<String>,
    problems: &mut Problems,
) -> Vec<Named> {
    let mut keys = HashSet::new();
    let mut list = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let (key_path, name_path) =
            (format!("market.{what}[{index}].key"), format!("market.{what}[{index}].name"));
        let key = required(&key_path, raw.key, problems);
        let parsed = key.as_deref().and_then(|key| key.parse().ok());
        if key.is_some() && parsed.is_none() {
            problems.add(key_path.as_str(), "is not a public key: 64 hex digits");
        }
        let name = required(&name_path, raw.name, problems).filter(|name| {
            let fits = name.len() <= NAME_BYTES_MAX
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if !fits {
                let what =
                    format!("may hold at most {NAME_BYTES_MAX} letters, digits, '.', '_' and '-'");
                problems.add(name_path.as_str(), what);
            }
            fits
        });
        let (Some(key), Some(name)) = (parsed, name) else { continue };
        if !keys.insert(key) {
            problems.add(key_path, "is listed twice");
        }
        if !taken.insert(name.clone()) {
            problems.add(name_path, format!("{name:?} is used twice"));
        }
        list.push(Named { key, name });
    }
    list
}

fn places(raw: Vec<RawPlace>, problems: &mut Problems) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let path = |member: &str| format!("market.place[{index}].{member}");
        let name = required(&path("name"), raw.name, problems);
        if name.as_ref().is_some_and(|name| places.iter().any(|place| place.name == *name)) {
            problems.add(path("name"), "is listed twice");
        }
        let mut degrees = |member: &str, value: Option<f64>, most: f64| {
            let value = value.filter(|degrees| degrees.abs() <= most);
            if value.is_none() && !problems.has(&path(member)) {
                problems.add(path(member), format!("must be a number from -{most} to {most}"));
            }
            value
        };
        let latitude = degrees("latitude", raw.latitude, 90.0);
        let longitude = degrees("longitude", raw.longitude, 180.0);
        if let (Some(name), Some(latitude), Some(longitude)) = (name, latitude, longitude) {
            places.push(Place { name, latitude, longitude });
        }
    }
    places
}

fn tls(raw: RawTls, problems: &mut Problems) -> Option<TlsFiles> {
    let cert = required("market.tls.cert", raw.cert, problems);
    let key = required("market.tls.key", raw.key, problems);
    Some(TlsFiles { cert: cert?.into(), key: key?.into() })
}

fn within(path: &str, value: u64, range: RangeInclusive<u64>, problems: &mut Problems) -> u64 {
    if !range.contains(&value) {
        let (min, max) = (range.start(), range.end());
        problems.add(path, format!("{value} is not between {min} and {max}"));
    }
    value
}
