//! GET /v1/models and /v1/models/{id}. What can be asked for comes from behind [`Models`]; this file
//! only prints it.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Json;
use openapi::error::ErrorBody;
use openapi::models::{Model, ModelList};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::error::Error;
use crate::app::App;
use crate::auth::Principal;
use crate::config::Settings;

/// What can be asked for now.
pub trait Models: Send + Sync + fmt::Debug {
    /// In a stable order, without aliases.
    fn list(&self) -> Vec<Model>;

    /// By id or alias; the answer's `id` is the id.
    fn find(&self, name: &str) -> Option<Model>;
}

/// The configuration's models: the catalogue, then what upstreams serve beside it.
#[derive(Debug)]
pub struct Catalogue {
    models: Vec<Model>,
    /// Ids and aliases, to a place in `models`.
    by_name: HashMap<String, usize>,
}

/// The models that can be asked for.
#[utoipa::path(get, path = "/v1/models", tag = "models", security(("api_key" = [])),
    responses(
        (status = 200, description = "Every model, without aliases", body = ModelList),
        (status = 401, description = "No valid key", body = ErrorBody),
    ))]
pub async fn list(_: Principal, State(app): State<Arc<App>>) -> Json<ModelList> {
    Json(ModelList::new(app.models.list()))
}

/// One model, by id or alias. Ids contain slashes and colons, plain or percent-encoded.
#[utoipa::path(get, path = "/v1/models/{*id}", tag = "models", security(("api_key" = [])),
    params(("id" = String, Path, description = "The model's id or an alias; it may contain slashes")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 404, description = "No such model", body = ErrorBody),
    ))]
pub async fn find(
    _: Principal,
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, Error> {
    let Ok(Path(name)) = name else {
        return Err(Error::invalid("id", "The model's id is not UTF-8 once decoded."));
    };
    app.models.find(&name).map(Json).ok_or(Error::ModelNotFound { model: name })
}

// === impl Catalogue ===

impl Catalogue {
    /// `created` is in Unix seconds.
    pub fn new(settings: &Settings, created: i64) -> Self {
        let mut catalogue = Self { models: Vec::new(), by_name: HashMap::new() };
        for entry in &settings.models {
            let at = catalogue.add(&entry.id, created);
            for alias in &entry.aliases {
                catalogue.by_name.insert(alias.clone(), at);
            }
        }
        for upstream in &settings.upstreams {
            for served in &upstream.models {
                let at = catalogue.add(&served.id, created);
                if let Some(model) = catalogue.models.get_mut(at) {
                    offer(model, &upstream.operator, served.context);
                }
            }
        }
        for model in &mut catalogue.models {
            if model.owned_by.is_empty() {
                model.owned_by.push_str(SHARED);
            }
        }
        catalogue
    }

    fn add(&mut self, id: &str, created: i64) -> usize {
        if let Some(&at) = self.by_name.get(id) {
            return at;
        }
        self.models.push(Model::new(id, created, ""));
        let at = self.models.len() - 1;
        self.by_name.insert(id.to_owned(), at);
        at
    }
}

/// `owned_by` of a model that several operators serve, or none yet.
const SHARED: &str = "quorate";

/// One more provider of the model: the longest context counts; the owner is named if there is one only.
fn offer(model: &mut Model, operator: &str, context: Option<u64>) {
    model.context_length = model.context_length.max(context);
    if model.owned_by.is_empty() {
        operator.clone_into(&mut model.owned_by);
    } else if model.owned_by != operator {
        SHARED.clone_into(&mut model.owned_by);
    }
}

impl Models for Catalogue {
    fn list(&self) -> Vec<Model> {
        self.models.clone()
    }

    fn find(&self, name: &str) -> Option<Model> {
        self.by_name.get(name).and_then(|&at| self.models.get(at)).cloned()
    }
}
