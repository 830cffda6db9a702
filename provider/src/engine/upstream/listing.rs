//! The fronted server's model list, in whatever shape it has: only ids are needed.

use super::ModelMap;
use super::client::Client;
use crate::engine::ModelInfo;
use http_body_util::{BodyExt, Limited};
use openapi::node::Feature;
use serde::Deserialize;
use std::time::Duration;

const LIST_BYTES_MAX: usize = 4 << 20;
const MODELS_MAX: usize = 10_000;
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is passed on as it came; whether the server acts on it, its answers tell.
const FEATURES: [Feature; 6] = [
    Feature::Chat,
    Feature::Completions,
    Feature::Embeddings,
    Feature::Tools,
    Feature::JsonSchema,
    Feature::Logprobs,
];

#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    created: Option<i64>,
    /// vLLM's name for the context length.
    #[serde(default)]
    max_model_len: Option<u64>,
    #[serde(default)]
    context_length: Option<u64>,
}

/// All models it lists, or why there is no list.
pub(super) async fn fetch(client: &Client) -> Result<Vec<ModelInfo>, String> {
    let fetched = tokio::time::timeout(TIMEOUT, async {
        let response = client.get("/v1/models").await?;
        if !response.status().is_success() {
            return Err(format!("/models answers {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), LIST_BYTES_MAX);
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        serde_json::from_slice::<List>(&body).map_err(|error| format!("/models: {error}"))
    });
    let list = fetched.await.map_err(|_| "/models does not answer".to_owned())??;
    Ok(list.data.into_iter().take(MODELS_MAX).map(info).collect())
}

fn info(entry: Entry) -> ModelInfo {
    ModelInfo {
        id: entry.id,
        created: entry.created.unwrap_or(0),
        context_length: entry.max_model_len.or(entry.context_length),
        features: FEATURES.to_vec(),
        backend: "upstream",
        ..ModelInfo::default()
    }
}

/// A configured model; `there` is the server's own entry for it.
pub(super) fn mapped(map: &ModelMap, there: Option<&ModelInfo>) -> ModelInfo {
    ModelInfo {
        id: map.id.clone(),
        created: there.map_or(0, |info| info.created),
        context_length: map.context_length.or(there.and_then(|info| info.context_length)),
        weights_id: map.weights_id.clone(),
        quant: map.quant.clone(),
        features: FEATURES.to_vec(),
        backend: "upstream",
        ..ModelInfo::default()
    }
}
