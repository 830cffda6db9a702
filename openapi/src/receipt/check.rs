//! Whether a receipt holds, and what does not: pure, offline, and without trust in whoever served it.
//! It reads the text strictly, so that no byte of it can change its meaning unnoticed.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Claims, DOMAIN, OBJECT, Opening, Proof, Receipt, VERSION, canonical, merkle, salted};
use crate::commit;
use crate::sign::PublicKey;

/// What a receipt is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// The request's body.
    pub request: Option<&'a [u8]>,
    /// The answer's body.
    pub response: Option<&'a [u8]>,
    /// The gateway's keys that are trusted.
    pub keys: &'a [PublicKey],
}

/// What is looked at, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Claims,
    Path,
    Signature,
    Key,
    Opening,
    Request,
    Response,
    Node,
}

const PARTS: [Part; 8] = [
    Part::Claims,
    Part::Path,
    Part::Signature,
    Part::Key,
    Part::Opening,
    Part::Request,
    Part::Response,
    Part::Node,
];

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("this is no receipt: {0}")]
    Form(String),
    #[error("the receipt is of version {0}, and only version {VERSION} can be checked")]
    Version(u64),
    #[error("the claims are not those that were signed for: their hash is not the proof's leaf")]
    Claims,
    #[error("the path does not lead from the leaf to the signed root")]
    Path,
    #[error("the signature over the batch's root does not fit: {0}")]
    Signature(String),
    #[error("the key {0} is none of those that are trusted")]
    Key(PublicKey),
    #[error("the opening does not fit the claims: salt or hash of the {0} was changed")]
    Opening(&'static str),
    #[error("there is no opening, so the {0} can't be compared")]
    NotOpened(&'static str),
    #[error("the request is another one: {0}")]
    Request(String),
    #[error("the answer is another one: {0}")]
    Response(String),
    #[error("the provider's signature over its commitment does not fit")]
    Node,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    pub part: Part,
    /// `None`: nothing to compare with.
    pub result: Option<Result<(), Fault>>,
}

/// All that was looked at.
#[derive(Debug, Clone)]
pub struct Report {
    pub claims: Claims,
    pub trials: Vec<Trial>,
}

/// Looks at everything a receipt says.
///
/// # Errors
/// The text is no receipt.
pub fn check(text: &[u8], given: &Given<'_>) -> Result<Report, Fault> {
    let read = read(text)?;
    let trials =
        PARTS.iter().map(|&part| Trial { part, result: read.tried(part, given) }).collect();
    Ok(Report { trials, claims: read.receipt.claims })
}

/// Whether all that can be looked at fits.
///
/// # Errors
/// The first thing that does not.
pub fn verify(
    receipt: &[u8],
    request: Option<&[u8]>,
    response: Option<&[u8]>,
    keys: &[PublicKey],
) -> Result<Claims, Fault> {
    let given = Given { request, response, keys };
    let read = read(receipt)?;
    PARTS.iter().filter_map(|&part| read.tried(part, &given)).collect::<Result<(), Fault>>()?;
    Ok(read.receipt.claims)
}

struct Read {
    receipt: Receipt,
    /// Hash of the claims as they are written, members this version does not know included.
    leaf: merkle::Hash,
}

fn read(text: &[u8]) -> Result<Read, Fault> {
    let form = |error: &dyn std::fmt::Display| Fault::Form(error.to_string());
    let value = canonical::read(text).map_err(|error| form(&error))?;
    let claims = value.get("claims").unwrap_or(&Value::Null);
    match claims.get("version").and_then(Value::as_u64) {
        Some(version) if version != u64::from(VERSION) => return Err(Fault::Version(version)),
        _ => {}
    }
    let leaf = merkle::leaf(canonical::print(claims).map_err(|error| form(&error))?.as_bytes());
    let receipt: Receipt = serde_json::from_value(value.clone()).map_err(|error| form(&error))?;
    if receipt.object != OBJECT {
        return Err(Fault::Form(format!("its object is {:?}", receipt.object)));
    }
    // One way to write what is beside the claims: digits in small letters, nothing left over.
    let plain = |part: &str, read: Result<String, canonical::Error>| {
        let written = value.get(part).map(canonical::print).transpose();
        match (written, read) {
            (Ok(Some(written)), Ok(read)) if written == read => Ok(()),
            _ => Err(Fault::Form(format!("its {part} is not in plain form"))),
        }
    };
    plain("proof", canonical::of(&receipt.proof))?;
    if let Some(opening) = &receipt.opening {
        plain("opening", canonical::of(opening))?;
    }
    Ok(Read { receipt, leaf })
}

fn path(proof: &Proof) -> Result<(), Fault> {
    let hashes: Option<Vec<_>> = proof.path.iter().map(|text| hash(text)).collect();
    let led = hash(&proof.leaf)
        .zip(hashes)
        .and_then(|(leaf, path)| merkle::root(leaf, proof.index, proof.root.leaves, &path));
    let fits = led.is_some_and(|root| hex::encode(root) == proof.root.sha256);
    fits.then_some(()).ok_or(Fault::Path)
}

fn signature(proof: &Proof) -> Result<(), Fault> {
    let message = proof.root.message().map_err(|error| Fault::Signature(error.to_string()))?;
    let verified = proof.key.verify(DOMAIN, message.as_bytes(), &proof.signature);
    verified.map_err(|error| Fault::Signature(error.to_string()))
}

fn opened(opening: &Opening, claims: &Claims) -> Result<(), Fault> {
    let fits = |sha256: &str, expected: &str| {
        let salted = hash(&opening.salt).zip(hash(sha256)).map(|(salt, hash)| salted(&salt, &hash));
        salted.is_some_and(|salted| salted == expected)
    };
    if !fits(&opening.request_sha256, &claims.request.salted_sha256) {
        return Err(Fault::Opening("request"));
    }
    if !fits(&opening.response_sha256, &claims.response.salted_sha256) {
        return Err(Fault::Opening("answer"));
    }
    Ok(())
}

/// Why bytes are not the receipt's.
enum Other {
    Closed(Fault),
    Differs(String),
}

impl Other {
    fn or(self, fault: fn(String) -> Fault) -> Fault {
        match self {
            Self::Closed(fault) => fault,
            Self::Differs(how) => fault(how),
        }
    }
}

fn compare(
    bytes: &[u8],
    (length, sha256): (u64, Option<&str>),
    what: &'static str,
) -> Result<(), Other> {
    let sha256 = sha256.ok_or(Other::Closed(Fault::NotOpened(what)))?;
    if bytes.len() as u64 != length {
        return Err(Other::Differs(format!(
            "it has {} bytes, the receipt's {length}",
            bytes.len()
        )));
    }
    if hex::encode(Sha256::digest(bytes)) != sha256 {
        return Err(Other::Differs("its hash is not the receipt's".to_owned()));
    }
    Ok(())
}

/// What the node signed, where it did and its key is known.
fn node(claims: &Claims) -> Option<Result<(), Fault>> {
    let origin = claims.provenance.as_ref()?;
    let key = claims.provider.as_ref()?.node_key?;
    let (commit, sig) = origin.commit.as_ref().zip(origin.sig)?;
    Some(key.verify(commit::DOMAIN, commit.as_bytes(), &sig).map_err(|_| Fault::Node))
}

/// Of small digits alone: else another text would say the same.
fn hash(text: &str) -> Option<merkle::Hash> {
    let mut hash = merkle::Hash::default();
    hex::decode_to_slice(text, &mut hash).ok()?;
    (!text.bytes().any(|byte| byte.is_ascii_uppercase())).then_some(hash)
}

// === impl Read ===

impl Read {
    /// `None`: nothing to compare with.
    fn tried(&self, part: Part, given: &Given<'_>) -> Option<Result<(), Fault>> {
        let Receipt { claims, opening, proof, .. } = &self.receipt;
        let opening = opening.as_ref();
        Some(match part {
            Part::Claims => {
                (hex::encode(self.leaf) == proof.leaf).then_some(()).ok_or(Fault::Claims)
            }
            Part::Path => path(proof),
            Part::Signature => signature(proof),
            Part::Key => given.keys.contains(&proof.key).then_some(()).ok_or(Fault::Key(proof.key)),
            Part::Opening => opened(opening?, claims),
            Part::Request => {
                let hashed = (claims.request.bytes, opening.map(|o| o.request_sha256.as_str()));
                let compared = compare(given.request?, hashed, "request");
                compared.map_err(|other| other.or(Fault::Request))
            }
            Part::Response => {
                let hashed = (claims.response.bytes, opening.map(|o| o.response_sha256.as_str()));
                let compared = compare(given.response?, hashed, "answer");
                compared.map_err(|other| other.or(Fault::Response))
            }
            Part::Node => return node(claims),
        })
    }
}

// === impl Report ===

impl Report {
    /// The first thing that does not fit.
    pub fn fault(&self) -> Option<&Fault> {
        self.trials.iter().find_map(|trial| trial.result.as_ref()?.as_ref().err())
    }
}

// === impl Part ===

impl Part {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::Path => "path to the root",
            Self::Signature => "signature over the root",
            Self::Key => "key",
            Self::Opening => "opening",
            Self::Request => "request",
            Self::Response => "answer",
            Self::Node => "provider's signature",
        }
    }
}

#[cfg(test)]
mod tests;
