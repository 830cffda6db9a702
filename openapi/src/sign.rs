//! Ed25519 keys and signatures as they go over the wire, and statements signed as they were written:
//! the signature is over the very bytes that are sent, so nobody has to agree on a canonical form.
//! Every use has a domain of its own, so that a signature made for one is worth nothing in another.
//! It keeps no key file and draws no random numbers.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use utoipa::ToSchema;

/// Hex digits of a key in names: 64 bits, so that nobody finds another key with the same ones.
const SHORT_DIGITS: usize = 16;

/// Who somebody is: 32 bytes, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct PublicKey([u8; 32]);

/// What proves it. Printed by nothing; wiped when dropped.
pub struct SecretKey(SigningKey);

/// 64 bytes, written as 128 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{128}$")]
pub struct Signature([u8; 64]);

/// Something that is said under a signature.
pub trait Statement: Serialize + DeserializeOwned {
    /// Where it counts: `quorate/hello/v1`.
    const DOMAIN: &'static str;
}

/// A statement's JSON text and the signature over domain, a zero byte, and that text.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(bound = "")]
#[schema(bound = "T: ToSchema")]
pub struct Signed<T> {
    /// JSON text of the statement.
    pub statement: String,
    pub signature: Signature,
    #[serde(skip)]
    #[schema(ignore)]
    kind: PhantomData<T>,
}

/// Why a signed statement says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the key is no point of the curve, or a weak one")]
    Key,
    #[error("the signature does not fit")]
    Signature,
    #[error("the statement can't be read: {0}")]
    Statement(String),
}

/// Text that is no key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0} hex digits")]
pub struct NotHex(usize);

// === impl PublicKey ===

impl PublicKey {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 hex digits, for names that people read.
    pub fn short(&self) -> String {
        let mut text = hex::encode(self.0);
        text.truncate(SHORT_DIGITS);
        text
    }

    /// Whether `signature` is this key's over `domain`, a zero byte, and `message`.
    ///
    /// # Errors
    /// It is not; weak keys and malleable signatures are refused.
    pub fn verify(&self, domain: &str, message: &[u8], signature: &Signature) -> Result<(), Error> {
        self.verify_bare(&framed(domain, message), signature)
    }

    /// As [`Self::verify`], of a message that was signed as it is ([`SecretKey::sign_bare`]).
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_bare(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| Error::Key)?;
        if key.is_weak() {
            return Err(Error::Key);
        }
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature).map_err(|_| Error::Signature)
    }
}

// === impl SecretKey ===

impl SecretKey {
    /// From 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The random bytes it was made from, to be kept.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub fn sign(&self, domain: &str, message: &[u8]) -> Signature {
        Signature(self.0.sign(&framed(domain, message)).to_bytes())
    }

    /// Without a domain, for a form that others check: only of messages that have no zero byte, since
    /// each with a domain has one.
    pub fn sign_bare(&self, message: &[u8]) -> Option<Signature> {
        (!message.contains(&0)).then(|| Signature(self.0.sign(message).to_bytes()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", self.public())
    }
}

fn framed(domain: &str, message: &[u8]) -> Vec<u8> {
    [domain.as_bytes(), &[0], message].concat()
}

// === impl Signed ===

impl<T: Statement> Signed<T> {
    /// # Errors
    /// A statement that makes no JSON.
    pub fn new(statement: &T, key: &SecretKey) -> Result<Self, serde_json::Error> {
        let statement = serde_json::to_string(statement)?;
        let signature = key.sign(T::DOMAIN, statement.as_bytes());
        Ok(Self { statement, signature, kind: PhantomData })
    }

    /// What `key` says. Not to be called before the size of the text is known to be bearable.
    ///
    /// # Errors
    /// Another key's signature, or none; a text that can't be read.
    pub fn open(&self, key: &PublicKey) -> Result<T, Error> {
        key.verify(T::DOMAIN, self.statement.as_bytes(), &self.signature)?;
        self.claims()
    }

    /// What is said, whoever says it: only to find out whose signature to expect.
    ///
    /// # Errors
    /// A text that can't be read.
    pub fn claims(&self) -> Result<T, Error> {
        serde_json::from_str(&self.statement).map_err(|error| Error::Statement(error.to_string()))
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self { statement: self.statement.clone(), signature: self.signature, kind: PhantomData }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.statement == other.statement && self.signature == other.signature
    }
}

impl<T> Eq for Signed<T> {}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("statement", &self.statement).finish_non_exhaustive()
    }
}

// === text forms ===

fn parse<const N: usize>(text: &str) -> Result<[u8; N], NotHex> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| NotHex(2 * N))?;
    Ok(bytes)
}

impl FromStr for PublicKey {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        parse(text).map(Self)
    }
}

impl FromStr for Signature {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        parse(text).map(Self)
    }
}

macro_rules! as_hex {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

as_hex!(PublicKey);
as_hex!(Signature);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Word {
        text: String,
    }

    impl Statement for Word {
        const DOMAIN: &'static str = "quorate/test/v1";
    }

    fn word() -> Word {
        Word { text: "yes".to_owned() }
    }

    #[test]
    fn what_was_signed_is_read_back_after_a_journey_as_json() {
        let key = SecretKey::from_seed(&[7; 32]);
        let signed = Signed::new(&word(), &key).unwrap();
        let text = serde_json::to_string(&signed).unwrap();
        let back: Signed<Word> = serde_json::from_str(&text).unwrap();
        assert_eq!(back.open(&key.public()), Ok(word()));
    }

    #[test]
    fn another_key_another_text_and_another_domain_are_refused() {
        let (key, other) = (SecretKey::from_seed(&[7; 32]), SecretKey::from_seed(&[8; 32]));
        let signed = Signed::new(&word(), &key).unwrap();
        assert_eq!(signed.open(&other.public()), Err(Error::Signature));
        let mut changed = signed.clone();
        changed.statement = changed.statement.replace("yes", "no");
        assert_eq!(changed.open(&key.public()), Err(Error::Signature));
        let elsewhere = key.sign("quorate/other/v1", signed.statement.as_bytes());
        assert_eq!(
            key.public().verify(Word::DOMAIN, signed.statement.as_bytes(), &elsewhere),
            Err(Error::Signature)
        );
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // The neutral element: its signatures fit any message under lax rules.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let weak = PublicKey::from_bytes(neutral);
        let signature = Signature([0; 64]);
        assert_eq!(weak.verify("d", b"m", &signature), Err(Error::Key));
    }

    #[test]
    fn a_secret_key_is_not_printed() {
        let key = SecretKey::from_seed(&[0xab; 32]);
        assert!(!format!("{key:?}").contains("abab"));
        assert_eq!(key.public().short().len(), 16);
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        assert_eq!("12".parse::<PublicKey>(), Err(NotHex(64)));
    }
}
