//! The keys in one redb file of the data folder, readable by its owner alone. One process has it at a
//! time. A file that is not whole is refused and left as it is.

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, TableError,
};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use uuid::Uuid;

use super::{Error, Keys, Record, create_dir};

pub(super) const NAME: &str = "keys.redb";
/// Records by id.
const KEYS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("keys");
/// Ids by name.
const NAMES: TableDefinition<'_, &str, u128> = TableDefinition::new("names");
/// The keys are read once and then live in memory: a cache would only hold them twice.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// The file, held open.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    database: Database,
}

impl File {
    /// The store of a data folder; both are made when they are not there.
    ///
    /// # Errors
    /// Another process has it, it is damaged, or the system refuses.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(NAME);
        let failed =
            |cause: std::io::Error| Error::Failed { path: path.clone(), cause: cause.to_string() };
        create_dir(data_dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).map_err(failed)?;
        let opened = Database::builder()
            .set_cache_size(CACHE_BYTES)
            // Otherwise a damaged page is trusted, and found by a panic.
            .set_check_integrity_on_open(true)
            .create(&path);
        match opened {
            Ok(database) => Self { path, database }.prepared(),
            Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
                Err(Error::InUse { path })
            }
            Err(DatabaseError::Storage(error)) => Err(fault(&path, error.into())),
            Err(error) => Err(Error::Damaged { path, cause: error.to_string() }),
        }
    }

    /// With both tables, so that no reader meets a store without them.
    fn prepared(self) -> Result<Self, Error> {
        let read = self.database.begin_read().map_err(|error| self.fault(error))?;
        let is_new = matches!(read.open_table(KEYS), Err(TableError::TableDoesNotExist(_)));
        drop(read);
        if is_new {
            self.write(|keys, names| {
                let _ = (keys, names);
                Ok(())
            })?;
        }
        Ok(self)
    }

    fn fault(&self, error: impl Into<redb::Error>) -> Error {
        fault(&self.path, error.into())
    }

    fn record(&self, id: u128, bytes: &[u8]) -> Result<Record, Error> {
        let id = Uuid::from_u128(id);
        Record::from_bytes(id, bytes).map_err(|error| Error::Damaged {
            path: self.path.clone(),
            cause: format!("key {}: {error}", crate::auth::show_id(id)),
        })
    }

    /// One transaction over both tables; nothing of it happens when `change` fails.
    fn write<T>(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, u128, &'static [u8]>,
            &mut redb::Table<'_, &'static str, u128>,
        ) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let write = self.database.begin_write().map_err(|error| self.fault(error))?;
        let changed = {
            let mut keys = write.open_table(KEYS).map_err(|error| self.fault(error))?;
            let mut names = write.open_table(NAMES).map_err(|error| self.fault(error))?;
            change(&mut keys, &mut names)?
        };
        write.commit().map_err(|error| self.fault(error))?;
        Ok(changed)
    }
}

impl Keys for File {
    fn each(&self, visit: &mut dyn FnMut(Record)) -> Result<u64, Error> {
        let read = self.database.begin_read().map_err(|error| self.fault(error))?;
        let keys = read.open_table(KEYS).map_err(|error| self.fault(error))?;
        let mut count = 0;
        for entry in keys.iter().map_err(|error| self.fault(error))? {
            let (id, bytes) = entry.map_err(|error| self.fault(error))?;
            visit(self.record(id.value(), bytes.value())?);
            count += 1;
        }
        Ok(count)
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
                    path: self.path.clone(),
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
        let read = self.database.begin_read().map_err(|error| self.fault(error))?;
        let keys = read.open_table(KEYS).map_err(|error| self.fault(error))?;
        let first = after.map_or(0, |id| id.as_u128().saturating_add(1));
        let range = keys.range(first..).map_err(|error| self.fault(error))?;
        let records = range.take(limit).map(|entry| {
            let (id, bytes) = entry.map_err(|error| self.fault(error))?;
            self.record(id.value(), bytes.value())
        });
        records.collect()
    }
}

fn fault(path: &Path, error: redb::Error) -> Error {
    let path = path.to_owned();
    let is_damage = match &error {
        redb::Error::Io(io) => {
            matches!(io.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
        }
        redb::Error::Corrupted(_) => true,
        _ => false,
    };
    let cause = error.to_string();
    if is_damage { Error::Damaged { path, cause } } else { Error::Failed { path, cause } }
}
