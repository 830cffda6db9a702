//! The keys in one redb file of the data folder, readable by its owner alone. One process has it at a
//! time. A file that is not whole is refused and left as it is. After a failure of the disk the file is
//! closed, and opened anew by the next call: a disk that was full once must not keep a key valid.

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition,
};
use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

use super::{Error, Keys, Record, create_dir};

pub(super) const NAME: &str = "keys.redb";
/// Held locked as long as the store is, also while its file is closed.
const LOCK: &str = "keys.lock";
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
    /// Absent after a failure.
    database: Mutex<Option<Database>>,
    _lock: fs::File,
}

impl File {
    /// The store of a data folder; both are made when they are not there.
    ///
    /// # Errors
    /// Another process has it, it is damaged, or the system refuses.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(NAME);
        let failed =
            |cause: io::Error| Error::Failed { path: path.clone(), cause: cause.to_string() };
        create_dir(data_dir).map_err(failed)?;
        let lock = owners(&data_dir.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path }),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        if !path.try_exists().map_err(failed)? {
            make(&path)?;
        }
        let database = Mutex::new(Some(open(&path)?));
        Ok(Self { path, database, _lock: lock })
    }

    /// Does `work`; calls wait for each other.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, Error>) -> Result<T, Error> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match held.take() {
            Some(database) => database,
            None => open(&self.path)?,
        };
        let done = work(&database);
        // redb does nothing more after an I/O error until it is opened anew.
        if !matches!(done, Err(Error::Failed { .. } | Error::Damaged { .. })) {
            *held = Some(database);
        }
        done
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
        self.with(|database| {
            let write = database.begin_write().map_err(|error| self.fault(error))?;
            let changed = {
                let mut keys = write.open_table(KEYS).map_err(|error| self.fault(error))?;
                let mut names = write.open_table(NAMES).map_err(|error| self.fault(error))?;
                change(&mut keys, &mut names)?
            };
            write.commit().map_err(|error| self.fault(error))?;
            Ok(changed)
        })
    }
}

impl Keys for File {
    fn each(&self, visit: &mut dyn FnMut(Record)) -> Result<u64, Error> {
        self.with(|database| {
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
        self.with(|database| {
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

/// An empty file, readable by its owner alone.
fn owners(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    // Otherwise a damaged page is trusted, and found by a panic.
    builder.set_check_integrity_on_open(true);
    builder
}

/// A store that is there, with both tables.
fn open(path: &Path) -> Result<Database, Error> {
    let database = match builder().open(path) {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
            return Err(Error::InUse { path: path.to_owned() });
        }
        Err(DatabaseError::Storage(error)) => return Err(fault(path, error.into())),
        Err(error) => {
            return Err(Error::Damaged { path: path.to_owned(), cause: error.to_string() });
        }
    };
    let read = database.begin_read().map_err(|error| fault(path, error.into()))?;
    let missing = read.open_table(KEYS).err().or_else(|| read.open_table(NAMES).err());
    drop(read);
    match missing {
        None => Ok(database),
        Some(error) => Err(Error::Damaged { path: path.to_owned(), cause: error.to_string() }),
    }
}

/// Makes a store without keys beside the path and links it in place: a file that is there is always
/// whole, so an empty one has lost its keys and is no first start that was cut short.
fn make(path: &Path) -> Result<(), Error> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let made = fill(&draft)
        .and_then(|()| fs::hard_link(&draft, path).map_err(|error| fault(path, error.into())));
    let removed = fs::remove_file(&draft).map_err(|error| fault(path, error.into()));
    made.and(removed)
}

fn fill(draft: &Path) -> Result<(), Error> {
    let failed = |error: redb::Error| fault(draft, error);
    owners(draft).map_err(|error| failed(error.into()))?;
    let database = builder().create(draft).map_err(|error| failed(error.into()))?;
    let write = database.begin_write().map_err(|error| failed(error.into()))?;
    write.open_table(KEYS).map_err(|error| failed(error.into()))?;
    write.open_table(NAMES).map_err(|error| failed(error.into()))?;
    write.commit().map_err(|error| failed(error.into()))
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
