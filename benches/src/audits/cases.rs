//! Who is planted: cheaters, each in one way, and honest nodes under all that makes honest nodes look odd.

use provider::engine::toy::{Cheat, Options, Quant};

use super::Kind;

/// What a machine's arithmetic adds to a logit, as in bf16.
const ROUNDING: f32 = 0.03;
/// Another engine's kernels.
const OTHER_KERNELS: f32 = 0.08;

/// One market: node 0 writes, the others score.
#[derive(Debug, Clone)]
pub struct Scene {
    pub name: &'static str,
    pub writer: Options,
    /// In the place of the first of the honest scorers.
    pub scorer: Option<Options>,
    pub kind: Kind,
    /// Whether the profile in force is calibrated.
    pub is_calibrated: bool,
    /// Who is to be found.
    pub subject: Subject,
    pub requests_max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Writer,
    Scorer,
    /// Nobody is to be found; everything is audited.
    Nobody,
}

// === impl Scene ===

impl Scene {
    fn new(name: &'static str, subject: Subject) -> Self {
        Self {
            name,
            writer: machine(1),
            scorer: None,
            kind: Kind::Chat,
            is_calibrated: false,
            subject,
            requests_max: 300,
        }
    }

    fn cheater(name: &'static str, cheat: Cheat) -> Self {
        let mut scene = Self::new(name, Subject::Writer);
        scene.writer.cheat = Some(cheat);
        scene
    }

    fn control(name: &'static str) -> Self {
        Self { requests_max: 1000, ..Self::new(name, Subject::Nobody) }
    }

    fn scorer(name: &'static str, cheat: Cheat) -> Self {
        let scorer = Options { cheat: Some(cheat), ..machine(9) };
        Self { scorer: Some(scorer), ..Self::new(name, Subject::Scorer) }
    }
}

/// An honest node.
pub(super) fn machine(number: u64) -> Options {
    Options { noise: ROUNDING, machine: number, ..Options::default() }
}

/// All of them, in the order of the table.
pub fn scenes() -> Vec<Scene> {
    let mut scenes = vec![
        Scene::cheater("wrong model", Cheat::WrongModel),
        Scene::cheater("pre-fill attack", Cheat::Prefill),
        Scene::cheater("q4 sold as full", Cheat::Q4),
        Scene::cheater("q8 sold as full", Cheat::Q8),
        Scene { is_calibrated: true, ..Scene::cheater("q4, calibrated", Cheat::Q4) },
        Scene { is_calibrated: true, ..Scene::cheater("q8, calibrated", Cheat::Q8) },
        Scene::cheater("truncated", Cheat::Truncated),
        Scene::cheater("canned", Cheat::Canned),
        Scene::cheater("dropped system prompt", Cheat::DroppedSystemPrompt),
        Scene::cheater("dropped, and hidden", Cheat::HiddenSystemPrompt),
        Scene::cheater("inflated count", Cheat::InflatedCount),
        Scene::cheater("split tokens", Cheat::SplitTokens),
        Scene::cheater("ids of another text", Cheat::OtherIds),
        Scene::cheater("forged logprobs", Cheat::ForgedLogprobs),
        Scene::cheater("ignores temperature", Cheat::IgnoresTemperature),
        Scene::cheater("ignores seed", Cheat::IgnoresSeed),
    ];
    let mut on_off = Scene::cheater("on-off 10 %", Cheat::WrongModel);
    (on_off.writer.cheat_share, on_off.requests_max) = (0.1, 6000);
    scenes.push(on_off);
    scenes.push(Scene::scorer("lazy scorer, constant", Cheat::LazyConstant));
    scenes.push(Scene::scorer("lazy scorer, random", Cheat::LazyRandom));
    let mut colluding = Scene::scorer("colluding scorer", Cheat::Colluding);
    // Its friends come one after the other, as they are sent away.
    colluding.writer.cheat = Some(Cheat::WrongModel);
    scenes.push(colluding);
    scenes.push(Scene::control("honest: rounding"));
    let mut cross = Scene::control("honest: another engine");
    (cross.writer.build, cross.writer.noise) = (Some("other".to_owned()), OTHER_KERNELS);
    scenes.push(cross);
    scenes.push(Scene { kind: Kind::Grammar, ..Scene::control("honest: grammar") });
    scenes.push(Scene {
        kind: Kind::Broken,
        ..Scene::control("honest: goes on for one that broke off")
    });
    scenes.push(Scene { is_calibrated: true, ..Scene::control("honest: calibrated profile") });
    scenes
}

/// What the profile of honest nodes is calibrated against.
pub(super) fn next_lower() -> Options {
    Options { cheat: Some(Cheat::Q8), quant: Quant::F32, ..machine(1) }
}
