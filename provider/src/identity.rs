//! Who this node is: its key, its operator's, and the operator's word that the node is its own, all
//! in the data folder. The work on keys is done by crate `identity`; here it is decided which file
//! is used. It writes over no file.

use openapi::node::Delegation;
use openapi::sign::{PublicKey, SecretKey, Signed};
use std::fs::{File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The node's key, in its data folder.
pub const NODE_KEY: &str = "node.key";
/// The operator's, where it lies there.
pub const OPERATOR_KEY: &str = "operator.key";
const DELEGATION: &str = "delegation.json";
const LOCK: &str = "lock";
/// More than any delegation is long.
const DELEGATION_BYTES_MAX: u64 = 16 * 1024;

#[derive(Debug)]
pub struct Identity {
    pub node: SecretKey,
    pub operator: PublicKey,
    pub delegation: Signed<Delegation>,
    /// Key files made just now.
    pub made: Vec<PathBuf>,
    /// Held as long as the process uses the folder; absent where it does not.
    pub lock: Option<File>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Key(#[from] identity::key::Error),
    #[error("cannot use {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} can't be used: {reason}", path.display())]
    Delegation { path: PathBuf, reason: String },
    #[error("another provider uses {}; give this one a folder of its own with --data", .0.display())]
    InUse(PathBuf),
    #[error("no folder for the node's key: HOME is not set; name one with --data")]
    NoFolder,
    #[error("the delegation makes no JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Where identity and state are kept if nobody says otherwise.
///
/// # Errors
/// The user has no home.
pub fn default_folder() -> Result<PathBuf, Error> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match (set("STATE_DIRECTORY"), set("XDG_DATA_HOME"), set("HOME")) {
        // systemd's, which is this unit's own.
        (Some(state), ..) => return Ok(PathBuf::from(state)),
        (None, Some(data), _) => PathBuf::from(data),
        (None, None, Some(home)) => PathBuf::from(home).join(".local/share"),
        (None, None, None) => return Err(Error::NoFolder),
    };
    Ok(base.join("quorate").join("provider"))
}

impl Identity {
    /// As [`Self::read`]; the folder is this process's own from then on.
    ///
    /// # Errors
    /// Also where another process uses the folder.
    pub fn open(folder: &Path, operator_key: Option<&Path>, now_ms: i64) -> Result<Self, Error> {
        let mut read = Self::read(folder, operator_key, now_ms)?;
        read.lock = Some(lock(folder)?);
        Ok(read)
    }

    /// The folder's; keys that are missing are made. `operator_key`: the operator's file elsewhere.
    ///
    /// # Errors
    /// A file can't be used, or is another's.
    pub fn read(folder: &Path, operator_key: Option<&Path>, now_ms: i64) -> Result<Self, Error> {
        let path = folder.join(NODE_KEY);
        let loaded = identity::key::load_or_create(&path)?;
        let mut made: Vec<PathBuf> = loaded.is_new.then_some(path).into_iter().collect();
        let delegation = folder.join(DELEGATION);
        let own = folder.join(OPERATOR_KEY);
        let operator = match operator_key {
            Some(file) => Some(identity::key::load(file)?),
            // The key beside it may have been made by `provider identity`, which was asked for the
            // node's public key so that there could be a delegation.
            None if !delegation.exists() => {
                let loaded = identity::key::load_or_create(&own)?;
                made.extend(loaded.is_new.then_some(own));
                Some(loaded.key)
            }
            None => None,
        };
        let node = loaded.key;
        let signed = match &operator {
            Some(operator) => delegate(operator, node.public(), now_ms)?,
            None => read(&delegation, node.public())?,
        };
        let operator = signed
            .claims()
            .map_err(|error| Error::Delegation { path: delegation, reason: error.to_string() })?;
        let operator = operator.operator;
        Ok(Self { node, operator, delegation: signed, made, lock: None })
    }

    /// In memory alone, of keys made for the occasion.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn passing(now_ms: i64) -> Result<Self, Error> {
        Self::of(identity::key::generate()?, &identity::key::generate()?, now_ms)
    }

    /// Of these keys, in no file.
    ///
    /// # Errors
    /// The delegation makes no JSON.
    pub fn of(node: SecretKey, operator: &SecretKey, now_ms: i64) -> Result<Self, Error> {
        let delegation = delegate(operator, node.public(), now_ms)?;
        Ok(Self { node, operator: operator.public(), delegation, made: Vec::new(), lock: None })
    }
}

/// The operator's word that `node` is its own.
///
/// # Errors
/// It makes no JSON.
pub fn delegate(
    operator: &SecretKey,
    node: PublicKey,
    now_ms: i64,
) -> Result<Signed<Delegation>, Error> {
    let said = Delegation { operator: operator.public(), node, issued_at_ms: now_ms };
    Ok(Signed::new(&said, operator)?)
}

fn read(path: &Path, node: PublicKey) -> Result<Signed<Delegation>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let refused = |reason: String| Error::Delegation { path: path.to_owned(), reason };
    let mut text = String::new();
    let file = File::open(path).map_err(io)?;
    file.take(DELEGATION_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    let signed: Signed<Delegation> =
        serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    let claims = signed.claims().map_err(|error| refused(error.to_string()))?;
    let said = signed.open(&claims.operator).map_err(|error| refused(error.to_string()))?;
    if said.node != node {
        return Err(refused(format!("it is for node {}, and this is {node}", said.node)));
    }
    Ok(signed)
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let io = |source| Error::Io { path: path.clone(), source };
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_the_folder_is_one_process_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        let first = Identity::open(&path, None, 5).unwrap();
        assert_eq!(first.made, [path.join(NODE_KEY), path.join(OPERATOR_KEY)]);
        assert!(matches!(Identity::open(&path, None, 5), Err(Error::InUse(_))));
        let (node, operator) = (first.node.public(), first.operator);
        drop(first);
        let again = Identity::open(&path, None, 6).unwrap();
        assert_eq!((again.node.public(), again.operator, again.made.len()), (node, operator, 0));
        let said = again.delegation.open(&operator).unwrap();
        assert_eq!((said.node, said.operator, said.issued_at_ms), (node, operator, 6));
    }

    #[test]
    fn a_delegation_takes_the_operator_s_key_s_place() {
        let folder = tempfile::tempdir().unwrap();
        let node = identity::key::load_or_create(&folder.path().join(NODE_KEY)).unwrap().key;
        let operator = SecretKey::from_seed(&[3; 32]);
        let put = |signed: &Signed<Delegation>| {
            let text = serde_json::to_string(signed).unwrap();
            std::fs::write(folder.path().join(DELEGATION), text).unwrap();
        };
        put(&delegate(&operator, node.public(), 1).unwrap());
        let opened = Identity::open(folder.path(), None, 9).unwrap();
        assert_eq!(opened.operator, operator.public());
        assert!(opened.made.is_empty() && !folder.path().join(OPERATOR_KEY).exists());
        drop(opened);
        let other = SecretKey::from_seed(&[4; 32]).public();
        put(&delegate(&operator, other, 1).unwrap());
        let error = Identity::open(folder.path(), None, 9).unwrap_err();
        assert!(error.to_string().contains("it is for node"), "{error}");
        let mut forged = delegate(&operator, node.public(), 1).unwrap();
        forged.signature = delegate(&operator, other, 1).unwrap().signature;
        put(&forged);
        assert!(Identity::open(folder.path(), None, 9).is_err());
    }
}
