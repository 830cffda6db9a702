//! Between the start of the providers and the first request: what their models' weights are called,
//! and whether all of them have joined.

use super::supervise::Member;
use anyhow::{Context as _, Result, bail};
use gateway::app::App;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use provider::status::Status;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// More than any status is long.
const STATUS_BYTES_MAX: usize = 1 << 20;
const STATUS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The models a provider serves, with the names of their weights. Asked of the provider, since only
/// it knows what it loaded, perhaps from a hub.
///
/// # Errors
/// When it does not tell.
pub(super) async fn models(member: &Member) -> Result<Vec<(String, Option<String>)>> {
    let asked = timeout(STATUS_WITHIN, ask(member)).await;
    asked.with_context(|| format!("{} tells no status", member.name))?
}

async fn ask(member: &Member) -> Result<Vec<(String, Option<String>)>> {
    let client: Client<_, Empty<&[u8]>> = Client::builder(TokioExecutor::new()).build_http();
    let name = &member.name;
    let url = format!("http://{}/status", member.addr).parse().context("no URL")?;
    let answer = client.get(url).await.with_context(|| format!("{name} tells no status"))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), STATUS_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{name} tells no status: {error}"))?.to_bytes();
    if !status.is_success() {
        bail!("{name} tells no status: {status}: {}", String::from_utf8_lossy(&body));
    }
    let status: Status =
        serde_json::from_slice(&body).with_context(|| format!("{name}: status"))?;
    Ok(status.models.into_iter().map(|model| (model.id, model.weights_id)).collect())
}

/// Waits until that many nodes have joined.
///
/// # Errors
/// When they have not `within` the time.
pub(super) async fn all(app: &App, count: usize, within: Duration) -> Result<()> {
    let end = Instant::now() + within;
    let joined = || app.market.snapshot().endpoints().len();
    while joined() < count {
        if Instant::now() > end {
            bail!("of {count} providers only {} have joined", joined());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
