//! Providers and the catalogue: what a model's name means, and that it means one thing.

use std::collections::{HashMap, HashSet};
use url::Url;

use super::super::problem::Problems;
use super::super::raw::{RawModel, RawUpstream, RawUpstreamModel};
use super::super::{ModelEntry, Upstream, UpstreamModel};
use super::required;
use crate::request::{DeveloperRole, Dialect, TokenLimit};

const NAME_BYTES_MAX: usize = 256;
/// Of a million tokens: a dollar a token, as for nodes. More is a mistake.
const PRICE_MAX: f64 = 1e6;

pub(super) fn upstreams(raw: Vec<RawUpstream>, problems: &mut Problems) -> Vec<Upstream> {
    let mut ids = HashSet::new();
    let mut upstreams = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let path = format!("upstream[{index}]");
        let id = required(&format!("{path}.id"), raw.id, problems);
        if let Some(id) = &id {
            if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
                problems.add(format!("{path}.id"), "may hold letters, digits, '.', '_' and '-'");
            }
            if !ids.insert(id.clone()) {
                problems.add(format!("{path}.id"), format!("{id:?} is used twice"));
            }
        }
        let base_url = base_url(&format!("{path}.base_url"), raw.base_url, problems);
        let models = upstream_models(&path, raw.models, problems);
        let dialect = dialect(&path, raw.max_tokens_member, raw.developer_role, problems);
        let continues = continues(&path, raw.prefill, problems);
        let api_key_path = format!("{path}.api_key");
        let api_key = raw.api_key.filter(|key| {
            let bytes = secrecy::ExposeSecret::expose_secret(key).as_bytes();
            let fits = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
            if !fits && !problems.has(&api_key_path) {
                problems.add(api_key_path.as_str(), "must be visible ASCII characters");
            }
            fits
        });
        if let (Some(id), Some(base_url)) = (id, base_url) {
            upstreams.push(Upstream {
                operator: raw.operator.filter(|o| !o.is_empty()).unwrap_or_else(|| id.clone()),
                id,
                base_url,
                api_key,
                region: raw.region.filter(|region| !region.is_empty()),
                allow_private: raw.allow_private,
                dialect,
                continues,
                models,
            });
        }
    }
    upstreams
}

fn dialect(
    upstream: &str,
    max_tokens_member: Option<String>,
    developer_role: Option<String>,
    problems: &mut Problems,
) -> Dialect {
    let token_limit = match max_tokens_member.as_deref() {
        None | Some("as_sent") => TokenLimit::AsSent,
        Some("max_tokens") => TokenLimit::MaxTokens,
        Some("max_completion_tokens") => TokenLimit::MaxCompletionTokens,
        Some(other) => {
            let words = "as_sent, max_tokens or max_completion_tokens";
            problems
                .add(format!("{upstream}.max_tokens_member"), format!("{other:?} is not {words}"));
            TokenLimit::AsSent
        }
    };
    let developer = match developer_role.as_deref() {
        None | Some("as_sent") => DeveloperRole::AsSent,
        Some("system") => DeveloperRole::System,
        Some(other) => {
            let message = format!("{other:?} is not as_sent or system");
            problems.add(format!("{upstream}.developer_role"), message);
            DeveloperRole::AsSent
        }
    };
    Dialect { token_limit, developer }
}

/// By which member a server is asked to go on with the last message; there is one that is customary.
fn continues(upstream: &str, prefill: Option<String>, problems: &mut Problems) -> bool {
    match prefill.as_deref() {
        None | Some("none") => false,
        Some("continue_final_message") => true,
        Some(other) => {
            let message = format!("{other:?} is not none or continue_final_message");
            problems.add(format!("{upstream}.prefill"), message);
            false
        }
    }
}

fn base_url(path: &str, text: Option<String>, problems: &mut Problems) -> Option<Url> {
    let text = required(path, text, problems)?;
    let mut url = match Url::parse(&text) {
        Ok(url) => url,
        Err(error) => {
            problems.add(path, format!("is not a URL: {error}"));
            return None;
        }
    };
    let fault = if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        "must be an http or https URL"
    } else if !url.username().is_empty() || url.password().is_some() {
        "must not hold a user or password; use api_key"
    } else if url.query().is_some() || url.fragment().is_some() {
        "must not have a query or a fragment"
    } else {
        let trimmed = url.path().trim_end_matches('/').to_owned();
        url.set_path(&trimmed);
        return Some(url);
    };
    problems.add(path, fault);
    None
}

