//! What this node sells at which price: terms as configured, and the signed offer made of them. The
//! newest offer is in a watched cell that every gateway's link follows. It judges no price and knows
//! no gateway.

mod sequence;

pub use sequence::Sequence;

use crate::clock::Clock;
use crate::engine::Engine;
use openapi::node::{MODELS_MAX, Offer, Price, Sla};
use openapi::sign::{SecretKey, Signed};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// An offer that could not be renewed is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

/// As configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Of models that have no prices of their own.
    pub prices: Prices,
    pub models: BTreeMap<String, Prices>,
    /// An offer holds for so long; it is renewed at half of it.
    pub valid_for: Duration,
    pub sla: Option<Sla>,
}

/// In pico-dollars per token: the price in dollars per million tokens, times a million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prices {
    pub prompt: u64,
    pub completion: u64,
    /// Of prompt tokens found in a cache; absent: as the others.
    pub cached: Option<u64>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            prices: Prices::default(),
            models: BTreeMap::new(),
            valid_for: Duration::from_hours(24),
            sla: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the offer's number can't be kept: {0}")]
    Sequence(#[from] io::Error),
    #[error("the offer makes no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// An offer as it was issued.
#[derive(Debug)]
pub struct Issued {
    pub offer: Offer,
    pub signed: Signed<Offer>,
}

/// Issues offers.
pub struct Desk {
    key: Arc<SecretKey>,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    /// Held while an offer is made, so that a later one never has an earlier number.
    making: Mutex<Making>,
    newest: watch::Sender<Arc<Issued>>,
}

struct Making {
    terms: Terms,
    sequence: Sequence,
}

// === impl Desk ===

impl Desk {
    /// With a first offer.
    ///
    /// # Errors
    /// Its number can't be kept.
    pub fn open(
        key: Arc<SecretKey>,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        terms: Terms,
        mut sequence: Sequence,
    ) -> Result<Self, Error> {
        let first = issue(&key, engine.as_ref(), clock.as_ref(), &terms, &mut sequence)?;
        let making = Mutex::new(Making { terms, sequence });
        Ok(Self { key, engine, clock, making, newest: watch::Sender::new(Arc::new(first)) })
    }

    /// The newest offer, now and whenever there is a newer one.
    pub fn follow(&self) -> watch::Receiver<Arc<Issued>> {
        self.newest.subscribe()
    }

    pub fn newest(&self) -> Arc<Issued> {
        Arc::clone(&self.newest.borrow())
    }

    /// Puts new terms in force, for every gateway at once. On an error the old ones stay.
    ///
    /// # Errors
    /// The offer's number can't be kept.
    pub fn reprice(&self, terms: Terms) -> Result<Arc<Issued>, Error> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let issued = self.issue(&terms, &mut making.sequence)?;
        making.terms = terms;
        Ok(issued)
    }

    /// The same terms, with a new number, for a new time and the models there are now.
    ///
    /// # Errors
    /// As [`Self::reprice`].
    pub fn renew(&self) -> Result<Arc<Issued>, Error> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let Making { terms, sequence } = &mut *making;
        self.issue(terms, sequence)
    }

    /// The newest offer, renewed if it is not about the models there are now, is past its half time
    /// (a machine that slept has missed that), or is of a time to come: the clock was set back, and
    /// no gateway takes an offer from the future.
    ///
    /// # Errors
    /// As [`Self::reprice`].
    pub fn of_now(&self) -> Result<Arc<Issued>, Error> {
        let newest = self.newest();
        let models = self.engine.models();
        let priced = newest.offer.prices.iter().map(|price| &price.model);
        let same = priced.eq(models.iter().take(MODELS_MAX).map(|model| &model.id));
        let half = newest.offer.issued_at_ms.midpoint(newest.offer.valid_until_ms);
        if same && (newest.offer.issued_at_ms..=half).contains(&self.clock.unix_millis()) {
            return Ok(newest);
        }
        self.renew()
    }

    /// Renews at half time until `stop`.
    pub async fn keep_valid(self: Arc<Self>, stop: CancellationToken) {
        let mut wait = self.half();
        while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
            wait = match self.renew() {
                Ok(_) => self.half(),
                Err(error) => {
                    tracing::error!(%error, "the offer is not renewed");
                    RETRY
                }
            };
        }
    }

    fn half(&self) -> Duration {
        self.making.lock().unwrap_or_else(PoisonError::into_inner).terms.valid_for / 2
    }

    fn issue(&self, terms: &Terms, sequence: &mut Sequence) -> Result<Arc<Issued>, Error> {
        let (engine, clock) = (self.engine.as_ref(), self.clock.as_ref());
        let issued = Arc::new(issue(&self.key, engine, clock, terms, sequence)?);
        self.newest.send_replace(Arc::clone(&issued));
        Ok(issued)
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("newest", &self.newest.borrow().offer).finish_non_exhaustive()
    }
}

fn issue(
    key: &SecretKey,
    engine: &dyn Engine,
    clock: &dyn Clock,
    terms: &Terms,
    sequence: &mut Sequence,
) -> Result<Issued, Error> {
    let models = engine.models();
    for model in terms.models.keys() {
        if !models.iter().any(|served| served.id == *model) {
            tracing::warn!(model, "a price for a model that is not served");
        }
    }
    let now = clock.unix_millis();
    let valid = i64::try_from(terms.valid_for.as_millis()).unwrap_or(i64::MAX);
    let offer = Offer {
        node: key.public(),
        sequence: sequence.next(now)?,
        issued_at_ms: now,
        valid_until_ms: now.saturating_add(valid),
        prices: models.into_iter().take(MODELS_MAX).map(|model| price(model.id, terms)).collect(),
        sla: terms.sla,
    };
    let signed = Signed::new(&offer, key)?;
    Ok(Issued { offer, signed })
}

fn price(model: String, terms: &Terms) -> Price {
    let Prices { prompt, completion, cached } =
        terms.models.get(&model).copied().unwrap_or(terms.prices);
    Price { model, prompt_pusd: prompt, cached_pusd: cached, completion_pusd: completion }
}

#[cfg(test)]
mod tests;
