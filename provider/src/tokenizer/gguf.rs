//! The metadata of a GGUF file, and the tokenizer and template in it. Reads the head of the file
//! alone, never a tensor; every length in it is bounded before anything is allocated.

mod vocabulary;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::Error;

const KEYS_MAX: u64 = 65_536;
const STRING_BYTES_MAX: u64 = 32 << 20;
const ARRAY_MAX: u64 = 4 << 20;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Int(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    List(Vec<Value>),
}

/// The key-value pairs at the head of a GGUF file (versions 2 and 3, little-endian).
#[derive(Debug)]
pub struct Metadata {
    file: std::path::PathBuf,
    pairs: BTreeMap<String, Value>,
}

// === impl Metadata ===

impl Metadata {
    pub fn read(file: &Path) -> Result<Self, Error> {
        let open = |source| Error::Read { file: file.display().to_string(), source };
        let mut reader = Reader(BufReader::new(File::open(file).map_err(open)?));
        let pairs = reader.pairs().map_err(|message| Error::malformed(file, message))?;
        Ok(Self { file: file.to_owned(), pairs })
    }

    /// Tokens of prompt and answer together, as the file says.
    pub fn context_length(&self) -> Option<u64> {
        let arch = self.text("general.architecture")?;
        self.int(&format!("{arch}.context_length"))
    }

    pub fn chat_template(&self) -> Option<&str> {
        self.text("tokenizer.chat_template")
    }

    /// The precision most weights are held in: `q8_0`, `f16`, …
    pub fn quant(&self) -> String {
        let known = match self.int("general.file_type") {
            Some(0) => "f32",
            Some(1) => "f16",
            Some(2) => "q4_0",
            Some(3) => "q4_1",
            Some(7) => "q8_0",
            Some(8) => "q5_0",
            Some(9) => "q5_1",
            Some(10) => "q2_k",
            Some(11) => "q3_k_s",
            Some(12) => "q3_k_m",
            Some(13) => "q3_k_l",
            Some(14) => "q4_k_s",
            Some(15) => "q4_k_m",
            Some(16) => "q5_k_s",
            Some(17) => "q5_k_m",
            Some(18) => "q6_k",
            Some(32) => "bf16",
            Some(other) => return format!("gguf-{other}"),
            None => "gguf",
        };
        known.to_owned()
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.pairs.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn int(&self, key: &str) -> Option<u64> {
        match self.pairs.get(key)? {
            Value::Int(int) => u64::try_from(*int).ok(),
            _ => None,
        }
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.pairs.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&[Value]> {
        match self.pairs.get(key)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn malformed(&self, message: impl ToString) -> Error {
        Error::malformed(&self.file, message)
    }
}

struct Reader<R>(R);

// === impl Reader ===

impl<R: Read> Reader<R> {
    fn pairs(&mut self) -> Result<BTreeMap<String, Value>, String> {
        if self.bytes::<4>()? != *b"GGUF" {
            return Err("not a GGUF file".to_owned());
        }
        let version = u32::from_le_bytes(self.bytes()?);
        if !(2..=3).contains(&version) {
            return Err(format!("GGUF version {version}; 2 and 3 are read"));
        }
        let _tensors = self.length(u64::MAX)?;
        let keys = self.length(KEYS_MAX)?;
        let mut pairs = BTreeMap::new();
        for _ in 0..keys {
            let key = self.string()?;
            let kind = u32::from_le_bytes(self.bytes()?);
            pairs.insert(key, self.value(kind, true)?);
        }
        Ok(pairs)
    }

    fn value(&mut self, kind: u32, lists: bool) -> Result<Value, String> {
        Ok(match kind {
            0 => Value::Int(u8::from_le_bytes(self.bytes()?).into()),
            1 => Value::Int(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Int(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Int(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Int(u32::from_le_bytes(self.bytes()?).into()),
            5 => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            7 => Value::Bool(self.bytes::<1>()? != [0]),
            8 => Value::Text(self.string()?),
            9 if lists => {
                let kind = u32::from_le_bytes(self.bytes()?);
                let length = self.length(ARRAY_MAX)?;
                let items: Result<Vec<_>, _> =
                    (0..length).map(|_| self.value(kind, false)).collect();
                Value::List(items?)
            }
            10 => Value::Int(u64::from_le_bytes(self.bytes()?).into()),
            11 => Value::Int(i64::from_le_bytes(self.bytes()?).into()),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            other => return Err(format!("unknown value type {other}")),
        })
    }

    fn string(&mut self) -> Result<String, String> {
        let length = self.length(STRING_BYTES_MAX)?;
        let mut bytes = Vec::new();
        // Grows with what the file really holds, not with what it claims.
        self.0.by_ref().take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if u64::try_from(bytes.len()).ok() != Some(length) {
            return Err("cut off".to_owned());
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn length(&mut self, max: u64) -> Result<u64, String> {
        let length = u64::from_le_bytes(self.bytes()?);
        if length > max { Err(format!("a length of {length}, at most {max}")) } else { Ok(length) }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
