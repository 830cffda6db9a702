//! The market's part of the configuration: `[[gateway]]`, `[node]`, `[direct]`, `[offer]`.

use super::Flags;
use super::read::{Faults, Section};
use crate::link::{Gateway, Trust};
use crate::offer::{Prices, Terms};
use identity::Certificate;
use openapi::node::Sla;
use openapi::sign::PublicKey;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::value::{Datetime, Offset};
use url::Url;

const GATEWAYS_MAX: usize = 64;
/// Dollars per million tokens; more is a slip of the pen.
const PRICE_MAX: f64 = 1e6;
/// Pico-dollars per token in a dollar per million tokens.
const PUSD: f64 = 1e6;
const VALID_S_MAX: u64 = 30 * 86_400;
const REGION_MAX: usize = 64;

/// What a node needs to join gateways.
#[derive(Debug, Clone, Default)]
pub struct Market {
    /// Empty: this provider is in no market.
    pub gateways: Vec<Gateway>,
    pub offer: Terms,
    pub region: Option<String>,
    /// When rented capacity ends, Unix milliseconds.
    pub lease_ends_ms: Option<i64>,
    pub direct: Option<Direct>,
    pub operator_key: Option<PathBuf>,
}

/// Where gateways reach this node without a tunnel.
#[derive(Debug, Clone)]
pub struct Direct {
    pub listen: SocketAddr,
    /// The same place as gateways see it.
    pub url: Url,
}

pub(super) fn read(root: &mut Section, flags: &Flags, faults: &mut Faults) -> Market {
    let mut node = root.section("node", faults);
    let region = node.text("region", faults);
    let region = flags.region.clone().or(region);
    if region.as_ref().is_some_and(|name| !(1..=REGION_MAX).contains(&name.len())) {
        faults.add("node.region", format!("must have 1 to {REGION_MAX} characters"));
    }
    let operator_key = node.text("operator_key", faults).map(PathBuf::from);
    let operator_key = flags.operator_key.clone().or(operator_key);
    // Not told what it is: the log is no place for it.
    if operator_key.as_ref().is_some_and(|file| file.to_string_lossy().starts_with("ed25519:")) {
        faults.add("node.operator_key", "must name the key's file, not hold the key itself");
    }
    let ends = node.text("lease_expires_at", faults);
    let lease_ends_ms = flags.lease_expires_at.clone().or(ends).and_then(|text| {
        let moment = moment(&text);
        if moment.is_none() {
            let what = "must be a time like 2026-12-31T23:00:00Z, or Unix seconds";
            faults.add("node.lease_expires_at", what);
        }
        moment
    });
    node.finish(faults);
    let direct = direct(root.table("direct", faults), faults);
    let gateways = gateways(root, flags, faults);
    Market {
        gateways,
        offer: offer(root.section("offer", faults), flags, faults),
        region,
        lease_ends_ms,
        direct,
        operator_key,
    }
}

/// Unix milliseconds of an RFC 3339 time in UTC, or of Unix seconds.
fn moment(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let Datetime { date, time, offset } = text.parse().ok()?;
    let (date, time, Offset::Z) = (date?, time?, offset?) else { return None };
    // Days from the civil calendar, years beginning in March (Howard Hinnant).
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let (hour, minute) = (i64::from(time.hour), i64::from(time.minute));
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + time.second.map_or(0, i64::from);
    Some(seconds * 1000)
}

fn direct(section: Option<Section>, faults: &mut Faults) -> Option<Direct> {
    let mut section = section?;
    let listen = section.text("listen", faults).and_then(|text| text.parse().ok());
    if listen.is_none() {
        faults.add("direct.listen", "is required: an address and port, like 0.0.0.0:8443");
    }
    let url = section.text("url", faults).and_then(|text| https(&text));
    if url.is_none() {
        faults.add("direct.url", "is required: where gateways find it, like https://host:8443");
    }
    section.finish(faults);
    Some(Direct { listen: listen?, url: url? })
}

