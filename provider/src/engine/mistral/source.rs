//! What an operator may name as a model. A path that is not there is an error here: mistral.rs would
//! take it for a repository and ask a hub on the network for it.

use std::path::{Path, PathBuf};

use super::LoadError;
use crate::model::encoder;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder with safetensors, config.json, tokenizer.json.
    Folder(PathBuf),
    /// One GGUF file.
    Gguf(PathBuf),
    /// `organisation/name` on the Hugging Face hub: goes to the network.
    Hub(String),
}

// === impl ModelSource ===

impl ModelSource {
    /// `hub_allowed`: the operator said that a name may be fetched from the hub.
    pub fn parse(name: &str, hub_allowed: bool) -> Result<Self, LoadError> {
        let path = Path::new(name);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        if path.is_file() {
            let is_gguf =
                path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
            return if is_gguf {
                Ok(Self::Gguf(path.to_owned()))
            } else {
                Err(LoadError::NotAModel(path.to_owned()))
            };
        }
        match name.split_once('/') {
            Some((owner, repository)) if is_name(owner) && is_name(repository) => {
                if hub_allowed {
                    Ok(Self::Hub(name.to_owned()))
                } else {
                    Err(LoadError::HubNotAllowed(name.to_owned()))
                }
            }
            _ => Err(LoadError::NotFound(path.to_owned())),
        }
    }

    /// Whether the files say that it makes embeddings. Of a hub's model only those are known that were
    /// fetched before.
    pub fn is_encoder(&self) -> bool {
        match self {
            Self::Folder(folder) => encoder::is_encoder(folder),
            Self::Gguf(_) => false,
            Self::Hub(name) => {
                hub_folder(&hub_cache(), name).is_some_and(|folder| encoder::is_encoder(&folder))
            }
        }
    }

    /// What is there still, at the moment of loading.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        match self {
            Self::Folder(path) if !path.is_dir() => Err(LoadError::NotFound(path.clone())),
            Self::Gguf(path) if !path.is_file() => Err(LoadError::NotFound(path.clone())),
            _ => Ok(()),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['.', '~'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Where the hub's client keeps a repository's files: `HF_HOME`, or the default.
pub(super) fn hub_folder(cache: &Path, repository: &str) -> Option<PathBuf> {
    let folder = cache.join("hub").join(format!("models--{}", repository.replace('/', "--")));
    let revision = std::fs::read_to_string(folder.join("refs").join("main")).ok()?;
    let folder = folder.join("snapshots").join(revision.trim());
    folder.is_dir().then_some(folder)
}

pub(super) fn hub_cache() -> PathBuf {
    if let Some(home) = std::env::var_os("HF_HOME") {
        return home.into();
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    home.join(".cache").join("huggingface")
}
