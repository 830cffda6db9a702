//! An f32 that several threads read and write, in the bits of an integer.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[derive(Debug, Default)]
pub(super) struct AtomicF32(AtomicU32);

impl AtomicF32 {
    pub(super) fn new(value: f32) -> Self {
        Self(AtomicU32::new(value.to_bits()))
    }

    pub(super) fn load(&self) -> f32 {
        f32::from_bits(self.0.load(Relaxed))
    }

    pub(super) fn store(&self, value: f32) {
        self.0.store(value.to_bits(), Relaxed);
    }

    /// Returns what it is now. `change` may run several times.
    pub(super) fn update(&self, change: impl Fn(f32) -> f32) -> f32 {
        let next = |bits| Some(change(f32::from_bits(bits)).to_bits());
        match self.0.fetch_update(Relaxed, Relaxed, next) {
            Ok(before) | Err(before) => change(f32::from_bits(before)),
        }
    }
}
