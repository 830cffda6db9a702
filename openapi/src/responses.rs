//! Responses: the request as the gateway reads it, the answer, and the events of its stream. What the
//! caller sent and is told again (tools, formats, numbers) is kept as text, so that it comes back as it
//! was written.

mod answer;
mod event;
mod request;

pub use answer::{
    Failure, IncompleteDetails, IncompleteReason, InputTokensDetails, Item, Logprob,
    OutputTokensDetails, Part, ReasoningText, Response, Role, Status, SummaryText, TopLogprob,
    Usage,
};
pub use event::Event;
pub use request::{Format, Input, InputItem, Reasoning, Request, TextConfig, Tool};
