//! Who is calling. Keys are kept as SHA-256 digests and compared in constant time; a key is never
//! logged, echoed or kept in the clear here. It decides before a request's body is read.

use http::{HeaderMap, header};
use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

use crate::config::{Key, Mode};
use crate::http::error::{Credentials, Error};

pub mod browser;

type Digest = [u8; 32];

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name of the key in the configuration; `open` where no key is asked for.
    pub key_name: Arc<str>,
}

/// The keys of the configuration.
#[derive(Debug)]
pub struct Keys {
    mode: Mode,
    open: Principal,
    /// By the digest's first eight bytes, which find the candidate; the whole digest decides.
    by_prefix: HashMap<u64, Vec<(Digest, Principal)>>,
}

// === impl Keys ===

impl Keys {
    pub fn new(mode: Mode, keys: &[Key]) -> Self {
        let mut by_prefix: HashMap<u64, Vec<_>> = HashMap::with_capacity(keys.len());
        for key in keys {
            let digest = digest(key.key.expose_secret().as_bytes());
            let principal = Principal { key_name: Arc::from(key.name.as_str()) };
            by_prefix.entry(prefix(&digest)).or_default().push((digest, principal));
        }
        Self { mode, open: Principal { key_name: Arc::from("open") }, by_prefix }
    }

    /// Who the request comes from.
    ///
    /// # Errors
    /// No key, not a Bearer key, a key nobody has.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Error> {
        match self.mode {
            Mode::Open => Ok(self.open.clone()),
            Mode::Keys => {
                let key = bearer(headers).map_err(Error::Unauthorized)?;
                self.find(key).ok_or(Error::Unauthorized(Credentials::Unknown))
            }
        }
    }

    fn find(&self, key: &[u8]) -> Option<Principal> {
        let digest = digest(key);
        let candidates = self.by_prefix.get(&prefix(&digest))?;
        let found = candidates.iter().find(|(known, _)| bool::from(known.ct_eq(&digest)));
        found.map(|(_, principal)| principal.clone())
    }
}

/// The key of `Authorization: Bearer KEY`; the scheme's case does not matter.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&[u8], Credentials> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Credentials::Missing)?.as_bytes();
    if values.next().is_some() {
        return Err(Credentials::Malformed);
    }
    let (scheme, key) = value.split_at_checked(7).ok_or(Credentials::Malformed)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(Credentials::Malformed);
    }
    match key.trim_ascii() {
        [] => Err(Credentials::Missing),
        key => Ok(key),
    }
}

pub(crate) fn digest(key: &[u8]) -> Digest {
    Sha256::digest(key).into()
}

fn prefix(digest: &Digest) -> u64 {
    digest.iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte))
}
