//! What outlives the process: the keys made at run time, as digests, and receipts. Small traits, and for
//! each a file of the data folder behind it. It knows no request and no limit's state; it never sees a key
//! itself.

mod disk;
mod file;
mod receipts;
mod record;
mod verdicts;

use std::fmt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

pub use file::File;
pub use receipts::{Bounds, Kept, Owner, ReceiptFile, Receipts};
pub use record::Record;
pub use verdicts::Verdicts;

/// Where keys are kept. Each call has happened, on disk, when it returns; calls block.
pub trait Keys: Send + Sync + fmt::Debug {
    /// Shows every key once, and counts them.
    ///
    /// # Errors
    /// The store can't be read, or holds what is no key.
    fn each(&self, visit: &mut dyn FnMut(Record)) -> Result<u64, Error>;

    /// Keeps keys, all of them or none.
    ///
    /// # Errors
    /// A name is taken; more than `keys_max` would be kept; the store can't be written.
    fn insert(&self, records: &[Record], keys_max: u64) -> Result<(), Error>;

    /// Forgets a key, by its id or name, and returns what was known of it.
    ///
    /// # Errors
    /// No such key; the store can't be written.
    fn remove(&self, id_or_name: &str) -> Result<Record, Error>;

    /// Up to `limit` keys in the order in which they were made, from the one after `after`.
    ///
    /// # Errors
    /// The store can't be read.
    fn list(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Record>, Error>;
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is in use by another process", path.display())]
    InUse { path: PathBuf },
    #[error(
        "{} is damaged ({cause}). Nothing was changed; put a copy back, or move the file away to begin without what was in it",
        path.display()
    )]
    Damaged { path: PathBuf, cause: String },
    #[error("cannot use {}: {cause}", path.display())]
    Failed { path: PathBuf, cause: String },
    #[error("a key named {0:?} exists already")]
    NameTaken(String),
    #[error("there is no key with the id or name {0:?}")]
    Unknown(String),
    #[error("there are {keys_max} keys already, and no more are kept")]
    Full { keys_max: u64 },
}

/// Makes a folder for its owner alone, if it is not there.
///
/// # Errors
/// The system refuses.
pub fn create_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
