//! The composition root: the one place where the parts are made and put together. Handlers get it
//! whole, as `Arc<App>`; nothing else in the gateway is global.

use identity::SecretKey;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::auth::{Keys, Terms};
use crate::cache::Cache;
use crate::clock::{self, Clock};
use crate::config::{Mode, Settings};
use crate::http::budget::Budget;
use crate::limit::{Rules, Time};
use crate::market::measure::Bench;
use crate::market::{self, Market};
use crate::metrics::{Metrics, Phase};
use crate::receipts::Receipts;
use crate::shutdown::Shutdown;
use crate::store;
use crate::trust::Trust;
use crate::upstream;

/// Of the gateway's own key, in the data folder.
/// The gateway's key, in its data folder.
pub const IDENTITY_FILE: &str = "gateway.key";

#[derive(Debug)]
pub struct App {
    pub settings: Arc<Settings>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    /// Who may call.
    pub keys: Arc<Keys>,
    /// The time of the keys' limits.
    pub limit_time: Arc<Time>,
    /// What can be asked for, and of whom.
    pub market: Market,
    /// Answers kept.
    pub cache: Cache,
    /// What has answers checked.
    pub trust: Arc<Trust>,
    /// What clients keep of answers; none are made before they are opened.
    pub receipts: Receipts,
    /// What attempts need.
    pub upstream: Arc<upstream::Context>,
    /// What finds out about nodes.
    pub bench: Arc<Bench>,
    /// What request bodies may take together.
    pub bodies: Budget,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Market(#[from] market::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Identity(#[from] identity::key::Error),
}

impl App {
    /// Puts the parts together, and reads the keys of the data folder. Connects to nobody.
    ///
    /// # Errors
    /// Settings that make no market; a data folder that is damaged or in use.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Self::with_clock(settings, Arc::new(clock::System))
    }

    /// As [`Self::new`], with another clock.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_clock(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let metrics = Arc::new(Metrics::new());
        metrics.set_phase(Phase::Running);
        let market = Market::new(&settings, identity(&settings)?, clock.clone())?;
        let keys = Arc::new(keys(&settings)?);
        let limit_time = Arc::new(Time::new(clock.clone()));
        let shutdown = Shutdown::new();
        let receipts = Receipts::new(settings.receipts, clock.clone(), metrics.clone());
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let trust = Arc::new(Trust::new(
            settings.audit,
            market.clone(),
            (metrics.clone(), receipts.clone()),
            &secret,
        ));
        let upstream = Arc::new(upstream::Context {
            limits: settings.limits.clone(),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
            random: upstream::random,
            time: market.time().clone(),
            probation_share: settings.market.probation_share,
            routing: settings.routing,
            hedging: settings.hedging,
            breaker: settings.breaker,
            seeds: upstream::Seeds::draw()?,
            witness: trust.clone(),
            judge: trust.clone(),
            parties: Arc::new(upstream::Parties::of(&settings.market)),
            dialer: None,
        });
        let bench = Arc::new(Bench::new(market.clone(), upstream.clone(), &settings.market));
        let cache = Cache::new(&settings, clock.clone(), metrics.clone());
        let bodies = Budget::new(settings.limits.bodies_bytes);
        let settings = Arc::new(settings);
        Ok(Self {
            settings,
            clock,
            metrics,
            shutdown,
            keys,
            limit_time,
            market,
            cache,
            trust,
            receipts,
            upstream,
            bench,
            bodies,
        })
    }
}

/// The gateway's own key. Where no node can join nobody asks for it, and none is kept.
fn identity(settings: &Settings) -> Result<Arc<SecretKey>, identity::key::Error> {
    let key = match settings.market.node_listen {
        Some(_) => {
            identity::key::load_or_create(&settings.server.data_dir.join(IDENTITY_FILE))?.key
        }
        None => identity::key::generate()?,
    };
    Ok(Arc::new(key))
}

/// Open mode asks for no key, and leaves the store alone.
fn keys(settings: &Settings) -> Result<Keys, store::Error> {
    let limits = &settings.limits;
    let concurrent_streams = NonZeroU32::new(limits.key_streams);
    let terms = Terms {
        defaults: Rules { concurrent_streams, ..Rules::default() },
        stored_max: limits.stored_keys,
    };
    let store: Option<Box<dyn store::Keys>> = match settings.auth.mode {
        Mode::Open => None,
        Mode::Keys => Some(Box::new(store::File::open(&settings.server.data_dir)?)),
    };
    Keys::new(settings.auth.mode, &settings.keys, store, terms)
}
