//! What this machine is made of, as it says itself: processor, memory, cards. It measures no speed
//! and needs no right; what can't be found out is left empty.

#[cfg(target_os = "macos")]
mod metal;
#[cfg(not(target_os = "macos"))]
mod nvidia;

use openapi::node::Hardware;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

#[cfg(target_os = "macos")]
use metal::cards;
#[cfg(not(target_os = "macos"))]
use nvidia::cards;

/// A graphics card's name and memory in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Card {
    name: String,
    memory_bytes: u64,
}

/// More are not told.
const CARDS_MAX: u32 = 64;

/// Looks once; takes some milliseconds and may block. `backend`: what the engine computes on.
pub fn look(backend: &str) -> Hardware {
    let what = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let cards = cards(system.total_memory());
    Hardware {
        platform: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS),
        cpu: system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default(),
        cores: u32::try_from(system.cpus().len()).unwrap_or(u32::MAX),
        memory_bytes: system.total_memory(),
        gpu_memory_bytes: cards
            .iter()
            .fold(0, |sum: u64, card| sum.saturating_add(card.memory_bytes)),
        gpus: cards.into_iter().map(|card| card.name).collect(),
        backend: backend.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_memory() {
        let hardware = look("cpu");
        assert!(hardware.cores > 0 && hardware.memory_bytes > 1 << 20, "{hardware:?}");
        assert_eq!(hardware.backend, "cpu");
        assert_eq!(hardware.gpus.is_empty(), hardware.gpu_memory_bytes == 0);
    }
}
