//! What clients keep of answers. It takes a [`Draft`] when an answer is over, writes many of them at once
//! under one signed Merkle root, and gives a receipt to whoever owns it. It never makes an answer wait: with
//! a full queue the receipt is dropped, and counted. It holds no prompt and no answer, hashes alone.
//!
//! A receipt that nobody could read yet may be lost with the process; one that was read once is on disk.

use dashmap::DashMap;
use openapi::receipt::{Claims, Key};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config;
use crate::metrics::{Metrics, ReceiptOutcome};
use crate::store::{self, Bounds, Kept, Owner, ReceiptFile};

mod batch;
mod draft;
mod hash;
mod sheet;
mod signer;
mod ticket;
mod writer;

pub use draft::{Amendment, Draft, Known};
pub use hash::{Digested, Hasher, digest};
pub use sheet::Sheet;
pub use signer::{FILE as KEY_FILE, Signer};
pub use ticket::{Asked, Ticket};

const ID_PREFIX: &str = "rcpt_";
const DAY_S: i64 = 24 * 3600;

/// Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Receipts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: config::Receipts,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Absent until it is opened, and then for good: without it there are no receipts.
    open: OnceLock<Open>,
    /// Of answers that are not over, or not written yet.
    pending: DashMap<Uuid, Owner>,
    queue: mpsc::Sender<Entry>,
    /// The writer's end, until it has it.
    written: Mutex<Option<mpsc::Receiver<Entry>>>,
}

/// What outlives the process.
#[derive(Debug)]
struct Open {
    store: Box<dyn store::Receipts>,
    signer: Signer,
    last_batch: Mutex<u64>,
}

/// What the writer is given.
#[derive(Debug)]
enum Entry {
    New(Box<Draft>),
    Amend(Uuid, Box<Amendment>),
}

/// What there is under an id, for who asks.
#[derive(Debug)]
pub enum Found {
    /// JSON.
    Receipt(Kept),
    /// To be asked for again.
    Pending,
    Unknown,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Key(#[from] identity::key::Error),
    #[error("this gateway keeps no receipts")]
    Off,
}

// === impl Receipts ===

impl Receipts {
    /// None are made before [`Self::open`].
    pub fn new(settings: config::Receipts, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let (queue, written) = mpsc::channel(settings.queued.max(1));
        Self(Arc::new(Inner {
            settings,
            clock,
            metrics,
            open: OnceLock::new(),
            pending: DashMap::new(),
            queue,
            written: Mutex::new(Some(written)),
        }))
    }

    /// From now on there are receipts, if the settings want them; kept in a data folder. Blocks.
    ///
    /// # Errors
    /// The folder is in use or damaged, or the key can't be used.
    pub fn open(&self, data_dir: &Path) -> Result<(), Error> {
        if self.0.settings.enabled {
            self.open_with(Box::new(ReceiptFile::open(data_dir)?), data_dir)?;
        }
        Ok(())
    }

    /// As [`Self::open`], with another store.
    ///
    /// # Errors
    /// The store can't be read, or the key can't be used.
    pub fn open_with(&self, store: Box<dyn store::Receipts>, data_dir: &Path) -> Result<(), Error> {
        let signer = Signer::open(data_dir, &*store, self.0.clock.unix_s())?;
        let last_batch = Mutex::new(store.last_batch()?);
        // Opened twice, the first one stays.
        let _ = self.0.open.set(Open { store, signer, last_batch });
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        self.0.open.get().is_some()
    }

    /// A receipt for a request, to be filled while it is answered. `None`: there are none.
    pub fn begin(&self, asked: Asked) -> Option<Ticket> {
        self.0.open.get()?;
        let mut random = [0u8; 10];
        let mut salt = [0u8; 32];
        if getrandom::fill(&mut random).and(getrandom::fill(&mut salt)).is_err() {
            self.count(ReceiptOutcome::Dropped);
            return None;
        }
        let unix_ms = self.0.clock.unix_ms();
        let id = uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid();
        self.0.pending.insert(id, asked.owner);
        Some(Ticket::new(self.clone(), id, salt, self.0.clock.unix_s(), asked))
    }

    /// Has a receipt written. Never waits; dropped where too many wait already.
    pub fn submit(&self, draft: Draft) {
        let id = draft.id;
        if self.0.queue.try_send(Entry::New(Box::new(draft))).is_err() {
            self.forget(id);
            self.count(ReceiptOutcome::Dropped);
        }
    }

