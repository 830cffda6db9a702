//! Apple's graphics share the machine's memory; what there is to know is the chip's name.

use super::{CARDS_MAX, Card};
use std::process::Command;

pub(super) fn cards(memory_bytes: u64) -> Vec<Card> {
    let output = Command::new("/usr/sbin/system_profiler").arg("SPDisplaysDataType").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("Chipset Model:"));
    // Shared memory counts once.
    let card = |(index, name): (usize, &str)| Card {
        name: name.trim().to_owned(),
        memory_bytes: if index == 0 { memory_bytes } else { 0 },
    };
    names.take(CARDS_MAX as usize).enumerate().map(card).collect()
}
