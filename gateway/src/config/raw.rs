//! The file as it is written: every member optional, unknown ones refused. It checks shapes only.
//! After an error the member at fault is taken out and the rest is read again, so that one reading
//! finds all of them.

use serde::Deserialize;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::audit::RawAudit;
use super::breaker::RawBreaker;
use super::cache::RawCache;
use super::hedging::RawHedging;
use super::limits::RawLimits;
use super::market::RawMarket;
use super::problem::{Error, Problems};
use super::receipts::RawReceipts;
use super::routing::RawRouting;

/// More errors of shape than this are not worth printing.
const ERRORS_MAX: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) server: RawServer,
    pub(super) auth: RawAuth,
    pub(super) key: Vec<RawKey>,
    pub(super) upstream: Vec<RawUpstream>,
    pub(super) model: Vec<RawModel>,
    pub(super) alias: Vec<RawAlias>,
    pub(super) market: RawMarket,
    pub(super) limits: RawLimits,
    pub(super) routing: RawRouting,
    pub(super) hedging: RawHedging,
    pub(super) audit: RawAudit,
    pub(super) breaker: RawBreaker,
    pub(super) cache: RawCache,
    pub(super) receipts: RawReceipts,
    pub(super) telemetry: RawTelemetry,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawServer {
    pub(super) listen: Option<String>,
    pub(super) admin_listen: Option<String>,
    pub(super) data_dir: Option<String>,
    pub(super) cors_origins: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAuth {
    pub(super) mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawKey {
    pub(super) name: Option<String>,
    pub(super) key: Option<secrecy::SecretString>,
    pub(super) requests_per_minute: Option<u64>,
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) concurrent_streams: Option<u64>,
    pub(super) choices_max: Option<u64>,
    pub(super) hedges_max: Option<u64>,
    pub(super) quorum_max: Option<u64>,
    pub(super) verification: Option<String>,
    pub(super) models: Option<Vec<String>>,
    pub(super) regions: Option<Vec<String>>,
    pub(super) providers: Option<Vec<String>>,
    pub(super) budget_usd_per_day: Option<f64>,
    pub(super) cache: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUpstream {
    pub(super) id: Option<String>,
    pub(super) operator: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) api_key: Option<secrecy::SecretString>,
    pub(super) region: Option<String>,
    pub(super) allow_private: bool,
    pub(super) max_tokens_member: Option<String>,
    pub(super) developer_role: Option<String>,
    pub(super) prefill: Option<String>,
    pub(super) models: Vec<RawUpstreamModel>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawUpstreamModel {
    pub(super) id: Option<String>,
    pub(super) upstream_model: Option<String>,
    pub(super) price_in: Option<f64>,
    pub(super) price_out: Option<f64>,
    pub(super) context: Option<u64>,
    pub(super) quantization: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModel {
    pub(super) id: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) weights_ids: Vec<String>,
    pub(super) template_sha256: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAlias {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTelemetry {
    pub(super) format: Option<String>,
    pub(super) level: Option<String>,
}

/// The file as a tree. The text of a syntax error names the place, never the line's content.
pub(super) fn tree(text: &str) -> Result<Table, Error> {
    text.parse::<Table>().map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Error::Syntax {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
            message: error.message().lines().collect::<Vec<_>>().join("; "),
        }
    })
}

/// Reads the tree, taking out what can't be read.
pub(super) fn read(tree: Table, problems: &mut Problems) -> Raw {
    let mut tree = Value::Table(tree);
    for _ in 0..ERRORS_MAX {
        let error = match serde_path_to_error::deserialize::<_, Raw>(tree.clone()) {
            Ok(raw) => return raw,
            Err(error) => error,
        };
        let path = error.path().to_string();
        let segments: Vec<Segment> = error.path().iter().cloned().collect();
        if !problems.has(&path) {
            problems.add(path, message(&segments, error.inner()));
        }
        if !take_out(&mut tree, &segments) {
            break;
        }
    }
    Raw::default()
}

/// A value of the wrong type is quoted in serde's message; a key must not be.
fn message(segments: &[Segment], error: &toml::de::Error) -> String {
    match segments.last() {
        Some(Segment::Map { key }) if key == "key" || key == "api_key" => {
            "must be a string".to_owned()
        }
        // A token of `market.tokens`.
        _ if segments.iter().any(|s| matches!(s, Segment::Map { key } if key == "tokens")) => {
            "must be a list of strings".to_owned()
        }
        _ => error.message().trim_end().to_owned(),
    }
}

/// Removes the member at the path; where that is an array's element, the array, so that the other
/// paths stay true. False when there is nothing to remove.
fn take_out(tree: &mut Value, segments: &[Segment]) -> bool {
    let Some(last_key) = segments.iter().rposition(|s| matches!(s, Segment::Map { .. })) else {
        return false;
    };
    let mut at = tree;
    for segment in segments.iter().take(last_key) {
        let next = match segment {
            Segment::Map { key } => at.get_mut(key.as_str()),
            Segment::Seq { index } => at.get_mut(*index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        match next {
            Some(next) => at = next,
            None => return false,
        }
    }
    match (segments.get(last_key), at) {
        (Some(Segment::Map { key }), Value::Table(table)) => table.remove(key.as_str()).is_some(),
        _ => false,
    }
}
