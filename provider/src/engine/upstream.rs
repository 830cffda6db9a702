//! Fronts any OpenAI-compatible server: requests go on as they came, with the model's name there put
//! in; status, harmless headers and body bytes come back as they are. It judges no request and mends
//! no answer; that is the gateway's work.

mod body;
mod client;
mod listing;
mod scorer;

use super::tally::Tally;
use super::{Answer, Engine, Error, Job, ModelInfo, RawRequest, Relayed, embed, score};
use crate::counters::Counters;
use client::Client;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::{StatusCode, Uri};
use openapi::node::Feature;
use scorer::Scorers;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub use client::{ApiKey, SetupError};
pub use scorer::Dialect;

/// How a foreign server is reached and what of it is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ends in the version, as OpenAI clients have it: `http://10.0.0.5:8000/v1`.
    pub base_url: Uri,
    pub api_key: Option<ApiKey>,
    /// Served models. Empty: all the server lists, under their own names.
    pub models: Vec<ModelMap>,
    pub max_concurrent: usize,
    pub connect_timeout: Duration,
    /// Until the response's head. A whole answer has its head when it is done.
    pub header_timeout: Duration,
    /// Silence inside a response body.
    pub idle_timeout: Duration,
    /// Between two looks at the server's model list.
    pub refresh: Duration,
    /// How the server scores; absent: it does not.
    pub scorer: Option<Dialect>,
}

/// One served model and its name at the foreign server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelMap {
    pub id: String,
    pub upstream_model: String,
    pub context_length: Option<u64>,
    /// What the weights there are, as the operator says.
    pub weights_id: Option<String>,
    pub quant: Option<String>,
    /// A folder with the model's tokenizer, template and configuration, without which nothing can be
    /// scored.
    pub files: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Upstream {
    client: Client,
    options: Options,
    counters: Arc<Counters>,
    scorers: Scorers,
    seen: RwLock<Seen>,
}

/// What the last look at the server's list showed.
#[derive(Debug, Clone)]
struct Seen {
    models: Vec<ModelInfo>,
    health: Result<(), String>,
}

impl Upstream {
    /// Checks the options, reads the files of models; connects to nothing. Call [`Self::refresh`] before serving.
    pub fn new(options: Options, counters: Arc<Counters>) -> Result<Self, SetupError> {
        let client = Client::new(&options)?;
        let scorers = Scorers::read(options.scorer, &options.models);
        let scorers = scorers.map_err(SetupError::Files)?;
        let map = |map: &ModelMap| scoring(&options, &scorers, map, listing::mapped(map, None));
        let models = options.models.iter().map(map).collect();
        let health = Err("the server was not asked yet".to_owned());
        Ok(Self { client, options, counters, scorers, seen: RwLock::new(Seen { models, health }) })
    }

    /// Asks the server for its models once and remembers the outcome.
    pub async fn refresh(&self) {
        let listed = listing::fetch(&self.client).await;
        let seen = match listed {
            Ok(listed) => Seen { models: self.served(listed), health: Ok(()) },
            Err(reason) => {
                tracing::warn!(reason, "the fronted server's models can't be listed");
                let models = self.models();
                Seen { models, health: Err(format!("the fronted server: {reason}")) }
            }
        };
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Refreshes until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let every = self.options.refresh;
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            self.refresh().await;
        }
    }

    fn served(&self, listed: Vec<ModelInfo>) -> Vec<ModelInfo> {
        if self.options.models.is_empty() {
            return listed;
        }
        let map = |map: &ModelMap| {
            let there = listed.iter().find(|info| info.id == map.upstream_model);
            scoring(&self.options, &self.scorers, map, listing::mapped(map, there))
        };
        self.options.models.iter().map(map).collect()
    }

    fn name_there<'a>(&'a self, model: &'a str) -> &'a str {
        let map = self.options.models.iter().find(|map| map.id == model);
        map.map_or(model, |map| map.upstream_model.as_str())
    }

    async fn pass_on(&self, model: &str, raw: &RawRequest) -> Result<Relayed, Error> {
        let body = body::with_model(&raw.body, self.name_there(model))?;
        let mut tally = Tally::start(&self.counters);
        let sent = self.client.post(&raw.path, body).await;
        let response = match sent {
            Ok(response) => response,
            Err(reason) => {
                tally.fail();
                return Err(Error::Unavailable(format!("the fronted server: {reason}")));
            }
        };
        let (head, incoming) = response.into_parts();
        if matches!(head.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            // Its quarrel is with our key, which is not the caller's affair.
            tally.fail();
            tracing::error!(status = head.status.as_u16(), "the fronted server refuses our key");
            let reason = "the fronted server refuses this provider's credentials";
            return Err(Error::Unavailable(reason.to_owned()));
        }
        let headers = body::passing(&head.headers);
        let body = body::relayed(incoming, self.options.idle_timeout, tally).boxed();
        Ok(Relayed { status: head.status, headers, body })
    }
}

/// With what can be said of a model whose files are here.
fn scoring(options: &Options, scorers: &Scorers, map: &ModelMap, mut info: ModelInfo) -> ModelInfo {
    let template = scorers.template_sha256(&map.id);
    if let (Some(dialect), Some(template)) = (options.scorer, template) {
        info.template_sha256 = Some(template.to_owned());
        info.reach = Some(dialect.reach());
        info.features.push(Feature::Score);
    }
    info
}

impl Engine for Upstream {
    fn models(&self) -> Vec<ModelInfo> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).models.clone()
    }

    fn start(&self, job: Job) -> BoxFuture<'_, Result<Answer, Error>> {
        Box::pin(async move { Ok(Answer::Relay(self.pass_on(&job.model, &job.raw).await?)) })
    }

    fn embed(&self, job: embed::Job) -> BoxFuture<'_, Result<embed::Answer, Error>> {
        Box::pin(async move { Ok(embed::Answer::Relay(self.pass_on(&job.model, &job.raw).await?)) })
    }

    fn score(&self, job: score::Job) -> BoxFuture<'_, Result<score::Answer, Error>> {
        Box::pin(self.scorers.score(&self.client, job))
    }

    fn concurrency(&self) -> usize {
        self.options.max_concurrent
    }

    fn health(&self) -> Result<(), String> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).health.clone()
    }

    fn relays(&self) -> bool {
        true
    }
}