    /// Has a receipt changed: what became known after the answer was over. Never waits; `false` where it
    /// was dropped.
    pub fn amend(&self, id: Uuid, amendment: Amendment) -> bool {
        let sent = self.0.queue.try_send(Entry::Amend(id, Box::new(amendment))).is_ok();
        if !sent {
            self.count(ReceiptOutcome::Dropped);
        }
        sent
    }

    /// The receipt of this id, for its owner, or for who may read all (`None`). Blocks.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn find(&self, id: Uuid, reader: Option<&Owner>) -> Result<Found, Error> {
        let may_read = |owner: &Owner| reader.is_none_or(|reader| is_same(reader, owner));
        let is_pending = self.0.pending.get(&id).is_some_and(|owner| may_read(&owner));
        let kept = self.opened()?.store.find(id)?.filter(|kept| may_read(&kept.owner));
        Ok(match kept {
            Some(kept) => Found::Receipt(kept),
            None if is_pending => Found::Pending,
            None => Found::Unknown,
        })
    }

    /// An owner's newest receipt of a request's or an answer's id. Blocks.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn named(&self, owner: &Owner, name: &str) -> Result<Option<Kept>, Error> {
        Ok(self.opened()?.store.named(owner, name)?)
    }

    /// Keys that receipts were and are signed with, the newest first. Blocks.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn keys(&self) -> Result<Vec<Key>, Error> {
        let mut keys = self.opened()?.store.keys()?;
        keys.sort_by_key(|key| (key.retired.is_some(), std::cmp::Reverse(key.created)));
        Ok(keys)
    }

    /// Has receipts signed with a new key from now on; the old one is lost, and stays known. Blocks.
    ///
    /// # Errors
    /// The key file or the store can't be written: then the old one is used.
    pub fn rotate(&self) -> Result<Key, Error> {
        let open = self.opened()?;
        open.signer.rotate(&*open.store, self.0.clock.unix_s())
    }

    /// A text signed with the key that receipts are signed with now, without a domain.
    pub fn sign_text(
        &self,
        text: &str,
    ) -> Option<(openapi::sign::PublicKey, openapi::sign::Signature)> {
        self.0.open.get()?.signer.sign_text(text)
    }

    /// Receipts that are kept. Blocks.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn count_kept(&self) -> Result<u64, Error> {
        Ok(self.opened()?.store.count()?)
    }

    /// Writes what is handed in, until `shutdown` drains; then what is there, and ends.
    pub async fn run(self, shutdown: crate::shutdown::Shutdown) {
        let queue = self.0.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(queue) = queue.filter(|_| self.is_open()) {
            writer::run(self, queue, shutdown).await;
        }
    }

    fn opened(&self) -> Result<&Open, Error> {
        self.0.open.get().ok_or(Error::Off)
    }

    fn bounds(&self) -> Bounds {
        let days = i64::try_from(self.0.settings.kept_days).unwrap_or(i64::MAX);
        let created_min = self.0.clock.unix_s().saturating_sub(days.saturating_mul(DAY_S));
        Bounds { receipts_max: self.0.settings.kept, created_min }
    }

    /// Whether the key is due to be replaced.
    fn is_key_old(&self, open: &Open) -> bool {
        let days = i64::try_from(self.0.settings.rotate_days).unwrap_or(i64::MAX);
        let age_s = self.0.clock.unix_s().saturating_sub(open.signer.created());
        days > 0 && age_s >= days.saturating_mul(DAY_S)
    }

    fn forget(&self, id: Uuid) {
        self.0.pending.remove(&id);
    }

    fn count(&self, outcome: ReceiptOutcome) {
        self.0.metrics.receipts.get(outcome).inc();
    }
}

/// As long as one can, whatever they differ in.
fn is_same(one: &Owner, other: &Owner) -> bool {
    use subtle::ConstantTimeEq as _;
    one.ct_eq(other).into()
}

/// As people and the API see it: `rcpt_` and 32 hex digits.
pub fn show_id(id: Uuid) -> String {
    format!("{ID_PREFIX}{}", id.simple())
}

pub fn read_id(text: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(ID_PREFIX)?;
    // One way to write each id: neither capitals nor hyphens.
    let is_plain =
        digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Uuid::try_parse(digits).ok().filter(|_| is_plain)
}

/// Names by which an owner may ask for the receipt of these claims.
fn names(claims: &Claims) -> Vec<String> {
    let mut names = vec![claims.request_id.clone()];
    names.extend(claims.answer_id.clone().filter(|answer| *answer != claims.request_id));
    names
}

/// How long the writer waits for more, once it has one.
const GATHER: Duration = Duration::from_millis(50);
/// Receipts under one root.
const BATCH_MAX: usize = 512;
/// Until a batch that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
