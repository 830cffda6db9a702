//! Audits beside the requests: what is known of an answer that was drawn comes in when its last byte is
//! out; the node's commitment is opened, others score the answer, `audit` judges, and the verdict goes into
//! the books. No request waits for any of it; what cannot be judged is no verdict, and nothing of a prompt
//! or an answer outlives the check.

mod books;
mod canary;
mod case;
mod check;
mod judge;
mod open;
mod score;
mod scorers;
mod told;

use openapi::receipt::Verified;
use openapi::sign::PublicKey;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::audit::draw::Draw;
use crate::audit::pool::Pools;
use crate::audit::profile::{self, Profiles};
use crate::config;
use crate::market::{Integrity, Market};
use crate::metrics::{AuditOutcome, Metrics};
use crate::receipts::Receipts;
use crate::request::Endpoint;
use crate::request::policy::Mode;
use crate::store;
use crate::upstream::{self, Answered, Job, Witness};
use case::Case;

/// Answers that wait to be checked for each that is checked at once; further ones are let go, and counted.
const WAITING: usize = 32;

/// Whose short answers are judged together.
type Whose = (PublicKey, Arc<str>, profile::Key);

/// What draws answers, and what becomes of them.
#[derive(Debug)]
pub struct Trust {
    settings: config::Audit,
    market: Market,
    metrics: Arc<Metrics>,
    draw: Draw,
    pools: Mutex<Pools<Whose, Arc<Case>>>,
    profiles: Mutex<Profiles>,
    receipts: Receipts,
    /// Absent until it is opened: nothing outlives the process.
    store: OnceLock<Arc<store::Verdicts>>,
    queue: mpsc::Sender<(Instant, Answered)>,
    /// Taken by whoever runs it.
    waiting: Mutex<Option<mpsc::Receiver<(Instant, Answered)>>>,
}

// === impl Trust ===

impl Trust {
    /// `secret`: by which answers and scorers are drawn.
    pub fn new(
        settings: config::Audit,
        market: Market,
        (metrics, receipts): (Arc<Metrics>, Receipts),
        secret: &[u8; 32],
    ) -> Self {
        let (queue, waiting) = mpsc::channel(settings.at_once.saturating_mul(WAITING).max(1));
        Self {
            settings,
            market,
            metrics,
            draw: Draw::new(secret),
            pools: Mutex::default(),
            profiles: Mutex::default(),
            receipts,
            store: OnceLock::new(),
            queue,
            waiting: Mutex::new(Some(waiting)),
        }
    }

    /// From now on what audits show is kept in a data folder, and what was kept there counts. Blocks.
    ///
    /// # Errors
    /// The folder is in use or damaged.
    pub fn open(&self, data_dir: &Path) -> Result<(), store::Error> {
        let store = store::Verdicts::open(data_dir)?;
        let kept = store.all()?;
        self.market.remember(kept.verdicts);
        self.market.remember_evidence(kept.evidence);
        self.market.remember_ejected(kept.ejected);
        // Opened twice, the first one stays.
        let _ = self.store.set(Arc::new(store));
        Ok(())
    }

    /// Checks what is drawn, until the gateway drains. To be called once.
    pub async fn run(self: Arc<Self>, context: Arc<upstream::Context>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut waiting) = waiting else { return };
        let places = Arc::new(Semaphore::new(self.settings.at_once.max(1)));
        loop {
            let next = tokio::select! {
                next = waiting.recv() => next,
                () = context.shutdown.draining() => return,
            };
            let (Some((ended, answered)), Ok(place)) = (next, places.clone().acquire_owned().await)
            else {
                return;
            };
            let (trust, its) = (self.clone(), context.clone());
            context.shutdown.spawn(async move {
                tokio::select! {
                    outcome = trust.check(&its, answered) => trust.counted(outcome, ended),
                    () = its.shutdown.draining() => trust.counted(AuditOutcome::Dropped, ended),
                }
                drop(place);
            });
        }
    }

    /// An operator sends a node away, now and whenever it comes back.
    pub async fn eject(&self, node: &PublicKey, reason: &str) {
        self.market.eject(node, reason);
        if let Some(store) = self.store.get().cloned() {
            let (node, reason) = (*node, reason.to_owned());
            books::told(tokio::task::spawn_blocking(move || store.eject(&node, &reason)).await);
        }
    }

    /// An operator lets a node come again; true if it had been sent away.
    pub async fn readmit(&self, node: &PublicKey) -> bool {
        if let Some(store) = self.store.get().cloned() {
            let node = *node;
            books::told(tokio::task::spawn_blocking(move || store.readmit(&node)).await);
        }
        self.market.readmit(node)
    }

    fn counted(&self, outcome: AuditOutcome, ended: Instant) {
        let metrics = &self.metrics.trust;
        metrics.under_way.dec();
        metrics.audits.get(outcome).inc();
        metrics.audit_seconds.observe(ended.elapsed().as_secs_f64());
    }
}

impl Witness for Trust {
    fn draws(&self, job: &Job, integrity: &Integrity) -> Option<u32> {
        let is_text = matches!(job.endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
        if !self.settings.enabled || !is_text || job.verification.mode == Mode::Off {
            return None;
        }
        let name = case::occasion(job);
        let share = match integrity.answers() < self.settings.newcomer_answers {
            true => 1.0,
            false => integrity.share().max(self.settings.rate_min),
        };
        let choices = job.summary.choices.max(1) as usize;
        let choice = || u32::try_from(self.draw.choice(&name, choices)).unwrap_or_default();
        self.draw.is_audited(&name, share).then(choice)
    }

    fn answered(&self, answer: Answered) {
        let metrics = &self.metrics.trust;
        match self.queue.try_send((Instant::now(), answer)) {
            Ok(()) => _ = metrics.under_way.inc(),
            Err(TrySendError::Full((_, answer)) | TrySendError::Closed((_, answer))) => {
                metrics.audits.get(AuditOutcome::Dropped).inc();
                self.tell(&answer, Verified::None, &[]);
            }
        }
    }
}
