//! The bundled models: embedded in the binary and unpacked once into the data folder.
//!
//! Owns the folders `models/NAME-HASH`, whose names are made of the files' content, so that another
//! version of the binary unpacks beside it and never over it. Refuses to serve a copy that differs
//! from the embedded bytes: such a copy is replaced.

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use std::{
    borrow::Cow,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

const CONFIG: &[u8] = include_bytes!("../../models/pip/config.json");
const WEIGHTS: &[u8] = include_bytes!("../../models/pip/model.safetensors");

/// A model's files, and the name clients ask for.
#[derive(Debug)]
pub(super) struct Bundled {
    pub(super) id: &'static str,
    /// Each file's name and content.
    files: Vec<(&'static str, Cow<'static, [u8]>)>,
}

/// The one that answers.
pub(super) fn pip() -> Bundled {
    let files: [(&str, &[u8]); 5] = [
        ("config.json", CONFIG),
        ("generation_config.json", include_bytes!("../../models/pip/generation_config.json")),
        ("model.safetensors", WEIGHTS),
        ("tokenizer.json", include_bytes!("../../models/pip/tokenizer.json")),
        ("tokenizer_config.json", include_bytes!("../../models/pip/tokenizer_config.json")),
    ];
    let files = files.map(|(name, bytes)| (name, bytes.into()));
    Bundled { id: "pip", files: files.into() }
}

/// The one that makes embeddings, of the same weights.
///
/// # Errors
/// When the embedded weights cannot be read, which would be our own mistake.
pub(super) fn pip_embed() -> Result<Bundled> {
    let weights = provider::weights::without_prefix(WEIGHTS, "model.")?;
    let files: [(&str, &[u8]); 4] = [
        ("1_Pooling/config.json", include_bytes!("../../models/pip-embed/1_Pooling/config.json")),
        ("config.json", CONFIG),
        ("modules.json", include_bytes!("../../models/pip-embed/modules.json")),
        ("tokenizer.json", include_bytes!("../../models/pip-embed/tokenizer.json")),
    ];
    let files = files.into_iter().map(|(name, bytes)| (name, Cow::from(bytes)));
    let files = files.chain([("model.safetensors", weights.into())]).collect();
    Ok(Bundled { id: "pip-embed", files })
}

// === impl Bundled ===

impl Bundled {
    /// The folder with the model's files, unpacked below `data` if it is not there or not whole.
    ///
    /// # Errors
    /// When the data folder cannot be written.
    pub(super) fn unpack(&self, data: &Path) -> Result<PathBuf> {
        let parent = data.join("models");
        let cannot = |what: &str| format!("cannot {what} {}", parent.display());
        fs::create_dir_all(&parent).with_context(|| cannot("create"))?;
        let folder = parent.join(format!("{}-{}", self.id, self.content_hash()));
        if self.is_whole(&folder) {
            return Ok(folder);
        }
        // Written beside and renamed: another `up` never sees half a model.
        let staged = tempfile::Builder::new().prefix(".unpack-").tempdir_in(&parent)?;
        for (name, bytes) in &self.files {
            let file = staged.path().join(name);
            let made = file.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(&file, bytes))
                .with_context(|| cannot(&format!("unpack {name} into")))?;
        }
        self.install(staged, &folder)?;
        Ok(folder)
    }

    /// Puts the staged folder in its place, unless another process was faster.
    fn install(&self, staged: tempfile::TempDir, folder: &Path) -> Result<()> {
        match fs::rename(staged.path(), folder) {
            Ok(()) => {
                // The folder has moved: its guard must not look for it.
                let _moved = staged.keep();
                Ok(())
            }
            Err(_) if self.is_whole(folder) => Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
                ) =>
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
    fn is_whole(&self, folder: &Path) -> bool {
        self.files
            .iter()
            .all(|(name, bytes)| fs::read(folder.join(name)).is_ok_and(|found| found == **bytes))
    }

    /// The first 16 hexadecimal digits of a SHA-256 over names, lengths and contents.
    fn content_hash(&self) -> String {
        let mut hash = Sha256::new();
        for (name, bytes) in &self.files {
            hash.update(name.as_bytes());
            hash.update([0]);
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        }
        let mut digits = hex::encode(hash.finalize());
        digits.truncate(16);
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_once_and_mends_a_damaged_copy() {
        for model in [pip(), pip_embed().unwrap()] {
            unpacks_and_mends(&model);
        }
    }

    fn unpacks_and_mends(model: &Bundled) {
        let data = tempfile::tempdir().unwrap();
        let folder = model.unpack(data.path()).unwrap();
        assert!(model.is_whole(&folder));
        let first = fs::metadata(folder.join("config.json")).unwrap().modified().unwrap();
        assert_eq!(model.unpack(data.path()).unwrap(), folder);
        let second = fs::metadata(folder.join("config.json")).unwrap().modified().unwrap();
        assert_eq!(first, second, "a whole copy is left alone");

        fs::write(folder.join("config.json"), "{").unwrap();
        assert_eq!(model.unpack(data.path()).unwrap(), folder);
        assert!(model.is_whole(&folder));
        let entries = fs::read_dir(data.path().join("models")).unwrap().count();
        assert_eq!(entries, 1, "nothing staged is left behind");
    }

    /// `models/sha256sums` names every committed file of the models, and each one matches.
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
        for folder in ["pip", "impostor", "pip-embed", "pip-embed/1_Pooling"] {
            for entry in fs::read_dir(models.join(folder)).unwrap() {
                let entry = entry.unwrap();
                let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
                if entry.file_type().unwrap().is_dir() {
                    assert_eq!(name, "pip-embed/1_Pooling");
                    continue;
                }
                assert!(named.contains(&name), "{name} is in no line of sha256sums");
            }
        }
    }
}
