//! Prints an engine's events as OpenAI's answers: whole, or as server-sent events. It starts nothing
//! and decides nothing; the same events give the same answer either way.

mod evidence;
mod live;
mod total;
mod whole;
mod writer;

pub(super) use live::stream;
pub(super) use whole::whole;

use super::request::Plan;

/// Which endpoint's shapes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Chat,
    Text,
}

/// What stays the same through one answer.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    shape: Shape,
    id: String,
    /// Unix seconds.
    created: i64,
    model: String,
}

impl Heading {
    pub(super) fn new(shape: Shape, plan: &Plan, created: i64) -> Self {
        let prefix = match shape {
            Shape::Chat => "chatcmpl",
            Shape::Text => "cmpl",
        };
        let id = format!("{prefix}-{}", uuid::Uuid::now_v7().simple());
        Self { shape, id, created, model: plan.job.model.clone() }
    }
}
