//! Wire types shared by the gateway and the provider: OpenAI's shapes as far as Quorate reads or
//! writes them, and the provider protocol's headers and comments. It owns no behaviour: no server,
//! no client, no clock. The contracts generated from these types are committed beside `src`.

pub mod chat;
pub mod commit;
pub mod completions;
pub mod embeddings;
pub mod error;
pub mod events;
pub mod evidence;
pub mod explain;
pub mod gumbel;
pub mod keys;
pub mod models;
pub mod node;
pub mod nodes;
pub mod receipt;
pub mod responses;
pub mod resume;
pub mod sign;
pub mod usage;
pub mod verification;
pub mod verify;
