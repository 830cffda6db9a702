//! That no value of a hello is longer, larger or stranger than a real one can be: all of it is kept,
//! shown and compared.

use openapi::node::{Hardware, Hello, Link, Served};
use std::collections::HashSet;
use url::Url;

use super::{MODELS_MAX, Refusal};
use crate::config::is_model_name;
use crate::market::is_hidden;

const TEXT_BYTES_MAX: usize = 256;
const WORD_BYTES_MAX: usize = 64;
const URL_BYTES_MAX: usize = 2048;
const GPUS_MAX: usize = 64;
const FEATURES_MAX: usize = 32;
const CORES_MAX: u32 = 1 << 16;
/// 64 PiB.
const MEMORY_BYTES_MAX: u64 = 1 << 56;
const CONTEXT_MAX: u64 = 1 << 32;
const REQUESTS_MAX: u32 = 1 << 20;

pub(super) fn check(hello: &Hello, now_ms: i64) -> Result<(), Refusal> {
    link(&hello.link)?;
    hardware(&hello.hardware)?;
    text("software", &hello.software)?;
    if let Some(region) = &hello.region {
        word("region", region)?;
    }
    if hello.lease_expires_at_ms.is_some_and(|at| at <= now_ms) {
        return Err(Refusal::invalid("lease_expires_at_ms", "is over"));
    }
    let capacity = hello.capacity;
    if !(1..=REQUESTS_MAX).contains(&capacity.running_max) {
        return Err(Refusal::invalid("capacity.running_max", "must be from 1 to 1048576"));
    }
    if capacity.queued_max > REQUESTS_MAX {
        return Err(Refusal::invalid("capacity.queued_max", "must be at most 1048576"));
    }
    if hello.models.is_empty() || hello.models.len() > MODELS_MAX {
        return Err(Refusal::invalid("models", format!("must be 1 to {MODELS_MAX} models")));
    }
    let mut ids = HashSet::new();
    for (at, served) in hello.models.iter().enumerate() {
        model(&format!("models[{at}]"), served)?;
        if !ids.insert(&served.id) {
            return Err(Refusal::invalid(format!("models[{at}].id"), "is listed twice"));
        }
    }
    Ok(())
}

/// Whether the address may be asked at all is the connection's to judge.
fn link(link: &Link) -> Result<(), Refusal> {
    let Link::Direct { url } = link else { return Ok(()) };
    let parsed = Url::parse(url).ok().filter(|_| url.len() <= URL_BYTES_MAX);
    let is_plain = |url: &Url| {
        let no_user = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && no_user
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match parsed.as_ref().is_some_and(is_plain) {
        true => Ok(()),
        false => Err(Refusal::invalid(
            "link.url",
            "must be an https URL without user, query and fragment",
        )),
    }
}

fn hardware(hardware: &Hardware) -> Result<(), Refusal> {
    text("hardware.platform", &hardware.platform)?;
    text("hardware.cpu", &hardware.cpu)?;
    word("hardware.backend", &hardware.backend)?;
    if hardware.gpus.len() > GPUS_MAX {
        return Err(Refusal::invalid("hardware.gpus", format!("must be at most {GPUS_MAX} cards")));
    }
    for gpu in &hardware.gpus {
        text("hardware.gpus", gpu)?;
    }
    if hardware.cores > CORES_MAX {
        return Err(Refusal::invalid("hardware.cores", format!("must be at most {CORES_MAX}")));
    }
    let bytes = [
        ("hardware.memory_bytes", hardware.memory_bytes),
        ("hardware.gpu_memory_bytes", hardware.gpu_memory_bytes),
    ];
    match bytes.into_iter().find(|(_, bytes)| *bytes > MEMORY_BYTES_MAX) {
        Some((param, _)) => Err(Refusal::invalid(param, "is more than any machine has")),
        None => Ok(()),
    }
}

fn model(path: &str, served: &Served) -> Result<(), Refusal> {
    if !is_model_name(&served.id) {
        let what = "must be 1 to 256 visible ASCII characters without @, \" and \\";
        return Err(Refusal::invalid(format!("{path}.id"), what));
    }
    let weights = served.weights_id.as_deref();
    if weights.is_some_and(|id| !id.strip_prefix("b3:").is_some_and(is_digest)) {
        let what = "must be b3: and 64 lower-case hex digits";
        return Err(Refusal::invalid(format!("{path}.weights_id"), what));
    }
    if served.template_sha256.as_deref().is_some_and(|digest| !is_digest(digest)) {
        let what = "must be 64 lower-case hex digits";
        return Err(Refusal::invalid(format!("{path}.template_sha256"), what));
    }
    let words = [("quantization", &served.quantization), ("kv_dtype", &served.kv_dtype)];
    for (member, value) in words {
        if let Some(value) = value {
            word(&format!("{path}.{member}"), value)?;
        }
    }
    if let Some(engine) = &served.engine {
        text(&format!("{path}.engine"), engine)?;
    }
    if served.context_length.is_some_and(|tokens| !(1..=CONTEXT_MAX).contains(&tokens)) {
        let what = format!("must be from 1 to {CONTEXT_MAX}");
        return Err(Refusal::invalid(format!("{path}.context_length"), what));
    }
    if served.features.len() > FEATURES_MAX {
        let what = format!("must be at most {FEATURES_MAX} features");
        return Err(Refusal::invalid(format!("{path}.features"), what));
    }
    Ok(())
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A name that policies compare.
fn word(param: &str, value: &str) -> Result<(), Refusal> {
    let fits = !value.is_empty()
        && value.len() <= WORD_BYTES_MAX
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+/:".contains(&b));
    match fits {
        true => Ok(()),
        false => {
            let what =
                format!("must be 1 to {WORD_BYTES_MAX} letters, digits and any of . _ - + / :");
            Err(Refusal::invalid(param, what))
        }
    }
}

/// Words that people read: they reach terminals and pages, so nothing that controls one is in them.
fn text(param: &str, value: &str) -> Result<(), Refusal> {
    let fits = value.len() <= TEXT_BYTES_MAX && !value.chars().any(is_hidden);
    match fits {
        true => Ok(()),
        false => {
            let what = format!(
                "must be at most {TEXT_BYTES_MAX} bytes without control and hidden characters"
            );
            Err(Refusal::invalid(param, what))
        }
    }
}
