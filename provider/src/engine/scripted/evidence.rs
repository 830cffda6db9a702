//! What a scripted answer is claimed to be, and how a script spoils it. A script is no model: what it
//! claims of a token depends on the token's id alone.

use super::plan;
use super::script::EvidenceFault as Fault;
use crate::engine::Delta;
use openapi::commit::{Claim, thousandths};
use openapi::evidence::Provenance;
use openapi::sign::SecretKey;

/// Of each token of these pieces.
pub(super) fn claims(pieces: &[Delta]) -> Vec<Claim> {
    let ids = pieces.iter().flat_map(|piece| &piece.ids);
    ids.map(|id| Claim { lp: thousandths(plan::value(*id)), top: Vec::new() }).collect()
}

pub(super) fn spoil(fault: Option<Fault>, pieces: &mut [Delta]) {
    for piece in pieces {
        match fault {
            Some(Fault::NoIds) => piece.ids.clear(),
            Some(Fault::OtherIds) => piece.ids.iter_mut().for_each(|id| *id += 1),
            _ => {}
        }
    }
}

/// What stands in the provenance's place.
pub(super) fn comment(fault: Fault) -> Option<&'static [u8]> {
    (fault == Fault::MalformedProvenance)
        .then_some(b": q-provenance {\"weights_id\":\n\n".as_slice())
}

/// What is told of an honest one. Where it has a commitment of its own, no other is made.
pub(super) fn provenance(fault: Option<Fault>, honest: Provenance) -> Option<Provenance> {
    let other = |of: &str| blake3::hash(of.as_bytes()).to_hex().to_string();
    let Some(fault) = fault else { return Some(honest) };
    Some(match fault {
        Fault::NoProvenance | Fault::MalformedProvenance => return None,
        Fault::NoIds | Fault::OtherIds => honest,
        Fault::BadCommitment => {
            let sig = SecretKey::from_seed(&[0x5c; 32]).sign("quorate/none", b"");
            Provenance { commit: Some(other("commitment")), sig: Some(sig), ..honest }
        }
        Fault::NoSignature => Provenance { commit: Some(other("commitment")), ..honest },
        Fault::OtherWeights => {
            Provenance { weights_id: format!("b3:{}", other("weights")), ..honest }
        }
        Fault::OtherPrompt => Provenance { prompt_ids_sha256: other("prompt"), ..honest },
    })
}
