//! NVIDIA's cards, as the driver's own library tells. Without a driver there are none.

use super::{CARDS_MAX, Card};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

pub(super) fn cards(_: u64) -> Vec<Card> {
    match read() {
        Ok(cards) => cards,
        Err(error) => {
            tracing::debug!(%error, "no NVIDIA driver");
            Vec::new()
        }
    }
}

fn read() -> Result<Vec<Card>, NvmlError> {
    let driver = Nvml::init()?;
    let card = |index| {
        let device = driver.device_by_index(index)?;
        Ok(Card { name: device.name()?, memory_bytes: device.memory_info()?.total })
    };
    (0..driver.device_count()?.min(CARDS_MAX)).map(card).collect()
}
