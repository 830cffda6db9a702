//! Where `up` keeps what it makes: the unpacked model, keys and identities. Never the checkout.

use anyhow::{Context as _, Result, bail};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The data folder, created for its owner alone if it is not there.
///
/// # Errors
/// When none is given and neither `XDG_DATA_HOME` nor `HOME` names one, or it cannot be created.
pub(super) fn open(given: Option<PathBuf>) -> Result<PathBuf> {
    let folder = match given {
        Some(folder) => folder,
        None => default(env::var_os("XDG_DATA_HOME"), env::var_os("HOME"))?,
    };
    create(&folder)
        .with_context(|| format!("cannot create the data folder {}", folder.display()))?;
    // Children run with the same working folder today; an absolute path does not depend on that.
    fs::canonicalize(&folder).with_context(|| format!("cannot open {}", folder.display()))
}

/// Creates a folder below the data folder, for its owner alone.
pub(super) fn create(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// `$XDG_DATA_HOME/quorate`, else `$HOME/.local/share/quorate`. A relative XDG path is ignored, as
/// the XDG specification asks.
fn default(xdg: Option<std::ffi::OsString>, home: Option<std::ffi::OsString>) -> Result<PathBuf> {
    if let Some(xdg) = xdg.map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(xdg.join("quorate"));
    }
    match home.map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(home) => Ok(home.join(".local/share/quorate")),
        None => bail!("neither XDG_DATA_HOME nor HOME is set: name a folder with --data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_home_comes_first() {
        let path = default(Some("/x".into()), Some("/home/a".into())).unwrap();
        assert_eq!(path, Path::new("/x/quorate"));
    }

    #[test]
    fn relative_or_missing_data_home_falls_back_to_home() {
        for xdg in [None, Some("".into()), Some("x".into())] {
            let path = default(xdg, Some("/home/a".into())).unwrap();
            assert_eq!(path, Path::new("/home/a/.local/share/quorate"));
        }
        assert!(default(None, None).is_err());
    }
}
