//! Embeddings: texts to vectors.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One input or a list of them, each a text or token ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EmbeddingInput)]
pub enum Input {
    Text(String),
    Texts(Vec<String>),
    Ids(Vec<u32>),
    IdLists(Vec<Vec<u32>>),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncodingFormat {
    /// A JSON array of numbers.
    #[default]
    Float,
    /// The bytes of the numbers as little-endian 32-bit floats, in base64.
    Base64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EmbeddingRequest)]
pub struct Request {
    pub model: String,
    pub input: Input,
    #[serde(default)]
    pub encoding_format: Option<EncodingFormat>,
    /// Numbers of a vector: its first ones, scaled to unit length again. At most the model's.
    #[serde(default)]
    #[schema(format = Int64, minimum = 1, maximum = 4294967295u32)]
    pub dimensions: Option<u32>,
    #[serde(default)]
    pub user: Option<String>,
    /// Members this version does not know, kept in order.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extra: serde_json::Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EmbeddingList)]
pub struct Response {
    /// Always `list`.
    pub object: String,
    /// One for each input, in the order of the inputs.
    pub data: Vec<Embedding>,
    pub model: String,
    pub usage: Usage,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Embedding {
    /// Always `embedding`.
    pub object: String,
    pub index: u32,
    pub embedding: Vector,
}

/// Of unit length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EmbeddingVector)]
pub enum Vector {
    Floats(Vec<f32>),
    Base64(String),
}

/// There is no answer to count: `total_tokens` = `prompt_tokens`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EmbeddingUsage)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub total_tokens: u64,
}
