//! Drafts and amendments become receipts under one signed root. It keeps nothing and reads no clock.

use openapi::receipt::merkle::{self, Tree};
use openapi::receipt::{Claims, DOMAIN, OBJECT, Opening, Proof, Receipt, Root, canonical};
use openapi::sign::SecretKey;
use uuid::Uuid;

use super::names;
use crate::store::{Kept, Owner};

/// A receipt without its proof.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) id: Uuid,
    pub(super) owner: Owner,
    pub(super) claims: Claims,
    pub(super) opening: Opening,
    /// The claims' canonical JSON.
    text: String,
    hash: merkle::Hash,
}

/// What could not be made a receipt.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Canonical(#[from] canonical::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

// === impl Leaf ===

impl Leaf {
    pub(super) fn new(
        (id, owner): (Uuid, Owner),
        claims: Claims,
        opening: Opening,
    ) -> Result<Self, Error> {
        let text = canonical::of(&claims)?;
        let hash = merkle::leaf(text.as_bytes());
        Ok(Self { id, owner, claims, opening, text, hash })
    }

    /// Of a receipt that is kept already, to be amended.
    pub(super) fn of(kept: &Kept) -> Result<Self, Error> {
        let receipt: Receipt = serde_json::from_str(&kept.receipt)?;
        let opening = receipt.opening.unwrap_or(Opening {
            salt: String::new(),
            request_sha256: String::new(),
            response_sha256: String::new(),
        });
        Self::new((kept.id, kept.owner), receipt.claims, opening)
    }

    /// Hex.
    pub(super) fn hash(&self) -> String {
        hex::encode(self.hash)
    }

    fn kept(&self, proof: &Proof) -> Result<Kept, Error> {
        // The claims go in as the bytes that were signed for.
        let receipt = format!(
            r#"{{"object":"{OBJECT}","claims":{},"opening":{},"proof":{}}}"#,
            self.text,
            serde_json::to_string(&self.opening)?,
            serde_json::to_string(proof)?,
        );
        let (id, owner, created) = (self.id, self.owner, self.claims.created);
        Ok(Kept { id, owner, created, names: names(&self.claims), receipt })
    }
}

/// Signs for `leaves`. Of one id the last is kept; those before it are in the tree all the same.
pub(super) fn seal(
    leaves: &[Leaf],
    batch: u64,
    signed: i64,
    key: &SecretKey,
) -> Result<Vec<Kept>, Error> {
    let Some(tree) = Tree::new(leaves.iter().map(|leaf| leaf.hash).collect()) else {
        return Ok(Vec::new());
    };
    let sha256 = hex::encode(tree.root());
    let root = Root { batch, leaves: leaves.len() as u64, sha256, signed };
    let signature = key.sign(DOMAIN, root.message()?.as_bytes());
    let mut kept = Vec::with_capacity(leaves.len());
    for (index, leaf) in leaves.iter().enumerate() {
        let is_last = !leaves.iter().skip(index + 1).any(|later| later.id == leaf.id);
        if !is_last {
            continue;
        }
        let proof = Proof {
            leaf: leaf.hash(),
            index: index as u64,
            path: tree.path(index).iter().map(hex::encode).collect(),
            root: root.clone(),
            key: key.public(),
            signature,
        };
        kept.push(leaf.kept(&proof)?);
    }
    Ok(kept)
}
