//! Answers kept for who asks for the very same again: only where the client or its key wants it, only
//! what is deterministic (temperature 0, a seed, embeddings), and only what is known to be complete.
//!
//! An answer is found by the digest of the key's id and name, the endpoint, the policies and the body's
//! exact bytes, so no two keys ever share one, not even a revoked one and the next of its name. It refuses to judge answers (its callers say what is whole),
//! to wait for another's answer, and to know HTTP. No prompt is kept, only its digest.

mod recorded;

use bytes::Bytes;
use http::HeaderValue;
use moka::policy::EvictionPolicy;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::Settings;
use crate::metrics::{CacheOutcome, Metrics};
use crate::request::{Endpoint, Summary};

pub use recorded::Recorded;

type Digest = [u8; 32];

/// What an entry costs beside its bytes.
const ENTRY_OVERHEAD_BYTES: u64 = 512;

/// Shared by all requests.
#[derive(Debug)]
pub struct Cache {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    /// The names of the configuration's keys whose requests all want it.
    keys: HashSet<String>,
}

#[derive(Debug)]
struct Shared {
    settings: crate::config::Cache,
    clock: Arc<dyn Clock>,
    entries: moka::sync::Cache<Digest, Entry>,
    /// Bytes of streams that are being recorded.
    recording_bytes: AtomicU64,
}

/// A complete answer. Its debug text holds none of it, nor does that of what is below.
#[derive(Clone)]
pub struct Entry {
    pub body: Bytes,
    /// Who gave it.
    pub provider: Option<HeaderValue>,
    expires: Option<Instant>,
}

/// What a request asks, as far as it decides about the answer.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Of a key made at run time: its name may have been another's before.
    pub key_id: Option<Uuid>,
    pub key_name: &'a str,
    pub endpoint: Endpoint,
    pub summary: &'a Summary,
    pub body: &'a Bytes,
    /// By header: they are not in the body.
    pub policies: [Option<&'a str>; 2],
}

/// What the cache has to say to a request.
#[derive(Debug)]
pub enum Lookup {
    /// Nobody asked it.
    Off,
    /// Asked, but not for such a request, or it is switched off.
    Bypass,
    /// The answer may be kept there.
    Miss(Slot),
    Hit(Entry),
}

/// Where an answer may be kept.
#[derive(Debug)]
pub struct Slot {
    shared: Arc<Shared>,
    digest: Digest,
}

// === impl Cache ===

impl Cache {
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let keys = settings.keys.iter().filter(|key| key.cache).map(|key| key.name.clone());
        let settings_of_cache = settings.cache;
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings_of_cache.bytes)
            .weigher(|_: &Digest, entry: &Entry| u32::try_from(entry.bytes()).unwrap_or(u32::MAX))
            .time_to_live(settings_of_cache.ttl)
            // The rule that can be told in one sentence: what was not asked for longest goes first.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let recording_bytes = AtomicU64::new(0);
        let shared = Shared { settings: settings_of_cache, clock, entries, recording_bytes };
        Self { shared: Arc::new(shared), metrics, keys: keys.collect() }
    }

    /// `wanted` is the client's own word, which goes before its key's.
    pub fn look_up(&self, wanted: Option<bool>, question: Question<'_>) -> Lookup {
        let key_wants = || question.key_id.is_none() && self.keys.contains(question.key_name);
        if !wanted.unwrap_or_else(key_wants) {
            return Lookup::Off;
        }
        let lookup = if self.shared.settings.enabled && question.is_deterministic() {
            self.shared.find(question.digest())
        } else {
            Lookup::Bypass
        };
        if let Some(outcome) = lookup.outcome() {
            self.metrics.cache.get(outcome).inc();
        }
        lookup
    }

    /// Bytes kept, what they cost beside themselves included.
    pub fn len_bytes(&self) -> u64 {
        self.shared.entries.run_pending_tasks();
        self.shared.entries.weighted_size()
    }
}

// === impl Shared ===

impl Shared {
    fn find(self: &Arc<Self>, digest: Digest) -> Lookup {
        let miss = || Lookup::Miss(Slot { shared: Arc::clone(self), digest });
        let Some(entry) = self.entries.get(&digest) else { return miss() };
        if entry.expires.is_some_and(|expires| expires <= self.clock.now()) {
            self.entries.invalidate(&digest);
            return miss();
        }
        Lookup::Hit(entry)
    }
}

// === impl Entry ===

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({} bytes)", self.body.len())
    }
}

impl Entry {
    fn bytes(&self) -> u64 {
        (self.body.len() as u64).saturating_add(ENTRY_OVERHEAD_BYTES)
    }
}

// === impl Question ===

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({} bytes)", self.body.len())
    }
}

impl Question<'_> {
    /// Asked again, it would be answered the same, or is asked not to matter.
    fn is_deterministic(&self) -> bool {
        self.endpoint == Endpoint::Embeddings
            || self.summary.seed.is_some()
            || self.summary.temperature == Some(0.0)
    }

    /// Each part with its length before it, so that none can pass for another.
    fn digest(&self) -> Digest {
        let endpoint = match self.endpoint {
            Endpoint::ChatCompletions => "chat",
            Endpoint::Completions => "completions",
            Endpoint::Embeddings => "embeddings",
        };
        let [provider, verification] = self.policies.map(|policy| policy.unwrap_or_default());
        let key_id = self.key_id.map(|id| id.simple().to_string()).unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [&key_id, self.key_name, endpoint, provider, verification].map(str::as_bytes) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(self.body);
        hash.finalize().into()
    }
}

// === impl Lookup ===

impl Lookup {
    /// Where the answer may be kept.
    pub fn slot(self) -> Option<Slot> {
        match self {
            Self::Miss(slot) => Some(slot),
            Self::Off | Self::Bypass | Self::Hit(_) => None,
        }
    }

    /// What clients and the metrics are told; `None` where nobody asked.
    pub fn outcome(&self) -> Option<CacheOutcome> {
        match self {
            Self::Off => None,
            Self::Bypass => Some(CacheOutcome::Bypass),
            Self::Miss(_) => Some(CacheOutcome::Miss),
            Self::Hit(_) => Some(CacheOutcome::Hit),
        }
    }
}

// === impl Slot ===

impl Slot {
    /// Keeps a complete answer. One that is too long is not kept, and no harm is done.
    pub fn keep(self, body: &[u8], provider: Option<HeaderValue>) {
        let Shared { settings, clock, entries, .. } = &*self.shared;
        if body.len() as u64 > settings.entry_bytes {
            return;
        }
        // A copy: what is kept must not hold on to a larger buffer than it is counted for.
        let body = Bytes::copy_from_slice(body);
        let expires = clock.now().checked_add(settings.ttl);
        entries.insert(self.digest, Entry { body, provider, expires });
        // At once, so that the bound on bytes is one.
        entries.run_pending_tasks();
    }
}
