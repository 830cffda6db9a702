//! The memory that request bodies may take together: a few encoded bytes become many, and connections
//! are many. A body takes its share while it is read, and gives it back when the last part of the
//! gateway that holds it lets go.

use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;

/// Shares are counted in this unit.
const UNIT_BYTES: u64 = 1024;

/// What is left for bodies.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// One body's share.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    permit: Option<OwnedSemaphorePermit>,
}

struct Held {
    bytes: Bytes,
    _share: Share,
}

// === impl Budget ===

impl Budget {
    pub fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes / UNIT_BYTES).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// What bodies may still take.
    pub fn left_bytes(&self) -> u64 {
        u64::try_from(self.0.available_permits()).unwrap_or(u64::MAX).saturating_mul(UNIT_BYTES)
    }

    pub(super) fn share(&self) -> Share {
        Share { budget: self.clone(), permit: None }
    }
}

// === impl Share ===

impl Share {
    /// Makes room for a body of `bytes` in all.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), Error> {
        let units = usize::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(usize::MAX);
        let have = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = units.checked_sub(have).filter(|more| *more > 0) else { return Ok(()) };
        let more = u32::try_from(more).map_err(|_| Error::Overloaded)?;
        let semaphore = Arc::clone(&self.budget.0);
        let permit = semaphore.try_acquire_many_owned(more).map_err(|_| Error::Overloaded)?;
        match &mut self.permit {
            Some(have) => have.merge(permit),
            None => self.permit = Some(permit),
        }
        Ok(())
    }

    /// The body, whose last holder gives the share back.
    pub(super) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
