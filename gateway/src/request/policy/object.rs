//! A member of the body that is ours, as JSON: typed, nothing unknown, nothing doubled.

use serde::de::DeserializeOwned;

use super::{Error, TEXT_BYTES_MAX};

/// Reads the object `text`; errors name the member at fault below `root`.
pub(super) fn read<T: DeserializeOwned>(root: &str, text: &str) -> Result<T, Error> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("Invalid '{root}': longer than {TEXT_BYTES_MAX} bytes.");
        return Err(Error::member(root, message));
    }
    // A struct is read from an array too, by position.
    if !text.trim_start().starts_with('{') {
        let message = format!("Invalid type for '{root}': expected an object.");
        return Err(Error::member(root, message));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| fault(root, &error))
}

/// What serde found, below `root`.
pub(super) fn fault<E: std::fmt::Display>(
    root: &str,
    error: &serde_path_to_error::Error<E>,
) -> Error {
    let path = error.path().to_string();
    let param = if path == "." { root.to_owned() } else { format!("{root}.{path}") };
    let text = error.inner().to_string();
    // serde_json counts lines within the member, which is nothing to a client.
    let what = text.split(" at line ").next().unwrap_or_default();
    let message = format!("Invalid value for '{param}': {what}.");
    Error::member(param, message)
}
