//! What audits have shown of nodes, and who was sent away, in one redb file of the data folder. Counts and
//! reasons by key; never a prompt, never an answer. Calls block.

use openapi::nodes::EvidenceRecord;
use openapi::sign::PublicKey;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Error, create_dir};
use crate::market::Kept;

const NAME: &str = "trust.redb";
/// By the node's key and the model's name: verdicts, as JSON.
const VERDICTS: TableDefinition<'_, (&[u8; 32], &str), &[u8]> = TableDefinition::new("verdicts");
/// By the node's key: why it was sent away.
const EJECTED: TableDefinition<'_, &[u8; 32], &str> = TableDefinition::new("ejected");
/// By the node's key and the Unix millisecond: what speaks against it, as JSON.
const EVIDENCE: TableDefinition<'_, (&[u8; 32], i64), &[u8]> = TableDefinition::new("evidence");
/// Kept of one node; the oldest go first.
const EVIDENCE_MAX: usize = 64;
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// The file, held open.
#[derive(Debug)]
pub struct Verdicts {
    path: PathBuf,
    database: Mutex<Database>,
}

/// All that was kept.
#[derive(Debug, Default)]
pub struct All {
    pub verdicts: Vec<Kept>,
    pub ejected: Vec<(PublicKey, String)>,
    pub evidence: Vec<(PublicKey, EvidenceRecord)>,
}

// === impl Verdicts ===

impl Verdicts {
    /// The store of a data folder; made when it is not there.
    ///
    /// # Errors
    /// Another process has it, it is damaged, or the system refuses.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(NAME);
        create_dir(data_dir).map_err(|error| failed(&path, &error))?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        builder.set_check_integrity_on_open(true);
        let database = builder.create(&path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Error::InUse { path: path.clone() },
            error => failed(&path, &error),
        })?;
        let store = Self { path, database: Mutex::new(database) };
        store.write(|write| {
            write.open_table(VERDICTS)?;
            write.open_table(EJECTED)?;
            write.open_table(EVIDENCE)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// # Errors
    /// The store can't be read, or holds what it should not.
    pub fn all(&self) -> Result<All, Error> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        read(&database).map_err(|error| failed(&self.path, &error))
    }

    /// # Errors
    /// The store can't be written.
    pub fn keep(&self, kept: &Kept) -> Result<(), Error> {
        let bytes = serde_json::to_vec(&kept.verdicts);
        let bytes = bytes.map_err(|error| failed(&self.path, &error))?;
        self.write(|write| {
            let mut table = write.open_table(VERDICTS)?;
            table.insert((kept.node.as_bytes(), kept.model.as_str()), bytes.as_slice())?;
            Ok(())
        })
    }

    /// What speaks against a node.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn evidence(&self, node: &PublicKey, record: &EvidenceRecord) -> Result<(), Error> {
        let bytes = serde_json::to_vec(record).map_err(|error| failed(&self.path, &error))?;
        let node = node.as_bytes();
        self.write(|write| {
            let mut table = write.open_table(EVIDENCE)?;
            table.insert((node, record.at_ms), bytes.as_slice())?;
            let its = table.range((node, i64::MIN)..=(node, i64::MAX))?;
            let times: Result<Vec<i64>, _> = its.map(|entry| Ok(entry?.0.value().1)).collect();
            let times = times.map_err(|error: redb::StorageError| redb::Error::from(error))?;
            for at_ms in times.iter().take(times.len().saturating_sub(EVIDENCE_MAX)) {
                table.remove((node, *at_ms))?;
            }
            Ok(())
        })
    }

    /// # Errors
    /// The store can't be written.
    pub fn eject(&self, node: &PublicKey, reason: &str) -> Result<(), Error> {
        self.write(|write| {
            write.open_table(EJECTED)?.insert(node.as_bytes(), reason)?;
            Ok(())
        })
    }

    /// # Errors
    /// The store can't be written.
    pub fn readmit(&self, node: &PublicKey) -> Result<(), Error> {
        self.write(|write| {
            write.open_table(EJECTED)?.remove(node.as_bytes())?;
            Ok(())
        })
    }

    fn write(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Error> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let done = || -> Result<(), redb::Error> {
            let write = database.begin_write()?;
            change(&write)?;
            Ok(write.commit()?)
        };
        done().map_err(|error| failed(&self.path, &error))
    }
}

fn read(database: &Database) -> Result<All, redb::Error> {
    let read = database.begin_read()?;
    let mut all = All::default();
    for entry in read.open_table(VERDICTS)?.iter()? {
        let (key, bytes) = entry?;
        let (node, model) = key.value();
        // What a later version wrote and this one cannot read is left, and not overwritten unseen: it counts
        // from nothing here.
        if let Ok(verdicts) = serde_json::from_slice(bytes.value()) {
            let (node, model) = (PublicKey::from_bytes(*node), model.to_owned());
            all.verdicts.push(Kept { node, model, verdicts });
        }
    }
    for entry in read.open_table(EVIDENCE)?.iter()? {
        let (key, bytes) = entry?;
        if let Ok(record) = serde_json::from_slice(bytes.value()) {
            all.evidence.push((PublicKey::from_bytes(*key.value().0), record));
        }
    }
    for entry in read.open_table(EJECTED)?.iter()? {
        let (node, reason) = entry?;
        all.ejected.push((PublicKey::from_bytes(*node.value()), reason.value().to_owned()));
    }
    Ok(all)
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Failed { path: path.to_owned(), cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Integrity;
    use crate::market::evidence::record;
    use openapi::nodes::{EvidenceKind, EvidenceVerdict};

    fn failed_audit(at_ms: i64) -> EvidenceRecord {
        record(at_ms, EvidenceKind::Audit, EvidenceVerdict::Failed)
    }

    #[test]
    fn what_is_kept_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let node = PublicKey::from_bytes([7; 32]);
        let integrity = Integrity::default();
        integrity.judged(true, 5);
        let kept = Kept { node, model: "m".to_owned(), verdicts: integrity.verdicts() };
        {
            let store = Verdicts::open(folder.path()).unwrap();
            store
                .keep(&Kept { verdicts: crate::market::Verdicts::default(), ..kept.clone() })
                .unwrap();
            store.keep(&kept).unwrap();
            store.eject(&node, "why").unwrap();
            for at_ms in 0..100 {
                store.evidence(&node, &failed_audit(at_ms)).unwrap();
            }
            assert!(matches!(Verdicts::open(folder.path()), Err(Error::InUse { .. })));
        }
        let store = Verdicts::open(folder.path()).unwrap();
        let all = store.all().unwrap();
        assert_eq!(all.verdicts, [kept]);
        assert_eq!(all.ejected, [(node, "why".to_owned())]);
        assert_eq!(all.evidence.len(), EVIDENCE_MAX);
        assert_eq!(all.evidence.last(), Some(&(node, failed_audit(99))));
        store.readmit(&node).unwrap();
        assert!(store.all().unwrap().ejected.is_empty());
    }
}
