//! Chat completions: the request as a provider reads it, the answer, and the streamed chunk.
//! The gateway relays bytes and reads only the members it acts on; these types are for what is
//! written here and for the contract.

mod answer;
mod request;

pub use answer::{
    AnswerMessage, Choice, Chunk, ChunkChoice, Delta, FinishReason, FunctionCall, FunctionDelta,
    Logprobs, Response, TokenLogprob, ToolCall, ToolCallDelta, TopLogprob,
};
pub use request::{
    Content, ContentPart, FunctionDefinition, JsonSchemaFormat, Message, Request, ResponseFormat,
    Stop, StreamOptions, Tool, ToolChoice,
};