fn upstream_models(
    upstream: &str,
    raw: Vec<RawUpstreamModel>,
    problems: &mut Problems,
) -> Vec<UpstreamModel> {
    let models = format!("{upstream}.models");
    if raw.is_empty() && !problems.has(&models) {
        problems.add(models.as_str(), "needs at least one model");
    }
    let mut ids = HashSet::new();
    let mut checked = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let path = format!("{models}[{index}]");
        for (member, price) in [("price_in", raw.price_in), ("price_out", raw.price_out)] {
            if price.is_some_and(|price| !(0.0..=PRICE_MAX).contains(&price)) {
                let what = format!("must be a number of at least 0 and at most {PRICE_MAX}");
                problems.add(format!("{path}.{member}"), what);
            }
        }
        if raw.context == Some(0) {
            problems.add(format!("{path}.context"), "must be at least 1");
        }
        let Some(id) = name(&format!("{path}.id"), raw.id, problems) else { continue };
        if !ids.insert(id.clone()) {
            problems.add(format!("{path}.id"), format!("{id:?} is listed twice"));
        }
        checked.push(UpstreamModel {
            upstream_model: raw.upstream_model.filter(|m| !m.is_empty()).unwrap_or(id.clone()),
            id,
            price_in: raw.price_in,
            price_out: raw.price_out,
            context: raw.context,
            quantization: raw.quantization.filter(|name| !name.is_empty()),
        });
    }
    checked
}

/// The catalogue. A name may be an entry's id or one entry's alias, never both, and an alias must not
/// hide a model that a provider serves under that very name.
pub(super) fn models(
    raw: Vec<RawModel>,
    upstreams: &[Upstream],
    problems: &mut Problems,
) -> Vec<ModelEntry> {
    let served: HashSet<&str> =
        upstreams.iter().flat_map(|u| u.models.iter()).map(|m| m.id.as_str()).collect();
    let mut names: HashMap<String, String> = HashMap::new();
    let mut entries = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let path = format!("model[{index}]");
        for (at, weights) in raw.weights_ids.iter().enumerate() {
            let digest = weights.strip_prefix("b3:").unwrap_or_default();
            if !is_digest(digest) {
                problems.add(format!("{path}.weights_ids[{at}]"), "is not b3: and 64 hex digits");
            }
        }
        let template_sha256 = raw.template_sha256;
        if template_sha256.as_deref().is_some_and(|digest| !is_digest(digest)) {
            problems.add(format!("{path}.template_sha256"), "is not 64 hex digits");
        }
        let id_path = format!("{path}.id");
        let id = name(&id_path, raw.id, problems);
        let mut claim = |name: &str, path: String| {
            if let Some(other) = names.insert(name.to_owned(), path.clone()) {
                problems.add(path, format!("{name:?} is already a name, at {other}"));
            } else if !path.ends_with(".id") && served.contains(name) {
                problems.add(path, format!("{name:?} is a model that an upstream serves"));
            }
        };
        if let Some(id) = &id {
            claim(id, id_path);
        }
        for (at, alias) in raw.aliases.iter().enumerate() {
            claim(alias, format!("{path}.aliases[{at}]"));
        }
        for (at, alias) in raw.aliases.iter().enumerate() {
            name(&format!("{path}.aliases[{at}]"), Some(alias.clone()), problems);
        }
        if let Some(id) = id {
            entries.push(ModelEntry {
                id,
                aliases: raw.aliases,
                weights_ids: raw.weights_ids,
                template_sha256,
            });
        }
    }
    entries
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a model may be called so.
pub(crate) fn is_model_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"@\"\\".contains(&b))
}

/// A model's name: slashes and colons are usual in it; `@` is kept for naming a provider.
pub(super) fn name(path: &str, text: Option<String>, problems: &mut Problems) -> Option<String> {
    let text = required(path, text, problems)?;
    if !is_model_name(&text) {
        problems.add(
            path,
            format!(
                "must be at most {NAME_BYTES_MAX} visible ASCII characters without @, \" and \\"
            ),
        );
        return None;
    }
    Some(text)
}
