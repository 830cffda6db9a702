//! The receipts in one redb file of the data folder: texts by id, who owns them, what else they are called,
//! and the public keys they were signed with. What was not asked for to be kept longer goes, the oldest
//! first. It reads no receipt.

use openapi::receipt::Key;
use openapi::sign::PublicKey;
use redb::{
    ReadTransaction, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, TableError, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::path::Path;
use uuid::Uuid;

use super::Error;
use super::disk::{Disk, Layout};

/// By id; ids order by time.
const RECEIPTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("receipts");
/// Ids by owner and name.
const NAMES: TableDefinition<'_, &[u8], u128> = TableDefinition::new("names");
/// Since when and until when a key is used, by key: [`Key`] as JSON.
const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const LAYOUT: Layout = Layout { name: "receipts.redb", lock: "receipts.lock", make, missing };
const BATCH: &str = "batch";
/// That go at once, beside as many as come.
const SWEPT_MAX: usize = 1024;

/// Whose a receipt is: the digest of a key, or nobody's.
pub type Owner = [u8; 32];

/// A receipt as it is kept.
#[derive(Clone)]
pub struct Kept {
    pub id: Uuid,
    pub owner: Owner,
    /// Unix seconds.
    pub created: i64,
    /// What its owner may ask for it by, beside the id.
    pub names: Vec<String>,
    /// JSON.
    pub receipt: String,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub receipts_max: u64,
    /// What was made earlier goes; Unix seconds.
    pub created_min: i64,
}

/// Where receipts are kept. Each call has happened, on disk, when it returns; calls block.
pub trait Receipts: Send + Sync + fmt::Debug {
    /// Keeps a batch, all of it or nothing; what is kept already under an id is replaced.
    ///
    /// # Errors
    /// The store can't be written.
    fn keep(&self, batch: u64, receipts: &[Kept], bounds: Bounds) -> Result<(), Error>;

    /// # Errors
    /// The store can't be read.
    fn find(&self, id: Uuid) -> Result<Option<Kept>, Error>;

    /// The newest receipt that its owner knows by this name.
    ///
    /// # Errors
    /// The store can't be read.
    fn named(&self, owner: &Owner, name: &str) -> Result<Option<Kept>, Error>;

    /// Receipts that are kept.
    ///
    /// # Errors
    /// The store can't be read.
    fn count(&self) -> Result<u64, Error>;

    /// Number of the last batch; 0 before the first.
    ///
    /// # Errors
    /// The store can't be read.
    fn last_batch(&self) -> Result<u64, Error>;

    /// # Errors
    /// The store can't be read.
    fn keys(&self) -> Result<Vec<Key>, Error>;

    /// Takes `key` into use: every other is retired.
    ///
    /// # Errors
    /// The store can't be written.
    fn use_key(&self, key: PublicKey, now: i64) -> Result<(), Error>;
}

/// The file, held open.
#[derive(Debug)]
pub struct ReceiptFile(Disk);

/// As it is written. The id is its place in the store.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    /// Hex.
    owner: String,
    created: i64,
    names: Vec<String>,
    #[serde(borrow)]
    receipt: &'a RawValue,
}

impl ReceiptFile {
    /// The store of a data folder; both are made when they are not there.
    ///
    /// # Errors
    /// Another process has it, it is damaged, or the system refuses.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        Disk::open(data_dir, LAYOUT).map(Self)
    }

    fn fault(&self, error: impl Into<redb::Error>) -> Error {
        self.0.fault(error)
    }

    fn read<'a>(&self, bytes: &'a [u8]) -> Result<Stored<'a>, Error> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.0.damaged(format!("a receipt can't be read: {error}")))
    }

    fn kept(&self, id: u128, bytes: &[u8]) -> Result<Kept, Error> {
        let Stored { owner: digits, created, names, receipt } = self.read(bytes)?;
        let mut owner = Owner::default();
        hex::decode_to_slice(&digits, &mut owner)
            .map_err(|error| self.0.damaged(format!("an owner can't be read: {error}")))?;
        let receipt = receipt.get().to_owned();
        Ok(Kept { id: Uuid::from_u128(id), owner, created, names, receipt })
    }

    fn key(&self, bytes: &[u8]) -> Result<Key, Error> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.0.damaged(format!("a key can't be read: {error}")))
    }

    fn put(&self, tables: &mut Tables<'_>, kept: &Kept) -> Result<(), Error> {
        let unwritable = |error: serde_json::Error| Error::Failed {
            path: self.0.path.clone(),
            cause: error.to_string(),
        };
        let Kept { id, owner, created, names, receipt } = kept;
        let receipt: &RawValue = serde_json::from_str(receipt).map_err(unwritable)?;
        let stored =
            Stored { owner: hex::encode(owner), created: *created, names: names.clone(), receipt };
        let bytes = serde_json::to_vec(&stored).map_err(unwritable)?;
        let place = id.as_u128();
        tables.receipts.insert(place, bytes.as_slice()).map_err(|error| self.fault(error))?;
        for name in names {
            let named = by_name(owner, name);
            tables.names.insert(named.as_slice(), place).map_err(|error| self.fault(error))?;
        }
        Ok(())
    }

    fn oldest(&self, tables: &Tables<'_>) -> Result<Option<(u128, Kept)>, Error> {
        let first = tables.receipts.first().map_err(|error| self.fault(error))?;
        first.map(|(id, bytes)| Ok((id.value(), self.kept(id.value(), bytes.value())?))).transpose()
    }

    /// Lets the oldest go.
    fn sweep(&self, tables: &mut Tables<'_>, most: usize, bounds: Bounds) -> Result<(), Error> {
        for _ in 0..most {
            let count = tables.receipts.len().map_err(|error| self.fault(error))?;
            let Some((id, kept)) = self.oldest(tables)? else { return Ok(()) };
            if count <= bounds.receipts_max && kept.created >= bounds.created_min {
                return Ok(());
            }
            tables.receipts.remove(id).map_err(|error| self.fault(error))?;
            for name in &kept.names {
                let named = by_name(&kept.owner, name);
                let found =
                    tables.names.get(named.as_slice()).map_err(|error| self.fault(error))?;
                // A later request may have been called the same.
                if found.map(|found| found.value()) == Some(id) {
                    tables.names.remove(named.as_slice()).map_err(|error| self.fault(error))?;
                }
            }
        }
        Ok(())
    }
}

