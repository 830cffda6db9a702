//! The composition root: the one place where the parts are made and put together. Handlers get it
//! whole, as `Arc<App>`; nothing else in the gateway is global.

use std::sync::Arc;

use crate::auth::Keys;
use crate::clock::{self, Clock};
use crate::config::Settings;
use crate::http::models::{Catalogue, Models};
use crate::metrics::{Metrics, Phase};
use crate::shutdown::Shutdown;

#[derive(Debug)]
pub struct App {
    pub settings: Arc<Settings>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub shutdown: Shutdown,
    /// Who may call.
    pub keys: Keys,
    /// What can be asked for.
    pub models: Arc<dyn Models>,
}

impl App {
    /// Puts the parts together. Waits for nothing and connects to nobody.
    pub fn new(settings: Settings) -> Self {
        Self::with_clock(settings, Arc::new(clock::System))
    }

    pub fn with_clock(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let metrics = Arc::new(Metrics::new());
        metrics.set_phase(Phase::Running);
        let keys = Keys::new(settings.auth.mode, &settings.keys);
        let models = Arc::new(Catalogue::new(&settings, clock.unix_s()));
        Self {
            settings: Arc::new(settings),
            clock,
            metrics,
            shutdown: Shutdown::new(),
            keys,
            models,
        }
    }
}
