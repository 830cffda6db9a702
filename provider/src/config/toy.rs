//! The test engine's part of the configuration: `[engine] kind = "toy"`, and `[toy]` with `weights` (a name),
//! `quant`, `noise`, `machine`, `build`, `token_delay_ms`, `cheat` and `cheat_share`.

use std::time::Duration;

use super::Engine;
use super::engine::Common;
use super::read::{Faults, Section};
use crate::engine::toy::{Cheat, Options, Quant};

const NOISE_MAX: f64 = 10.0;
const MACHINE_MAX: u64 = 1 << 32;

/// `None` only with at least one fault.
pub(super) fn read(mut section: Section, common: Common, faults: &mut Faults) -> Option<Engine> {
    let absent = Options::default();
    let quant = section.text("quant", faults).map(|name| {
        Quant::of(&name).or_else(|| {
            faults.add("toy.quant", "must be f32, q8_0, fp8, q4_k_m or q3_k_m");
            None
        })
    });
    let cheat = section.text("cheat", faults).map(|name| {
        Cheat::of(&name).or_else(|| {
            let names: Vec<&str> = Cheat::names().collect();
            faults.add("toy.cheat", format!("must be one of {}", names.join(", ")));
            None
        })
    });
    let delay = section.number("token_delay_ms", 0..=60_000, faults);
    #[expect(clippy::cast_possible_truncation, reason = "of a number of at most 10")]
    let noise = section.real("noise", 0.0..=NOISE_MAX, faults).unwrap_or_default() as f32;
    let options = Options {
        id: common.id.or(common.model).unwrap_or(absent.id),
        created: 0,
        max_concurrent: common.max_concurrent.unwrap_or(absent.max_concurrent),
        weights: section.text("weights", faults).unwrap_or(absent.weights),
        quant: quant.flatten().unwrap_or_default(),
        noise,
        machine: section.number("machine", 0..=MACHINE_MAX, faults).unwrap_or_default(),
        build: section.text("build", faults),
        token_delay: delay.map_or(Duration::ZERO, Duration::from_millis),
        cheat: cheat.flatten(),
        cheat_share: section.real("cheat_share", 0.0..=1.0, faults).unwrap_or(1.0),
    };
    section.finish(faults);
    Some(Engine::Toy(Box::new(options)))
}
