//! What names a model's weights: `b3:` and BLAKE3 over the sorted (name, BLAKE3) of its weight
//! files. Two folders with the same weights have one name, wherever they lie.

mod names;

pub use names::without_prefix;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The weight files of a model: those of a folder by their ending, or the one file itself. Sorted.
pub fn files(model: &Path) -> io::Result<Vec<PathBuf>> {
    if model.is_file() {
        return Ok(vec![model.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(model)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("safetensors" | "gguf")) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads every weight file once: seconds for a large model. An error where there are none.
///
/// Hashed, per file in the order of names: the name's length as u64, little-endian, the name, and
/// the 32 bytes of the file's BLAKE3.
pub fn id(model: &Path) -> io::Result<String> {
    let files = files(model)?;
    if files.is_empty() {
        let message = format!("{}: no .safetensors or .gguf file", model.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    let mut named: Vec<(String, blake3::Hash)> = Vec::with_capacity(files.len());
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(&file)?)?;
        named.push((name, hasher.finalize()));
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = blake3::Hasher::new();
    for (name, digest) in &named {
        hasher.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(digest.as_bytes());
    }
    Ok(format!("b3:{}", hasher.finalize().to_hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_follows_bytes_and_names_alone() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &two] {
            std::fs::write(folder.path().join("b.safetensors"), "bb").unwrap();
            std::fs::write(folder.path().join("a.safetensors"), "aa").unwrap();
        }
        std::fs::write(two.path().join("config.json"), "{}").unwrap();
        let first = id(one.path()).unwrap();
        assert!(first.starts_with("b3:") && first.len() == 67);
        assert_eq!(first, id(two.path()).unwrap());
        std::fs::write(two.path().join("a.safetensors"), "ab").unwrap();
        assert_ne!(first, id(two.path()).unwrap());
        std::fs::rename(one.path().join("a.safetensors"), one.path().join("c.safetensors"))
            .unwrap();
        assert_ne!(first, id(one.path()).unwrap());
    }

    #[test]
    fn a_folder_without_weights_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(id(folder.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(id(&folder.path().join("missing")).is_err());
    }
}
