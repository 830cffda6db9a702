//! What the targets share: inputs cut into pieces, and JSON objects read by serde_json with order,
//! doubled members and the text of every value kept. Nothing of the gateway is used here: this is the
//! second opinion.

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The input without its last four bytes, and those as a number that decides everything else.
pub fn split(data: &[u8]) -> Option<(&[u8], u32)> {
    data.split_last_chunk::<4>().map(|(input, seed)| (input, u32::from_le_bytes(*seed)))
}

/// Pieces of 1 to 1, 4, 16, 64 or 4,096 bytes, by SplitMix64.
pub fn pieces(input: &[u8], seed: u32) -> Vec<Bytes> {
    let longest = [1, 4, 16, 64, 4096][seed as usize % 5];
    let mut state = u64::from(seed);
    let mut rest = input;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut random = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let length = 1 + (random ^ (random >> 31)) % longest;
        let (piece, tail) = rest.split_at(rest.len().min(length as usize));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = tail;
    }
    pieces
}

/// An object's members in order: decoded name, and the value's own text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members(pub Vec<(String, String)>);

impl Members {
    pub fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// As [`Self::read`] for text that must be an object; `None` for a name with half a surrogate
    /// pair, which is JSON, and no Rust string.
    pub fn of_object(json: &str) -> Option<Self> {
        match serde_json::from_str(json) {
            Ok(members) => Some(members),
            Err(error) => {
                let halves = json.contains("\\ud") || json.contains("\\uD");
                assert!(halves, "not an object: {error}: {json}");
                None
            }
        }
    }

    pub fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(known, _)| known == name).count()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Replaces the value in its place, or puts the member in as the first.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some(member) => member.1 = value.to_owned(),
            None => self.0.insert(0, (name.to_owned(), value.to_owned())),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push((name, value.get().to_owned()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
