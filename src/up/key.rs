//! The development key: what a client of `quorate up` authenticates with.
//!
//! Made once and kept in `dev_key` of the data folder, readable by its owner alone. Refuses a file
//! that does not hold a key of ours rather than replacing what someone may have put there.

use anyhow::{Context as _, Result, bail};
use std::{fs, io::Write as _, path::Path};

const FILE: &str = "dev_key";
const PREFIX: &str = "qk_";
const DIGITS: usize = 64;

/// The key kept below `data`, made on the first call.
///
/// # Errors
/// When the file cannot be read or written, or holds no key.
pub(super) fn load_or_create(data: &Path) -> Result<String> {
    let path = data.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(data, &path),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(path: &Path, text: &str) -> Result<String> {
    let key = text.trim();
    let digits = key.strip_prefix(PREFIX).unwrap_or_default();
    if digits.len() != DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        bail!(
            "{} does not hold a key ({PREFIX} and {DIGITS} hexadecimal digits); \
             remove it to have a new one made",
            path.display()
        );
    }
    Ok(key.to_owned())
}

fn create(data: &Path, path: &Path) -> Result<String> {
    let mut random = [0_u8; DIGITS / 2];
    getrandom::fill(&mut random).context("the system gives no random numbers")?;
    let key = format!("{PREFIX}{}", hex::encode(random));
    // A named temporary file is created with mode 0600, and never seen half written.
    let mut file = tempfile::NamedTempFile::new_in(data)
        .with_context(|| format!("cannot write into {}", data.display()))?;
    writeln!(file, "{key}")?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(key),
        // Another `up` was faster: its key is the one that counts.
        Err(_) if path.exists() => parse(path, &fs::read_to_string(path)?),
        Err(error) => Err(error.error).with_context(|| format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_kept_for_its_owner_alone() {
        let data = tempfile::tempdir().unwrap();
        let key = load_or_create(data.path()).unwrap();
        assert!(key.starts_with("qk_") && key.len() == 3 + 64, "{key}");
        assert_eq!(load_or_create(data.path()).unwrap(), key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(data.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_with_something_else_is_left_alone() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join(FILE), "hello\n").unwrap();
        let error = load_or_create(data.path()).unwrap_err().to_string();
        assert!(error.contains("does not hold a key"), "{error}");
        assert_eq!(fs::read_to_string(data.path().join(FILE)).unwrap(), "hello\n");
    }
}
