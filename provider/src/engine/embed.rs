//! The seam's smaller half: texts to vectors. Owns what such a job is, and the one way a model's row
//! becomes what a caller gets: its first numbers, of unit length. It knows no model.

use super::{Error, RawRequest, Relayed};

/// Tokens of all inputs of one request together, as at OpenAI.
pub const TOKENS_MAX: u64 = 300_000;

/// One request: every input, in order.
#[derive(Debug, Clone)]
pub struct Job {
    /// For logs only.
    pub request_id: String,
    pub model: String,
    /// None empty. Unread where the engine passes requests on.
    pub inputs: Vec<Input>,
    /// Whether the caller gave a list, for the names of its items.
    pub is_list: bool,
    /// At least 1. Absent: as many as the model makes.
    pub dimensions: Option<u32>,
    /// The request as it came, for engines that pass it on.
    pub raw: RawRequest,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Text(String),
    Ids(Vec<u32>),
}

/// What an engine hands back.
#[derive(Debug)]
pub enum Answer {
    Vectors(Vectors),
    /// A foreign server's answer.
    Relay(Relayed),
}

/// One vector an input, in order, each of unit length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vectors {
    pub vectors: Vec<Vec<f32>>,
    /// Tokens the model read, those its tokenizer adds included.
    pub prompt_tokens: u64,
}

impl Job {
    /// How the caller named an input.
    pub fn param(&self, index: usize) -> String {
        if self.is_list { format!("input[{index}]") } else { "input".to_owned() }
    }

    /// An input at fault.
    pub fn invalid(&self, index: usize, message: impl Into<String>) -> Error {
        Error::Invalid { message: message.into(), param: Some(self.param(index)), code: None }
    }

    /// An input longer than the model reads.
    pub fn too_long(&self, index: usize, tokens: usize, context: u32) -> Error {
        Error::Invalid {
            message: format!(
                "This model's maximum context length is {context} tokens, and this input is at \
                 least {tokens} tokens long. Please shorten it."
            ),
            param: Some(self.param(index)),
            code: Some("context_length_exceeded"),
        }
    }

    /// Whether `dimensions` can be had of a model that makes `made`.
    pub fn check_dimensions(&self, made: u32) -> Result<(), Error> {
        match self.dimensions {
            Some(wanted) if wanted > made => Err(Error::Invalid {
                message: format!("`dimensions` must be at most {made} with this model"),
                param: Some("dimensions".to_owned()),
                code: None,
            }),
            _ => Ok(()),
        }
    }

    /// The tokens of all inputs, counted.
    pub fn total(tokens: impl Iterator<Item = usize>) -> Result<u64, Error> {
        let total = tokens.fold(0u64, |sum, count| sum.saturating_add(count as u64));
        if total > TOKENS_MAX {
            return Err(Error::Invalid {
                message: format!("{total} tokens, and at most {TOKENS_MAX} in one request"),
                param: Some("input".to_owned()),
                code: Some("max_tokens_per_request"),
            });
        }
        Ok(total)
    }
}

/// The first `dimensions` numbers of a row, scaled to unit length. Of a model trained for it
/// (Matryoshka) a shorter vector is as good as its own; of others it is a coarser one.
pub fn unit(mut row: Vec<f32>, dimensions: Option<u32>) -> Result<Vec<f32>, Error> {
    if let Some(wanted) = dimensions.and_then(|wanted| usize::try_from(wanted).ok()) {
        row.truncate(wanted);
    }
    let length = row.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    if !length.is_normal() {
        return Err(Error::Internal("the model made a vector without a direction".to_owned()));
    }
    for number in &mut row {
        #[expect(clippy::cast_possible_truncation, reason = "at most 1")]
        let scaled = (f64::from(*number) / length) as f32;
        *number = scaled;
    }
    Ok(row)
}

/// What a model that makes none answers.
pub(super) fn unsupported(model: &str) -> Error {
    Error::Invalid {
        message: format!("The model `{model}` does not make embeddings."),
        param: Some("model".to_owned()),
        code: Some("unsupported_operation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(row: &[f32]) -> f64 {
        row.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn vectors_have_unit_length_whole_and_shortened() {
        let row = vec![3.0, -4.0, 12.0, 1e-30];
        let whole = unit(row.clone(), None).unwrap();
        assert_eq!(whole.len(), 4);
        assert!((length(&whole) - 1.0).abs() < 1e-6);
        assert_eq!(unit(row.clone(), Some(2)).unwrap(), [0.6, -0.8]);
        assert_eq!(unit(row.clone(), Some(9)).unwrap(), whole);
        // What is large or small still has a direction.
        assert_eq!(unit(vec![3e38, 0.0], None).unwrap(), [1.0, 0.0]);
        assert_eq!(unit(vec![0.0, -1e-40], None).unwrap(), [0.0, -1.0]);
    }

    #[test]
    fn a_row_without_a_direction_is_no_answer() {
        for row in [vec![], vec![0.0; 3], vec![f32::NAN, 1.0], vec![f32::INFINITY, 1.0]] {
            assert!(matches!(unit(row, None), Err(Error::Internal(_))));
        }
        assert!(unit(vec![0.0, 1.0], Some(1)).is_err());
    }
}
