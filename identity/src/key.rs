//! Key files: one line, `ed25519:` and the 32 secret bytes in hex, readable by their owner alone.

use openapi::sign::SecretKey;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

const PREFIX: &str = "ed25519:";
/// More than any key file holds.
const FILE_BYTES_MAX: u64 = 256;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} holds no key", path.display())]
    Malformed { path: PathBuf },
    #[error("{} may be read by others than its owner: chmod 600 it, or make a new key if others could have read it", path.display())]
    Exposed { path: PathBuf },
    #[error("the system has no random numbers")]
    Random(#[source] getrandom::Error),
}

/// A key and whether it was made just now.
#[derive(Debug)]
pub struct Loaded {
    pub key: SecretKey,
    pub is_new: bool,
}

/// A key that is in no file.
///
/// # Errors
/// The system has no random numbers.
pub fn generate() -> Result<SecretKey, Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Error::Random)?;
    Ok(SecretKey::from_seed(&seed))
}

/// The file's key; made, with its folder, where there is none. Of two processes that start at once
/// both use the first one's.
///
/// # Errors
/// The file can't be used, holds something else, or may be read by others.
pub fn load_or_create(path: &Path) -> Result<Loaded, Error> {
    match load(path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        loaded => return loaded.map(|key| Loaded { key, is_new: false }),
    }
    let key = generate()?;
    let io = |source| Error::Io { path: path.to_owned(), source };
    let is_new = write_new(path, &key).map_err(io)?;
    if is_new { Ok(Loaded { key, is_new }) } else { load(path).map(|key| Loaded { key, is_new }) }
}

/// A new key in the place of the file's, which is lost: nobody reads half a key, and where this fails the
/// old one is still there.
///
/// # Errors
/// The file can't be used.
pub fn replace(path: &Path) -> Result<SecretKey, Error> {
    let key = generate()?;
    let io = |source| Error::Io { path: path.to_owned(), source };
    let draft = write_draft(path, &key).map_err(io)?;
    fs::rename(&draft, path).map_err(io)?;
    Ok(key)
}

/// The file's key, which must be there.
///
/// # Errors
/// As [`load_or_create`].
pub fn load(path: &Path) -> Result<SecretKey, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let malformed = || Error::Malformed { path: path.to_owned() };
    let file = File::open(path).map_err(io)?;
    if is_exposed(&file.metadata().map_err(io)?) {
        return Err(Error::Exposed { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => malformed(),
        _ => io(error),
    })?;
    let digits = text.trim().strip_prefix(PREFIX).ok_or_else(malformed)?;
    let mut seed = [0; 32];
    hex::decode_to_slice(digits, &mut seed).map_err(|_| malformed())?;
    Ok(SecretKey::from_seed(&seed))
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

/// Written beside the path and linked in place, so that nobody reads half a key and none is written
/// over. False where another process was first.
fn write_new(path: &Path, key: &SecretKey) -> io::Result<bool> {
    let draft = write_draft(path, key)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The key in a file beside the path, on disk; the folder is made where there is none.
fn write_draft(path: &Path, key: &SecretKey) -> io::Result<PathBuf> {
    if let Some(folder) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let draft = path.with_extension(format!("{}.new", hex::encode(nonce)));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let written = writeln!(file, "{PREFIX}{}", hex::encode(key.seed()));
    match written.and_then(|()| file.sync_all()) {
        Ok(()) => Ok(draft),
        Err(error) => {
            fs::remove_file(&draft)?;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/node.key");
        let first = load_or_create(&path).unwrap();
        assert!(first.is_new);
        let again = load_or_create(&path).unwrap();
        assert!(!again.is_new);
        assert_eq!(first.key.public(), again.key.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(load(&path), Err(Error::Exposed { .. })));
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_replaced_key_is_gone_and_the_new_one_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipts.key");
        let first = load_or_create(&path).unwrap().key;
        let second = replace(&path).unwrap();
        assert_ne!(first.public(), second.public());
        assert_eq!(load(&path).unwrap().public(), second.public());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_damaged_file_is_neither_used_nor_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        for text in ["", "ed25519:", "ed25519:12", "secret", "ed25519:zz"] {
            let _gone = fs::remove_file(&path);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&path).unwrap().write_all(text.as_bytes()).unwrap();
            assert!(matches!(load_or_create(&path), Err(Error::Malformed { .. })), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn two_that_start_at_once_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| load_or_create(&path).unwrap().key.public()))
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
