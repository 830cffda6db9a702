//! The keys in one redb file of the data folder.

use redb::{
    ReadTransaction, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, TableError, WriteTransaction,
};
use std::path::Path;
use uuid::Uuid;

use super::disk::{Disk, Layout};
use super::{Error, Keys, Record};

/// Records by id.
const KEYS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("keys");
/// Ids by name.
const NAMES: TableDefinition<'_, &str, u128> = TableDefinition::new("names");
const LAYOUT: Layout = Layout { name: "keys.redb", lock: "keys.lock", make, missing };

/// The file, held open.
#[derive(Debug)]
pub struct File(Disk);

impl File {
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

    fn record(&self, id: u128, bytes: &[u8]) -> Result<Record, Error> {
        let id = Uuid::from_u128(id);
        Record::from_bytes(id, bytes)
            .map_err(|error| self.0.damaged(format!("key {}: {error}", crate::auth::show_id(id))))
    }

    /// One transaction over both tables; nothing of it happens when `change` fails.
    fn write<T>(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, u128, &'static [u8]>,
            &mut redb::Table<'_, &'static str, u128>,
        ) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.0.write(|write| {
            let mut keys = write.open_table(KEYS).map_err(|error| self.fault(error))?;
            let mut names = write.open_table(NAMES).map_err(|error| self.fault(error))?;
            change(&mut keys, &mut names)
        })
    }
}

impl Keys for File {
    fn each(&self, visit: &mut dyn FnMut(Record)) -> Result<u64, Error> {
        self.0.with(|database| {
            let read = database.begin_read().map_err(|error| self.fault(error))?;
            let keys = read.open_table(KEYS).map_err(|error| self.fault(error))?;
            let mut count = 0;
            for entry in keys.iter().map_err(|error| self.fault(error))? {
                let (id, bytes) = entry.map_err(|error| self.fault(error))?;
                visit(self.record(id.value(), bytes.value())?);
                count += 1;
            }
            Ok(count)
        })
    }

    fn insert(&self, records: &[Record], keys_max: u64) -> Result<(), Error> {
        self.write(|keys, names| {
            let kept = keys.len().map_err(|error| self.fault(error))?;
            if kept.saturating_add(records.len() as u64) > keys_max {
                return Err(Error::Full { keys_max });
            }
            for record in records {
                let id = record.id.as_u128();
                let name = record.name.as_str();
                if names.insert(name, id).map_err(|error| self.fault(error))?.is_some() {
                    return Err(Error::NameTaken(record.name.clone()));
                }
                let bytes = record.to_bytes().map_err(|error| Error::Failed {
                    path: self.0.path.clone(),
                    cause: error.to_string(),
                })?;
                keys.insert(id, bytes.as_slice()).map_err(|error| self.fault(error))?;
            }
            Ok(())
        })
    }

    fn remove(&self, id_or_name: &str) -> Result<Record, Error> {
        let unknown = || Error::Unknown(id_or_name.to_owned());
        self.write(|keys, names| {
            let named = names.get(id_or_name).map_err(|error| self.fault(error))?;
            let named = named.map(|id| id.value());
            let id = crate::auth::read_id(id_or_name).map(|id| id.as_u128()).or(named);
            let id = id.ok_or_else(unknown)?;
            let removed = keys.remove(id).map_err(|error| self.fault(error))?;
            let record = self.record(id, removed.ok_or_else(unknown)?.value())?;
            names.remove(record.name.as_str()).map_err(|error| self.fault(error))?;
            Ok(record)
        })
    }

    fn list(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Record>, Error> {
        self.0.with(|database| {
            let read = database.begin_read().map_err(|error| self.fault(error))?;
            let keys = read.open_table(KEYS).map_err(|error| self.fault(error))?;
            let first = after.map_or(0, |id| id.as_u128().saturating_add(1));
            let range = keys.range(first..).map_err(|error| self.fault(error))?;
            let records = range.take(limit).map(|entry| {
                let (id, bytes) = entry.map_err(|error| self.fault(error))?;
                self.record(id.value(), bytes.value())
            });
            records.collect()
        })
    }
}

fn make(write: &WriteTransaction) -> Result<(), TableError> {
    write.open_table(KEYS)?;
    write.open_table(NAMES)?;
    Ok(())
}

fn missing(read: &ReadTransaction) -> Option<TableError> {
    read.open_table(KEYS).err().or_else(|| read.open_table(NAMES).err())
}