struct Tables<'a> {
    receipts: redb::Table<'a, u128, &'static [u8]>,
    names: redb::Table<'a, &'static [u8], u128>,
}

impl Receipts for ReceiptFile {
    fn keep(&self, batch: u64, receipts: &[Kept], bounds: Bounds) -> Result<(), Error> {
        self.0.write(|write| {
            let mut numbers = write.open_table(NUMBERS).map_err(|error| self.fault(error))?;
            numbers.insert(BATCH, batch).map_err(|error| self.fault(error))?;
            let mut tables = Tables {
                receipts: write.open_table(RECEIPTS).map_err(|error| self.fault(error))?,
                names: write.open_table(NAMES).map_err(|error| self.fault(error))?,
            };
            for kept in receipts {
                self.put(&mut tables, kept)?;
            }
            self.sweep(&mut tables, receipts.len().saturating_add(SWEPT_MAX), bounds)
        })
    }

    fn find(&self, id: Uuid) -> Result<Option<Kept>, Error> {
        self.0.with(|database| {
            let read = database.begin_read().map_err(|error| self.fault(error))?;
            let receipts = read.open_table(RECEIPTS).map_err(|error| self.fault(error))?;
            let found = receipts.get(id.as_u128()).map_err(|error| self.fault(error))?;
            found.map(|bytes| self.kept(id.as_u128(), bytes.value())).transpose()
        })
    }

    fn named(&self, owner: &Owner, name: &str) -> Result<Option<Kept>, Error> {
        let id = self.0.with(|database| {
            let read = database.begin_read().map_err(|error| self.fault(error))?;
            let names = read.open_table(NAMES).map_err(|error| self.fault(error))?;
            let named = by_name(owner, name);
            let found = names.get(named.as_slice()).map_err(|error| self.fault(error))?;
            Ok(found.map(|id| Uuid::from_u128(id.value())))
        })?;
        id.map_or(Ok(None), |id| self.find(id))
    }

    fn count(&self) -> Result<u64, Error> {
        self.0.with(|database| {
            let read = database.begin_read().map_err(|error| self.fault(error))?;
            let receipts = read.open_table(RECEIPTS).map_err(|error| self.fault(error))?;
            receipts.len().map_err(|error| self.fault(error))
        })
    }

    fn last_batch(&self) -> Result<u64, Error> {
        self.0.with(|database| {
            let read = database.begin_read().map_err(|error| self.fault(error))?;
            let numbers = read.open_table(NUMBERS).map_err(|error| self.fault(error))?;
            let last = numbers.get(BATCH).map_err(|error| self.fault(error))?;
            Ok(last.map_or(0, |last| last.value()))
        })
    }

    fn keys(&self) -> Result<Vec<Key>, Error> {
        self.0.with(|database| {
            let read = database.begin_read().map_err(|error| self.fault(error))?;
            let keys = read.open_table(KEYS).map_err(|error| self.fault(error))?;
            let keys = keys.iter().map_err(|error| self.fault(error))?;
            keys.map(|entry| self.key(entry.map_err(|error| self.fault(error))?.1.value()))
                .collect()
        })
    }

    fn use_key(&self, key: PublicKey, now: i64) -> Result<(), Error> {
        self.0.write(|write| {
            let mut keys = write.open_table(KEYS).map_err(|error| self.fault(error))?;
            let mut known = Vec::new();
            for entry in keys.iter().map_err(|error| self.fault(error))? {
                known.push(self.key(entry.map_err(|error| self.fault(error))?.1.value())?);
            }
            if !known.iter().any(|known| known.key == key) {
                known.push(Key { key, created: now, retired: None });
            }
            for mut known in known {
                known.retired = (known.key != key).then(|| known.retired.unwrap_or(now));
                let text = serde_json::to_vec(&known).map_err(|error| Error::Failed {
                    path: self.0.path.clone(),
                    cause: error.to_string(),
                })?;
                keys.insert(known.key.as_bytes().as_slice(), text.as_slice())
                    .map_err(|error| self.fault(error))?;
            }
            Ok(())
        })
    }
}

fn by_name(owner: &Owner, name: &str) -> Vec<u8> {
    [owner.as_slice(), name.as_bytes()].concat()
}

fn make(write: &WriteTransaction) -> Result<(), TableError> {
    write.open_table(RECEIPTS)?;
    write.open_table(NAMES)?;
    write.open_table(KEYS)?;
    write.open_table(NUMBERS)?;
    Ok(())
}

fn missing(read: &ReadTransaction) -> Option<TableError> {
    let tables = [
        read.open_table(RECEIPTS).err(),
        read.open_table(NAMES).err(),
        read.open_table(KEYS).err(),
        read.open_table(NUMBERS).err(),
    ];
    tables.into_iter().flatten().next()
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("id", &self.id).finish_non_exhaustive()
    }
}
