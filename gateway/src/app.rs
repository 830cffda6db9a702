//! The composition root: the one place where the parts are made and put together. Handlers get it
//! whole, as `Arc<App>`; nothing else in the gateway is global.

use std::sync::Arc;

use crate::auth::Keys;
use crate::cache::Cache;
use crate::clock::{self, Clock};
use crate::config::Settings;
use crate::market::{self, Market};
use crate::metrics::{Metrics, Phase};
use crate::shutdown::Shutdown;
use crate::upstream;

#[derive(Debug)]
pub struct App {
    pub settings: Arc<Settings>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    /// Who may call.
    pub keys: Keys,
    /// What can be asked for, and of whom.
    pub market: Arc<Market>,
    /// Answers kept.
    pub cache: Cache,
    /// What attempts need.
    pub upstream: Arc<upstream::Context>,
}

impl App {
    /// Puts the parts together. Waits for nothing and connects to nobody.
    ///
    /// # Errors
    /// Settings that make no market.
    pub fn new(settings: Settings) -> Result<Self, market::Error> {
        Self::with_clock(settings, Arc::new(clock::System))
    }

    /// As [`Self::new`], with another clock.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_clock(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, market::Error> {
        let metrics = Arc::new(Metrics::new());
        metrics.set_phase(Phase::Running);
        let keys = Keys::new(settings.auth.mode, &settings.keys);
        let market = Arc::new(Market::new(&settings, clock.unix_s())?);
        let shutdown = Shutdown::new();
        let upstream = Arc::new(upstream::Context {
            limits: settings.limits.clone(),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
            random: upstream::random,
        });
        let cache = Cache::new(&settings, clock.clone(), metrics.clone());
        Ok(Self {
            settings: Arc::new(settings),
            clock,
            metrics,
            shutdown,
            keys,
            market,
            cache,
            upstream,
        })
    }
}
