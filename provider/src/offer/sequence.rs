//! The offer's number, which only goes up: the clock's milliseconds or one more than the last, so
//! that neither a clock set back nor a lost file makes it go down. Kept before it is used.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

#[derive(Debug)]
pub struct Sequence {
    last: u64,
    /// Where the last one is kept; absent: in memory.
    file: Option<PathBuf>,
}

impl Sequence {
    /// Goes on where the file ends; a file with anything else in it is refused.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn open(file: PathBuf) -> io::Result<Self> {
        let last = match fs::read_to_string(&file) {
            Ok(text) => text.trim().parse().map_err(|_| {
                let message = format!("{} holds no number", file.display());
                io::Error::new(io::ErrorKind::InvalidData, message)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { last, file: Some(file) })
    }

    /// Kept nowhere.
    pub fn passing() -> Self {
        Self { last: 0, file: None }
    }

    /// The next number.
    ///
    /// # Errors
    /// It can't be kept; then it is not used either.
    pub fn next(&mut self, now_ms: i64) -> io::Result<u64> {
        let next = self.last.saturating_add(1).max(u64::try_from(now_ms).unwrap_or(0));
        if let Some(file) = &self.file {
            let draft = file.with_extension("new");
            let mut open = fs::File::create(&draft)?;
            writeln!(open, "{next}")?;
            open.sync_all()?;
            fs::rename(&draft, file)?;
        }
        self.last = next;
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_up_over_restarts_and_with_a_clock_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("offer_sequence");
        let mut sequence = Sequence::open(file.clone()).unwrap();
        assert_eq!(
            [1_000, 1_000, 10].map(|now| sequence.next(now).unwrap()),
            [1_000, 1_001, 1_002]
        );
        let mut again = Sequence::open(file.clone()).unwrap();
        assert_eq!([20, 5_000].map(|now| again.next(now).unwrap()), [1_003, 5_000]);
        fs::write(&file, "many").unwrap();
        assert!(Sequence::open(file).is_err());
    }

    #[test]
    fn a_number_that_can_t_be_kept_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let mut sequence = Sequence::open(folder.path().join("gone/offer_sequence")).unwrap();
        assert!(sequence.next(7).is_err());
        assert_eq!(sequence.last, 0);
    }
}