/// `https://host` with a port or without, and nothing else but a fragment.
fn https(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.scheme() == "https"
        && url.has_host()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then_some(url)
}

fn gateways(root: &mut Section, flags: &Flags, faults: &mut Faults) -> Vec<Gateway> {
    let mut gateways = Vec::new();
    for section in root.sections("gateway", faults) {
        gateways.extend(gateway(section, faults));
    }
    if !flags.gateways.is_empty() {
        // Flags win: of the file's gateways only those that are named again are kept.
        let named = std::mem::take(&mut gateways);
        for text in &flags.gateways {
            gateways.extend(by_flag(text, &named, faults));
        }
    }
    if let Some(token) = &flags.join_token {
        // One gateway must not learn what lets nodes into another.
        if gateways.iter().filter(|gateway| gateway.join_token.is_none()).count() > 1 {
            let what = "is for one gateway: with several, give each its own in [[gateway]]";
            faults.add("--join-token", what);
        }
        for gateway in gateways.iter_mut().filter(|gateway| gateway.join_token.is_none()) {
            gateway.join_token = Some(token.clone());
        }
    }
    if gateways.len() > GATEWAYS_MAX {
        faults.add("gateway", format!("at most {GATEWAYS_MAX}"));
    }
    let mut seen: Vec<&Url> = Vec::new();
    for gateway in &gateways {
        if seen.contains(&&gateway.url) {
            faults.add("gateway", format!("{} is there twice", gateway.url));
        }
        seen.push(&gateway.url);
    }
    gateways
}

/// `https://host:port`, or with the gateway's key: `https://host:port#KEY`.
fn by_flag(text: &str, file: &[Gateway], faults: &mut Faults) -> Option<Gateway> {
    let Some(mut url) = https(text) else {
        faults.add("--gateway", "must be a URL like https://host:7443, or https://host:7443#KEY");
        return None;
    };
    let key = match url.fragment().map(str::parse::<PublicKey>) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(error)) => {
            faults.add("--gateway", format!("what stands after # is no key: {error}"));
            return None;
        }
    };
    url.set_fragment(None);
    let known = file.iter().find(|gateway| gateway.url == url).cloned();
    let mut gateway = known.unwrap_or(Gateway {
        url,
        key: None,
        trust: Trust::Unsaid,
        own: None,
        join_token: None,
    });
    gateway.key = key.or(gateway.key);
    Some(gateway)
}

fn gateway(mut section: Section, faults: &mut Faults) -> Option<Gateway> {
    let path = section.path("url");
    let url = section.text("url", faults).and_then(|text| https(&text));
    let url = url.filter(|url| url.fragment().is_none());
    if url.is_none() {
        faults.add(&path, "is required: a URL like https://host:7443");
    }
    let key = section.text("key", faults).and_then(|text| match text.parse() {
        Ok(key) => Some(key),
        Err(_) => {
            faults.add(&section.path("key"), "must be the gateway's key: 64 hex digits");
            None
        }
    });
    let trust = match section.text("ca", faults).as_deref() {
        None => Trust::Unsaid,
        Some("public") => Trust::Public,
        Some(file) => Trust::Authorities(certificates(file, &section.path("ca"), faults)),
    };
    let own = match (section.text("client_cert", faults), section.text("client_key", faults)) {
        (None, None) => None,
        (Some(chain), Some(file)) => {
            let chain = certificates(&chain, &section.path("client_cert"), faults);
            let key = PrivateKeyDer::from_pem_file(&file);
            if key.is_err() {
                // It may hold the key itself.
                faults.add(&section.path("client_key"), "must name a PEM file with a key");
            }
            key.ok().map(|key| Certificate { chain, key })
        }
        _ => {
            faults.add(&section.path("client_cert"), "goes together with client_key");
            None
        }
    };
    let join_token = section.text("join_token", faults).map(SecretString::from);
    section.finish(faults);
    Some(Gateway { url: url?, key, trust, own, join_token })
}

