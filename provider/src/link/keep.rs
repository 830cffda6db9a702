//! Keeps one gateway's link up: dial, join, serve, and again, with pauses that suit what went wrong.

use super::backoff::Backoff;
use super::fault::{Again, Fault};
use super::tunnel::Left;
use super::{Entry, Gateway, Node, dial, join, tunnel};
use crate::status::Phase;
use axum::Router;
use rustls::ClientConfig;
use std::sync::Arc;

pub(super) struct Kept {
    pub(super) node: Arc<Node>,
    pub(super) gateway: Gateway,
    pub(super) entry: Arc<Entry>,
    pub(super) router: Router,
    pub(super) tls: Arc<ClientConfig>,
}

impl Kept {
    /// Until the process drains, or the gateway says not to come back.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            self.entry.connecting();
            let (again, trouble) = match Box::pin(self.once(&mut backoff)).await {
                None => return,
                Some(Ok(Left::Drained)) => return,
                Some(Ok(Left::Changed)) => (Again::Soon, "the models changed".to_owned()),
                Some(Ok(Left::Bye { reason, retry: true })) => {
                    (Again::Soon, format!("it ended the lease: {reason}"))
                }
                Some(Ok(Left::Bye { reason, retry: false })) => {
                    tracing::error!(gateway = %self.gateway.url, reason,
                        "sent away and told not to come back; start the provider again to try once more");
                    self.entry.left(Phase::Stopped, format!("it sent this node away: {reason}"));
                    return;
                }
                Some(Err(fault)) => (fault.again(), fault.to_string()),
            };
            if self.node.shutdown.is_draining() {
                return;
            }
            let random = getrandom::u64().unwrap_or_default();
            let wait = match again {
                Again::Soon => backoff.next(random),
                Again::Late => Backoff::refused(random),
                Again::After(wait) => wait.max(backoff.next(random)),
            };
            self.tell(again, &trouble, wait);
            let waited = tokio::time::sleep(wait);
            if self.node.shutdown.draining().run_until_cancelled(waited).await.is_none() {
                return;
            }
        }
    }

    /// The same trouble again and again is told once.
    fn tell(&self, again: Again, trouble: &str, wait: std::time::Duration) {
        let is_new = self.entry.left(Phase::Waiting, trouble.to_owned());
        let gateway = self.gateway.url.as_str();
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        match again {
            Again::Late => tracing::error!(gateway, wait_ms, trouble, "not joined"),
            _ if is_new => tracing::warn!(gateway, wait_ms, trouble, "no link to a gateway"),
            _ => tracing::debug!(gateway, wait_ms, trouble, "no link to a gateway"),
        }
    }

    /// One life of the link; `None` where the process drains before it is up.
    async fn once(&self, backoff: &mut Backoff) -> Option<Result<Left, Fault>> {
        let joining = async {
            let dialled = dial::dial(&self.gateway, Arc::clone(&self.tls)).await?;
            join::join(&self.node, &self.gateway, dialled).await
        };
        let joined = self.node.shutdown.draining().run_until_cancelled(joining).await?;
        let joined = match joined {
            Ok(joined) => joined,
            Err(fault) => return Some(Err(fault)),
        };
        let granted = &joined.granted;
        self.entry.joined(granted, joined.offer, self.node.clock.unix_millis());
        tracing::info!(gateway = %self.gateway.url, key = %granted.gateway,
            provider = granted.provider, standing = ?granted.standing, "joined");
        for sold in &granted.selling {
            let verified = sold.verified;
            tracing::info!(model = sold.model, name = sold.name, verified, "sold there");
        }
        let (left, was_renewed) =
            tunnel::serve(&self.node, &self.entry, &self.router, joined).await;
        if was_renewed {
            backoff.reset();
        }
        Some(left)
    }
}
