//! One redb file of the data folder, readable by its owner alone. One process has it at a time. A file that
//! is not whole is refused and left as it is. After a failure of the disk the file is closed, and opened
//! anew by the next call: a disk that was full once must not stay full for us. It knows no table.

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase as _, TableError, WriteTransaction,
};
use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Error, create_dir};

/// What is in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The file's.
    pub(super) name: &'static str,
    /// Of a file that is held locked as long as the store is, also while its file is closed.
    pub(super) lock: &'static str,
    /// Makes the tables.
    pub(super) make: fn(&WriteTransaction) -> Result<(), TableError>,
    /// Opens each table once.
    pub(super) missing: fn(&ReadTransaction) -> Option<TableError>,
}

/// What is read once and then lives in memory needs no cache; what is looked up is small.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// The file, held open.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) path: PathBuf,
    layout: Layout,
    /// Absent after a failure.
    database: Mutex<Option<Database>>,
    _lock: fs::File,
}

impl Disk {
    /// The file in a data folder; both are made when they are not there.
    ///
    /// # Errors
    /// Another process has it, it is damaged, or the system refuses.
    pub(super) fn open(data_dir: &Path, layout: Layout) -> Result<Self, Error> {
        let path = data_dir.join(layout.name);
        let failed =
            |cause: io::Error| Error::Failed { path: path.clone(), cause: cause.to_string() };
        create_dir(data_dir).map_err(failed)?;
        let lock = owners(&data_dir.join(layout.lock)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path }),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        if !path.try_exists().map_err(failed)? {
            make(&path, layout)?;
        }
        let database = Mutex::new(Some(open(&path, layout)?));
        Ok(Self { path, layout, database, _lock: lock })
    }

    /// Does `work`; calls wait for each other.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut held = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match held.take() {
            Some(database) => database,
            None => open(&self.path, self.layout)?,
        };
        let done = work(&database);
        // redb does nothing more after an I/O error until it is opened anew.
        if !matches!(done, Err(Error::Failed { .. } | Error::Damaged { .. })) {
            *held = Some(database);
        }
        done
    }

    /// One transaction; nothing of it happens when `change` fails.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.with(|database| {
            let write = database.begin_write().map_err(|error| self.fault(error))?;
            let changed = change(&write)?;
            write.commit().map_err(|error| self.fault(error))?;
            Ok(changed)
        })
    }

    pub(super) fn fault(&self, error: impl Into<redb::Error>) -> Error {
        fault(&self.path, error.into())
    }

    /// What lies there can't be read.
    pub(super) fn damaged(&self, cause: impl Into<String>) -> Error {
        Error::Damaged { path: self.path.clone(), cause: cause.into() }
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

/// A store that is there, with all its tables.
fn open(path: &Path, layout: Layout) -> Result<Database, Error> {
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
    let missing = (layout.missing)(&read);
    drop(read);
    match missing {
        None => Ok(database),
        Some(error) => Err(Error::Damaged { path: path.to_owned(), cause: error.to_string() }),
    }
}

/// Makes an empty store beside the path and links it in place: a file that is there is always whole, so
/// an empty one has lost what it had and is no first start that was cut short.
fn make(path: &Path, layout: Layout) -> Result<(), Error> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let made = fill(&draft, layout)
        .and_then(|()| fs::hard_link(&draft, path).map_err(|error| fault(path, error.into())));
    let removed = fs::remove_file(&draft).map_err(|error| fault(path, error.into()));
    made.and(removed)
}

fn fill(draft: &Path, layout: Layout) -> Result<(), Error> {
    let failed = |error: redb::Error| fault(draft, error);
    owners(draft).map_err(|error| failed(error.into()))?;
    let database = builder().create(draft).map_err(|error| failed(error.into()))?;
    let write = database.begin_write().map_err(|error| failed(error.into()))?;
    (layout.make)(&write).map_err(|error| failed(error.into()))?;
    write.commit().map_err(|error| failed(error.into()))
}

fn fault(path: &Path, error: redb::Error) -> Error {
    let path = path.to_owned();
    let is_damage = match &error {
        redb::Error::Io(io) => {
            matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        redb::Error::Corrupted(_) => true,
        _ => false,
    };
    let cause = error.to_string();
    if is_damage { Error::Damaged { path, cause } } else { Error::Failed { path, cause } }
}