fn certificates(file: &str, path: &str, faults: &mut Faults) -> Vec<CertificateDer<'static>> {
    let read =
        CertificateDer::pem_file_iter(file).and_then(|list| list.collect::<Result<Vec<_>, _>>());
    match read {
        Ok(list) if !list.is_empty() => list,
        Ok(_) => {
            faults.add(path, "the file holds no certificate");
            Vec::new()
        }
        Err(error) => {
            // Without the text: by mistake it may be the file's content, with a key in it.
            faults.add(path, format!("must name a PEM file with certificates: {error}"));
            Vec::new()
        }
    }
}

fn offer(mut section: Section, flags: &Flags, faults: &mut Faults) -> Terms {
    let prices = prices(&mut section, flags, Prices::default(), faults);
    let mut models = BTreeMap::new();
    for mut model in section.sections("model", faults) {
        let path = model.path("id");
        let id = model.text("id", faults);
        // What a model does not say is as for the others: half a price is none by accident.
        let prices = self::prices(&mut model, &Flags::default(), prices, faults);
        model.finish(faults);
        match id {
            Some(id) if models.contains_key(&id) => {
                faults.add(&path, format!("{id} is there twice"))
            }
            Some(id) => drop(models.insert(id, prices)),
            None => faults.add(&path, "is required"),
        }
    }
    let valid = section.number("valid_for_s", 60..=VALID_S_MAX, faults);
    let sla = section.table("sla", faults).map(|section| sla(section, faults));
    section.finish(faults);
    let valid_for = valid.map_or(Terms::default().valid_for, Duration::from_secs);
    Terms { prices, models, valid_for, sla }
}

/// Dollars per million tokens in the file, pico-dollars per token here.
fn prices(section: &mut Section, flags: &Flags, others: Prices, faults: &mut Faults) -> Prices {
    let path = section.path("");
    let path = |key: &str| format!("{path}{key}");
    let mut price = |key: &str, flag: Option<f64>| {
        let said = section.real(key, 0.0..=PRICE_MAX, faults);
        let flag = flag.filter(|price| {
            let is_price = (0.0..=PRICE_MAX).contains(price);
            if !is_price {
                faults
                    .add(&format!("--{}", key.replace('_', "-")), "must be a price from 0 to 1e6");
            }
            is_price
        });
        let dollars = flag.or(said)?;
        let pusd = pusd(dollars);
        // A price for each token, perhaps: nothing would be charged.
        if pusd == 0 && dollars > 0.0 {
            faults.add(&path(key), "is too small: prices are dollars per million tokens");
        }
        Some(pusd)
    };
    let (prompt, completion) =
        (price("price_in", flags.price_in), price("price_out", flags.price_out));
    let cached = price("price_cached", None);
    let prompt = prompt.unwrap_or(others.prompt);
    if cached > Some(prompt) {
        // Every gateway would refuse the offer.
        faults.add(&path("price_cached"), "must be at most price_in");
    }
    let cached = cached.or(others.cached.filter(|cached| *cached <= prompt));
    Prices { prompt, completion: completion.unwrap_or(others.completion), cached }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e12, rounded")]
fn pusd(dollars: f64) -> u64 {
    (dollars * PUSD).round() as u64
}

fn sla(mut section: Section, faults: &mut Faults) -> Sla {
    let ttft = section.number("ttft_p95_ms", 1..=3_600_000, faults);
    let sla = Sla {
        ttft_p95_ms: ttft.and_then(|ms| u32::try_from(ms).ok()),
        tokens_per_second_p50: section.real("tokens_per_second_p50", 0.0..=1e6, faults),
        availability: section.real("availability", 0.0..=1.0, faults),
        refund: section.real("refund", 0.0..=1.0, faults),
    };
    section.finish(faults);
    sla
}

#[cfg(test)]
mod tests;
