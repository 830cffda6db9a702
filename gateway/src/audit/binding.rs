//! What a node is held to without anybody's score: that it says how the answer was made, under its
//! signature; that this is what was promised and asked for; that it counts the tokens it sent; and that
//! what it reveals is what it committed itself to. A fail here is certain, and needs no second opinion.

use openapi::commit::{Claim, Commitment, DOMAIN, ids_sha256, logprobs_sha256};
use openapi::evidence::Provenance;
use openapi::gumbel;
use openapi::sign::PublicKey;

use super::Reason;

/// What the answer has to be.
#[derive(Debug, Clone, Copy)]
pub struct Promised<'a> {
    /// The node's, that signs.
    pub key: &'a PublicKey,
    pub weights_id: &'a str,
    /// Absent: the node's offer says nothing of it.
    pub quant: Option<&'a str>,
    pub kv_dtype: Option<&'a str>,
    /// The one sent with the request. Absent: the node was free.
    pub seed: Option<u64>,
    /// Whether the node said that it draws by the canonical sampler.
    pub canonical: bool,
    /// As the node calls the model.
    pub model: &'a str,
    pub request_id: &'a str,
    pub nonce: &'a str,
}

/// Judges a provenance by itself; every answer's, audited or not. `ids`: of all choices.
///
/// # Errors
/// Why it is a fail.
pub fn told(
    provenance: Option<&Provenance>,
    ids: &[Vec<u32>],
    promised: &Promised<'_>,
) -> Result<(), Reason> {
    let provenance = provenance.ok_or(Reason::Provenance)?;
    let (Some(commit), Some(sig)) = (&provenance.commit, &provenance.sig) else {
        return Err(Reason::Provenance);
    };
    promised.key.verify(DOMAIN, commit.as_bytes(), sig).map_err(|_| Reason::Signature)?;
    if provenance.weights_id != promised.weights_id {
        return Err(Reason::Weights);
    }
    let differs = |promised: Option<&str>, told: &str| promised.is_some_and(|word| word != told);
    if differs(promised.quant, &provenance.quant)
        || differs(promised.kv_dtype, &provenance.kv_dtype)
    {
        return Err(Reason::Precision);
    }
    if promised.canonical && provenance.sampler != gumbel::NAME {
        return Err(Reason::Sampler);
    }
    if promised.seed.is_some_and(|seed| seed != provenance.seed) {
        return Err(Reason::Seed);
    }
    let count = ids.iter().map(|ids| ids.len() as u64).sum::<u64>();
    let usage = &provenance.usage;
    if count != usage.completion_tokens
        || usage.prompt_tokens.checked_add(count) != Some(usage.total_tokens)
    {
        return Err(Reason::Count);
    }
    Ok(())
}

/// Whether these claims are what the node committed itself to when it sent these ids. The digest is
/// computed again from what was seen here, so nothing else that is revealed need be looked at.
///
/// # Errors
/// Why it is a fail.
pub fn opened(
    provenance: &Provenance,
    ids: &[Vec<u32>],
    claims: &[Vec<Claim>],
    promised: &Promised<'_>,
) -> Result<(), Reason> {
    let resumed = usize::try_from(provenance.resumed).unwrap_or(usize::MAX);
    let skipped = std::iter::once(resumed).chain(std::iter::repeat(0));
    let told = |((ids, skipped), claims): ((&Vec<u32>, usize), &Vec<Claim>)| {
        ids.len().checked_sub(skipped) == Some(claims.len())
    };
    if ids.len() != claims.len() || !ids.iter().zip(skipped).zip(claims).all(told) {
        return Err(Reason::Commitment);
    }
    let names = (promised.model, promised.request_id, promised.nonce);
    let hashes = (ids_sha256(ids), logprobs_sha256(claims));
    let digest = Commitment::new(provenance, names, hashes).digest();
    match digest {
        Ok(digest) if provenance.commit.as_ref() == Some(&digest) => Ok(()),
        _ => Err(Reason::Commitment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing::{KEY, committed, promised, provenance};
    use openapi::usage::Usage;

    fn broken(change: impl FnOnce(&mut Provenance)) -> Result<(), Reason> {
        let ids = [vec![1, 2, 3]];
        let mut provenance = committed(provenance(3), &ids, &[vec![Claim::default(); 3]]);
        change(&mut provenance);
        told(Some(&provenance), &ids, &promised())
    }

    #[test]
    fn a_provenance_is_held_to_what_was_promised_and_asked_for() {
        assert_eq!(broken(|_| ()), Ok(()));
        assert_eq!(told(None, &[], &promised()), Err(Reason::Provenance));
        assert_eq!(broken(|it| it.commit = None), Err(Reason::Provenance));
        assert_eq!(broken(|it| it.sig = None), Err(Reason::Provenance));
        assert_eq!(broken(|it| it.commit = Some("00".repeat(32))), Err(Reason::Signature));
        assert_eq!(broken(|it| it.weights_id.push('x')), Err(Reason::Weights));
        assert_eq!(broken(|it| it.quant = "q4".to_owned()), Err(Reason::Precision));
        assert_eq!(broken(|it| it.kv_dtype = "q8".to_owned()), Err(Reason::Precision));
        assert_eq!(broken(|it| it.sampler = "own".to_owned()), Err(Reason::Sampler));
        assert_eq!(broken(|it| it.seed += 1), Err(Reason::Seed));
        assert_eq!(broken(|it| it.usage = Usage::new(10, 4)), Err(Reason::Count), "inflated");
        assert_eq!(broken(|it| it.usage.total_tokens += 1), Err(Reason::Count));
    }

    #[test]
    fn what_is_revealed_is_what_was_committed_to() {
        let ids = [vec![1, 2], vec![3]];
        let claim = |lp| Claim { lp, top: vec![(1, lp)] };
        let claims = [vec![claim(-1), claim(-2)], vec![claim(-3)]];
        let told = committed(provenance(3), &ids, &claims);
        let open =
            |ids: &[Vec<u32>], claims: &[Vec<Claim>]| opened(&told, ids, claims, &promised());
        assert_eq!(open(&ids, &claims), Ok(()));
        let mut other = claims.clone();
        other[1][0].lp = -4;
        assert_eq!(open(&ids, &other), Err(Reason::Commitment));
        assert_eq!(open(&[vec![1, 2], vec![4]], &claims), Err(Reason::Commitment));
        assert_eq!(open(&ids, &claims[..1]), Err(Reason::Commitment));
        assert_eq!(open(&ids, &[claims[0].clone(), vec![]]), Err(Reason::Commitment));
        let replayed = Promised { nonce: "another", ..promised() };
        assert_eq!(opened(&told, &ids, &claims, &replayed), Err(Reason::Commitment));
        assert!(KEY.verify(DOMAIN, b"", &told.sig.unwrap()).is_err());
    }

    #[test]
    fn who_goes_on_with_an_answer_answers_for_its_own_tokens() {
        let ids = [vec![1, 2, 3]];
        let claims = [vec![Claim { lp: -5, top: vec![] }]];
        let resumed = Provenance { resumed: 2, ..provenance(3) };
        let told = committed(resumed, &ids, &claims);
        assert_eq!(opened(&told, &ids, &claims, &promised()), Ok(()));
        assert_eq!(super::told(Some(&told), &ids, &promised()), Ok(()));
        let all = [vec![Claim::default(); 3]];
        assert_eq!(opened(&told, &ids, &all, &promised()), Err(Reason::Commitment));
    }
}
