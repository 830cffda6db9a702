//! The bundled model: embedded in the binary and unpacked once into the data folder.
//!
//! Owns the folder `models/pip-HASH`, whose name is made of the files' content, so that another
//! version of the binary unpacks beside it and never over it. Refuses to serve a copy that differs
//! from the embedded bytes: such a copy is replaced.

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The name clients ask for.
pub(super) const ID: &str = "pip";

/// Each file's name and content.
const FILES: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../../models/pip/config.json")),
    ("generation_config.json", include_bytes!("../../models/pip/generation_config.json")),
    ("model.safetensors", include_bytes!("../../models/pip/model.safetensors")),
    ("tokenizer.json", include_bytes!("../../models/pip/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../models/pip/tokenizer_config.json")),
];

/// The folder with the model's files, unpacked below `data` if it is not there or not whole.
///
/// # Errors
/// When the data folder cannot be written.
pub(super) fn unpack(data: &Path) -> Result<PathBuf> {
    let parent = data.join("models");
    fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let folder = parent.join(format!("{ID}-{}", content_hash()));
    if is_whole(&folder) {
        return Ok(folder);
    }
    // Written beside and renamed: another `up` never sees half a model.
    let staged = tempfile::Builder::new().prefix(".unpack-").tempdir_in(&parent)?;
    for (name, bytes) in FILES {
        fs::write(staged.path().join(name), bytes)
            .with_context(|| format!("cannot unpack {name} into {}", parent.display()))?;
    }
    install(staged, &folder)?;
    Ok(folder)
}

/// Puts the staged folder in its place, unless another process was faster.
fn install(staged: tempfile::TempDir, folder: &Path) -> Result<()> {
    match fs::rename(staged.path(), folder) {
        Ok(()) => {
            // The folder has moved: its guard must not look for it.
            let _moved = staged.keep();
            Ok(())
        }
        Err(_) if is_whole(folder) => Ok(()),
        Err(error)
            if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) =>
        {
            fs::remove_dir_all(folder)
                .with_context(|| format!("cannot remove the damaged {}", folder.display()))?;
            fs::rename(staged.path(), folder)
                .with_context(|| format!("cannot replace {}", folder.display()))?;
            let _moved = staged.keep();
            Ok(())
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot unpack into {}", folder.display()))
        }
    }
}

/// Whether every file is there, byte for byte.
fn is_whole(folder: &Path) -> bool {
    FILES.iter().all(|(name, bytes)| fs::read(folder.join(name)).is_ok_and(|found| found == *bytes))
}

/// The first 16 hexadecimal digits of a SHA-256 over names, lengths and contents.
fn content_hash() -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in FILES {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    }
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(16);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_once_and_mends_a_damaged_copy() {
        let data = tempfile::tempdir().unwrap();
        let folder = unpack(data.path()).unwrap();
        assert!(is_whole(&folder));
        let first = fs::metadata(folder.join("config.json")).unwrap().modified().unwrap();
        assert_eq!(unpack(data.path()).unwrap(), folder);
        let second = fs::metadata(folder.join("config.json")).unwrap().modified().unwrap();
        assert_eq!(first, second, "a whole copy is left alone");

        fs::write(folder.join("config.json"), "{").unwrap();
        assert_eq!(unpack(data.path()).unwrap(), folder);
        assert!(is_whole(&folder));
        let entries = fs::read_dir(data.path().join("models")).unwrap().count();
        assert_eq!(entries, 1, "nothing staged is left behind");
    }

    /// `models/sha256sums` names every committed file of both models, and each one matches.
    #[test]
    fn committed_models_match_their_sums() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let sums = fs::read_to_string(models.join("sha256sums")).unwrap();
        let mut named = Vec::new();
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            let found = hex::encode(Sha256::digest(fs::read(models.join(name)).unwrap()));
            assert_eq!(found, sum, "{name}");
            named.push(name.to_owned());
        }
        for folder in ["pip", "impostor"] {
            for entry in fs::read_dir(models.join(folder)).unwrap() {
                let name = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
                assert!(named.contains(&name), "{name} is in no line of sha256sums");
            }
        }
    }
}
