//! OpenAI's Responses API on top of chat completions: a request becomes a chat request, a whole chat
//! answer becomes a Response, a chat stream becomes the stream of a Response's events. Stateless: what
//! needs a store, a tool run by the server, or a template is refused by name. Pure: bytes in, bytes
//! out. It refuses sockets, clocks, randomness, and any reading of what it need not translate.

mod answer;
mod chunk;
mod echo;
mod error;
mod events;
mod node;
mod origin;
mod print;
mod request;
mod text;
mod turn;

pub use answer::whole;
pub use echo::Frame;
pub use error::Error;
pub use events::Events;
pub use origin::Origins;
pub use request::{Translated, translate};
