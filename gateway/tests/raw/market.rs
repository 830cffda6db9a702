//! One gateway with keys, in front of a scripted provider or of whatever a test listens with.

use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const MODEL: &str = "acme/test:1";
pub(crate) const KEY: &str = "qk_0123456789abcdef";
/// The gateway's own key at the providers.
pub(crate) const UPSTREAM_KEY: &str = "sk-upstream-canary";
/// A site whose pages may read answers.
pub(crate) const SITE: &str = "https://app.example";
/// Far above what anything here takes: who reaches it hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Market {
    pub(crate) gateway: gateway::Running,
    pub(crate) provider: provider::app::Running,
    _data: tempfile::TempDir,
}

/// A gateway with these `[limits]`, in front of a provider with this script.
pub(crate) async fn market(limits: &str, script: Value) -> Market {
    let provider = provider::testing::scripted(MODEL, script).await.expect("serves");
    let url = format!("http://{}/v1", provider.addr);
    let (gateway, data) = gateway(limits, &[&url], true).await;
    Market { gateway, provider, _data: data }
}

/// A gateway in front of these base URLs.
pub(crate) async fn gateway(
    limits: &str,
    urls: &[&str],
    allow_private: bool,
) -> (gateway::Running, tempfile::TempDir) {
    let data = tempfile::tempdir().expect("a folder");
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
         cors_origins = [{SITE:?}]\n[[key]]\nname = \"alice\"\nkey = {KEY:?}\n[limits]\n{limits}\n",
        data.path()
    );
    for (number, url) in urls.iter().enumerate() {
        text += &format!(
            "[[upstream]]\nid = \"p{number}\"\nallow_private = {allow_private}\n\
             base_url = {url:?}\napi_key = {UPSTREAM_KEY:?}\nmodels = [{{ id = {MODEL:?} }}]\n"
        );
    }
    let settings = gateway::config::parse(&text, &|_| None).expect("valid settings");
    (gateway::serve(settings).await.expect("serves"), data)
}

impl Market {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.gateway.addr
    }

    /// Waits until nothing of any request is left: no connection, no stream, no attempt.
    pub(crate) async fn until_quiet(&self) {
        let app = &self.gateway.app;
        until("quiet", || {
            let attempts = app.market.snapshot().endpoints().iter().map(|e| e.in_flight()).sum();
            let counters = &self.provider.counters;
            let jobs =
                counters.jobs_started() - counters.jobs_finished() - counters.jobs_cancelled();
            (app.metrics.connections.get(), app.metrics.open_streams.get(), attempts, jobs)
                == (0, 0, 0u32, 0)
        })
        .await;
    }
}

/// Waits for a state that another task brings about.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let reached = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while !is_so() {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, reached).await.is_ok(), "never: {what}");
}

/// A chat request's body.
pub(crate) fn chat(more: &str) -> String {
    format!("{{\"model\":{MODEL:?},\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]{more}}}")
}
