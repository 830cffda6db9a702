//! What one upstream must read in other words than the client wrote: the limit of an answer under the
//! one name that it knows, and `developer` as `system`. It guesses nothing: the configuration says.

use bytes::Bytes;
use smallvec::SmallVec;

use super::probe::{Spot, Spots};
use crate::json::{Fault, Kind, Lexer, Span};
use crate::stream::splice::{Edits, replace};

/// Of one upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dialect {
    pub token_limit: TokenLimit,
    pub developer: DeveloperRole,
}

/// The name of the most tokens an answer may have. Never both names: some servers refuse that, others
/// take the wrong one. As at OpenAI, `max_completion_tokens` is the one that holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenLimit {
    #[default]
    AsSent,
    MaxTokens,
    MaxCompletionTokens,
}

/// What a message of the developer is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeveloperRole {
    #[default]
    AsSent,
    System,
}

const MAX_TOKENS: &[u8] = b"\"max_tokens\"";
const MAX_COMPLETION_TOKENS: &[u8] = b"\"max_completion_tokens\"";

// === impl Dialect ===

impl Dialect {
    /// Adds the splices for a chat request, and to `unwanted` the members that must go.
    pub(super) fn translate(
        self,
        body: &Bytes,
        spots: &Spots,
        unwanted: &mut SmallVec<[Span; 4]>,
        edits: &mut Edits,
    ) {
        self.limit(body, spots, unwanted, edits);
        if let (DeveloperRole::System, Some(messages)) = (self.developer, spots.messages) {
            // Read before, so it reads.
            let _ = system(body, messages, edits);
        }
    }

    fn limit(
        self,
        body: &[u8],
        spots: &Spots,
        unwanted: &mut SmallVec<[Span; 4]>,
        edits: &mut Edits,
    ) {
        let set = |spot: &Spot| spot.value.of(body) != b"null";
        let older = spots.max_tokens.filter(set);
        let newer = spots.max_completion_tokens.filter(set);
        let Some(holds) = newer.or(older) else { return };
        let wanted = match self.token_limit {
            TokenLimit::AsSent if newer.is_some() => MAX_COMPLETION_TOKENS,
            TokenLimit::AsSent | TokenLimit::MaxTokens => MAX_TOKENS,
            TokenLimit::MaxCompletionTokens => MAX_COMPLETION_TOKENS,
        };
        let both = [spots.max_tokens, spots.max_completion_tokens];
        let losers = both.into_iter().flatten().filter(|spot| *spot != holds);
        unwanted.extend(losers.map(|spot| Span { start: spot.key, end: spot.value.end }));
        let named = if newer.is_some() { MAX_COMPLETION_TOKENS } else { MAX_TOKENS };
        if named != wanted
            && let Ok(name) = Lexer::resume(body, holds.key, 1).string()
        {
            edits.push(replace(name.quoted(), Bytes::from_static(wanted)));
        }
    }
}

/// Each role that says `developer`.
fn system(body: &[u8], messages: Span, edits: &mut Edits) -> Result<(), Fault> {
    let mut lexer = Lexer::resume(body, messages.start, 1);
    lexer.open_array()?;
    let mut first = true;
    while lexer.item(&mut first)? {
        lexer.open_object()?;
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            if &*key.name(body) != b"role" || lexer.kind()? != Kind::String {
                lexer.skip()?;
                continue;
            }
            let role = lexer.string()?;
            if role.decode(body).is_some_and(|role| role == "developer") {
                edits.push(replace(role.quoted(), Bytes::from_static(b"\"system\"")));
            }
        }
    }
    Ok(())
}
