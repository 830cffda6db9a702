//! A new key: 256 random bits that are shown once, and the record that is kept instead.

use secrecy::SecretString;
use uuid::Uuid;

use super::{Digest, Scope};
use crate::limit::Rules;
use crate::store::Record;

const PREFIX: &str = "qk_";
const ID_PREFIX: &str = "key_";
const KEY_BYTES: usize = 32;
/// Characters of the key in its hint, at each end; the rest still has 224 bits.
const HINT: usize = 4;

/// A key that nobody has been told yet. Not printed whole.
#[derive(Debug)]
pub struct Minted {
    pub record: Record,
    pub key: SecretString,
}

/// Makes a key. `unix_ms` is when.
///
/// # Errors
/// The system has no random numbers.
pub fn mint(
    name: String,
    rules: Rules,
    scope: Scope,
    unix_ms: u64,
) -> Result<Minted, getrandom::Error> {
    let mut random = [0u8; KEY_BYTES];
    getrandom::fill(&mut random)?;
    let mut id_random = [0u8; 10];
    getrandom::fill(&mut id_random)?;
    let digits = hex::encode(random);
    let head = digits.get(..HINT).unwrap_or_default();
    let tail = digits.get(digits.len().saturating_sub(HINT)..).unwrap_or_default();
    let hint = format!("{PREFIX}{head}…{tail}");
    let key = format!("{PREFIX}{digits}");
    let record = Record {
        id: uuid::Builder::from_unix_timestamp_millis(unix_ms, &id_random).into_uuid(),
        digest: Digest::of(key.as_bytes()),
        name,
        hint,
        created: i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX),
        rules,
        scope,
    };
    Ok(Minted { record, key: SecretString::from(key) })
}

/// As people and the API see it: `key_` and 32 hex digits.
pub fn show_id(id: Uuid) -> String {
    format!("{ID_PREFIX}{}", id.simple())
}

pub fn read_id(text: &str) -> Option<Uuid> {
    let digits = text.strip_prefix(ID_PREFIX)?;
    // One way to write each id: neither capitals nor hyphens.
    let is_plain =
        digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Uuid::try_parse(digits).ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_key_is_long_and_its_record_does_not_tell_it() {
        let minted =
            mint("a".into(), Rules::default(), Scope::default(), 1_767_225_600_000).unwrap();
        let key = minted.key.expose_secret();
        assert_eq!((key.len(), minted.record.created), (67, 1_767_225_600));
        assert_eq!(minted.record.digest, Digest::of(key.as_bytes()));
        let shown = format!("{minted:?}");
        assert!(!shown.contains(&key[8..60]), "{shown}");
        let other =
            mint("a".into(), Rules::default(), Scope::default(), 1_767_225_600_001).unwrap();
        assert_ne!(other.record.digest, minted.record.digest);
        assert!(other.record.id > minted.record.id, "ids order by time");
    }

    #[test]
    fn an_id_is_read_as_it_is_shown() {
        let id = Uuid::from_u128(0xabc);
        assert_eq!(read_id(&show_id(id)), Some(id));
        for text in [
            "",
            "key_",
            "abc",
            "key_ABC",
            &show_id(id).to_uppercase(),
            "key_00000000-0000-0000-0000-000000000abc",
        ] {
            assert_eq!(read_id(text), None, "{text}");
        }
    }
}
