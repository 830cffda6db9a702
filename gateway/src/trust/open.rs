//! The first half of a check, which needs nobody's model: what the node told with its answer holds, and it
//! shows what it committed itself to.

use openapi::verify::Revealed;
use std::time::Duration;

use super::case::{Case, occasion, promised, request_id};
use crate::audit::draw::Draw;
use crate::audit::{Reason, binding};
use crate::upstream::{self, Answered, Question, ask};

/// For a node to show what it committed itself to.
const LIMIT: Duration = Duration::from_secs(10);
/// Twenty log-probabilities of so many tokens as an answer may have, as JSON.
const BYTES_MAX: usize = 64 << 20;
/// A node that does not show it the first time is asked so often: connections break.
const TRIES: usize = 2;

/// How it ends.
pub(super) enum Opened {
    Case(Box<Case>),
    /// The node's own word is against it.
    Fault(Answered, Reason),
    /// Nothing can be said.
    Unknown(Answered, &'static str),
}

pub(super) async fn open(context: &upstream::Context, draw: &Draw, answered: Answered) -> Opened {
    let provenance = answered.progress.provenance.clone();
    let ids = answered.progress.ids.as_slice();
    let Some(promised) = promised(&answered) else {
        return Opened::Unknown(answered, "the node has left, or sells weights that nobody names");
    };
    if let Err(reason) = binding::told(provenance.as_ref(), ids, &promised) {
        return Opened::Fault(answered, reason);
    }
    let Some(provenance) = provenance else { return Opened::Fault(answered, Reason::Provenance) };
    let revealed = match revealed(context, &answered).await {
        Ok(revealed) => revealed,
        // Who is gone cannot show anything; who is there and does not, hides it.
        Err(_) if answered.member.is_open(context.time.now(), Duration::ZERO) => {
            return Opened::Fault(answered, Reason::Withheld);
        }
        Err(_) => return Opened::Unknown(answered, "the node has left"),
    };
    if let Err(reason) = binding::opened(&provenance, ids, &revealed.choices, &promised) {
        return Opened::Fault(answered, reason);
    }
    let choice = answered.checkable.choice as usize;
    let tokens = ids.get(choice).map_or(0, Vec::len);
    let positions = draw.positions(&occasion(&answered.job), tokens);
    match Case::new(answered, provenance, revealed.choices, positions) {
        Ok(case) => Opened::Case(Box::new(case)),
        Err(answered) => Opened::Unknown(*answered, "its text has no digest"),
    }
}

async fn revealed(
    context: &upstream::Context,
    answered: &Answered,
) -> Result<Revealed, upstream::Error> {
    let Some(offer) = &answered.offer else { return Err(upstream::Error::Gone) };
    let path = path(request_id(answered));
    let mut tried = 0;
    loop {
        let question = Question {
            path: &path,
            body: None::<&()>,
            nonce: Some(&answered.nonce),
            bytes_max: BYTES_MAX,
            limit: LIMIT,
        };
        match ask(context, offer, question).await {
            Ok(revealed) => return Ok(revealed),
            Err(error) => {
                tried += 1;
                if tried >= TRIES {
                    return Err(error);
                }
            }
        }
    }
}

/// A client may have named the request, with any visible character.
fn path(request_id: &str) -> String {
    let mut path = String::from("/v1/verify/evidence/");
    for byte in request_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_clients_name_for_a_request_is_one_part_of_the_path() {
        assert_eq!(super::path("a-1/../?x"), "/v1/verify/evidence/a-1%2F%2E%2E%2F%3Fx");
    }
}
