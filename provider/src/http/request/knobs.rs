//! The sampling members both endpoints share, and their ranges.

use crate::engine::Sampling;
use crate::http::error::Error;
use openapi::chat::Stop;
use std::collections::BTreeMap;

const STOPS_MAX: usize = 4;
/// Characters of all stop strings together.
const STOP_BYTES_MAX: usize = 4096;
const BIASES_MAX: usize = 1024;
const BIAS_MAX: f64 = 100.0;

/// As they came.
#[derive(Debug)]
pub(super) struct Knobs<'a> {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<u32>,
    pub(super) min_p: Option<f64>,
    pub(super) presence_penalty: Option<f64>,
    pub(super) frequency_penalty: Option<f64>,
    pub(super) repetition_penalty: Option<f64>,
    pub(super) logit_bias: Option<&'a BTreeMap<String, f64>>,
    pub(super) seed: Option<i64>,
}

impl Knobs<'_> {
    /// Checked, with OpenAI's defaults.
    pub(super) fn sampling(&self, drawn_seed: u64) -> Result<Sampling, Error> {
        let repetition_penalty = self.repetition_penalty.unwrap_or(1.0);
        if !(repetition_penalty > 0.0 && repetition_penalty <= 2.0) {
            return Err(Error::invalid(
                "repetition_penalty",
                "`repetition_penalty` must be above 0 and at most 2",
            ));
        }
        Ok(Sampling {
            seed: self.seed.map_or(drawn_seed, i64::cast_unsigned),
            temperature: within("temperature", self.temperature, 0.0, 2.0, 1.0)?,
            top_k: self.top_k.unwrap_or(0),
            top_p: within("top_p", self.top_p, 0.0, 1.0, 1.0)?,
            min_p: within("min_p", self.min_p, 0.0, 1.0, 0.0)?,
            presence_penalty: within("presence_penalty", self.presence_penalty, -2.0, 2.0, 0.0)?,
            frequency_penalty: within("frequency_penalty", self.frequency_penalty, -2.0, 2.0, 0.0)?,
            repetition_penalty,
            logit_bias: self.biases()?,
        })
    }

    fn biases(&self) -> Result<BTreeMap<u32, f64>, Error> {
        let Some(biases) = self.logit_bias else { return Ok(BTreeMap::new()) };
        if biases.len() > BIASES_MAX {
            let message = format!("`logit_bias` takes at most {BIASES_MAX} tokens");
            return Err(Error::invalid("logit_bias", message));
        }
        let mut checked = BTreeMap::new();
        for (token, bias) in biases {
            let param = format!("logit_bias.{}", token.chars().take(32).collect::<String>());
            let Ok(id) = token.parse::<u32>() else {
                return Err(Error::invalid(param, "`logit_bias` names tokens by their number"));
            };
            within(&param, Some(*bias), -BIAS_MAX, BIAS_MAX, 0.0)?;
            checked.insert(id, *bias);
        }
        Ok(checked)
    }
}

fn within(member: &str, value: Option<f64>, min: f64, max: f64, absent: f64) -> Result<f64, Error> {
    let value = value.unwrap_or(absent);
    if !value.is_finite() || value < min || value > max {
        return Err(Error::invalid(member, format!("`{member}` must be between {min} and {max}")));
    }
    Ok(value)
}

pub(super) fn choices(n: Option<u32>, max: u32) -> Result<u32, Error> {
    let n = n.unwrap_or(1);
    if n == 0 || n > max {
        return Err(Error::invalid("n", format!("`n` must be between 1 and {max} here")));
    }
    Ok(n)
}

/// `member` is the name the caller used.
pub(super) fn max_tokens(member: &str, value: Option<u32>) -> Result<Option<u32>, Error> {
    if value == Some(0) {
        return Err(Error::invalid(member, format!("`{member}` must be at least 1")));
    }
    Ok(value)
}

pub(super) fn stops(stop: Option<&Stop>) -> Result<Vec<String>, Error> {
    let stops = match stop {
        None => Vec::new(),
        Some(Stop::One(text)) => vec![text.clone()],
        Some(Stop::Many(texts)) => texts.clone(),
    };
    if stops.len() > STOPS_MAX {
        return Err(Error::invalid("stop", format!("`stop` takes at most {STOPS_MAX} strings")));
    }
    if let Some(empty) = stops.iter().position(String::is_empty) {
        let many = matches!(stop, Some(Stop::Many(_)));
        let param = if many { format!("stop[{empty}]") } else { "stop".to_owned() };
        return Err(Error::invalid(param, "a stop string must not be empty"));
    }
    if stops.iter().map(String::len).sum::<usize>() > STOP_BYTES_MAX {
        let message = format!("`stop` takes at most {STOP_BYTES_MAX} bytes together");
        return Err(Error::invalid("stop", message));
    }
    Ok(stops)
}
