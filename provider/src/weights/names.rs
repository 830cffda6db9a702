//! The names of the tensors in a safetensors file: the same weights are called otherwise by those who
//! read them as another kind of model. The data behind the names is not looked at.

use serde_json::{Map, Value};
use std::io::{Error, ErrorKind};

/// Bytes of a header, by the format's own rule.
const HEADER_BYTES_MAX: usize = 100_000_000;
/// The data begins at a multiple of this.
const ALIGNMENT: usize = 8;

/// The file with `prefix` taken off the names that have it.
///
/// # Errors
/// `InvalidData`: no safetensors file, or two tensors would have one name.
pub fn without_prefix(file: &[u8], prefix: &str) -> Result<Vec<u8>, Error> {
    let (header, data) = split(file).ok_or_else(|| invalid("no safetensors header"))?;
    let header: Map<String, Value> = serde_json::from_slice(header)
        .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    let mut renamed = Map::with_capacity(header.len());
    for (name, tensor) in header {
        let name = name.strip_prefix(prefix).map_or(name.clone(), str::to_owned);
        if renamed.insert(name, tensor).is_some() {
            return Err(invalid("two tensors of one name"));
        }
    }
    let mut header = serde_json::to_vec(&renamed)?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    let mut out = Vec::with_capacity(size_of::<u64>() + header.len() + data.len());
    out.extend_from_slice(&u64::try_from(header.len()).unwrap_or(u64::MAX).to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(data);
    Ok(out)
}

/// Header and data. The header's length comes first, as u64, little-endian.
fn split(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    rest.split_at_checked(length).filter(|_| length <= HEADER_BYTES_MAX)
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn names_change_and_nothing_else() {
        let header = r#"{"__metadata__":{"format":"pt"},"model.norm":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"lm_head":{"dtype":"F16","shape":[1],"data_offsets":[4,6]}}"#;
        let renamed = without_prefix(&file(header, b"abcdef"), "model.").unwrap();
        let (header, data) = split(&renamed).unwrap();
        assert_eq!(data, b"abcdef");
        assert_eq!(header.len() % ALIGNMENT, 0);
        let header: Map<String, Value> = serde_json::from_slice(header).unwrap();
        assert_eq!(header.keys().collect::<Vec<_>>(), ["__metadata__", "norm", "lm_head"]);
        assert_eq!(header["norm"]["data_offsets"], serde_json::json!([0, 4]));
    }

    #[test]
    fn what_is_no_such_file_is_an_error() {
        for broken in [
            vec![],
            vec![1, 2, 3],
            file("{}", b"")[..9].to_vec(),
            file("{", b""),
            file("[]", b""),
            [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
            file(r#"{"model.a":{},"a":{}}"#, b""),
        ] {
            let error = without_prefix(&broken, "model.").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{broken:?}");
        }
    }
}
