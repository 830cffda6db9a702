//! Merkle trees as Certificate Transparency has them (RFC 6962, 2.1; the check of RFC 9162, 2.1.3.2): a
//! leaf's hash begins with a zero byte and a node's with a one, so that neither passes for the other.

use sha2::{Digest as _, Sha256};

pub type Hash = [u8; 32];

/// A tree over at least one leaf; all its hashes.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The leaves' hashes first, the root last.
    levels: Vec<Vec<Hash>>,
}

/// Hash of a leaf.
pub fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root that `path` leads to from the leaf at `index` of `leaves`. `None`: it is no path of such a
/// tree.
pub fn root(leaf: Hash, index: u64, leaves: u64, path: &[Hash]) -> Option<Hash> {
    let (mut at, mut last) = (index, leaves.checked_sub(1)?);
    if at > last {
        return None;
    }
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

// === impl Tree ===

impl Tree {
    /// `None` without a leaf.
    pub fn new(leaves: Vec<Hash>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    // One without a sibling goes up as it is.
                    [one, ..] => *one,
                    [] => Hash::default(),
                })
                .collect();
            levels.push(above);
        }
        Some(Self { levels })
    }

    pub fn root(&self) -> Hash {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or_default()
    }

    /// Proof that the leaf at `index` is in the tree, from the leaf upwards.
    pub fn path(&self, index: usize) -> Vec<Hash> {
        let below_root = self.levels.split_last().map_or(&[][..], |(_, below)| below);
        let siblings = below_root.iter().enumerate();
        siblings.filter_map(|(height, level)| level.get((index >> height) ^ 1)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [one] => *one,
            _ => {
                let mut split = 1;
                while split * 2 < leaves.len() {
                    split *= 2;
                }
                node(&defined(&leaves[..split]), &defined(&leaves[split..]))
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf(&number.to_le_bytes())).collect()
    }

    #[test]
    fn the_root_is_the_definitions() {
        assert!(Tree::new(Vec::new()).is_none());
        for count in 1..=130 {
            let leaves = leaves(count);
            assert_eq!(Tree::new(leaves.clone()).unwrap().root(), defined(&leaves), "{count}");
        }
    }

    #[test]
    fn every_leaf_is_proved_at_its_place_and_at_no_other() {
        for count in 1..=40_usize {
            let leaves = leaves(count);
            let tree = Tree::new(leaves.clone()).unwrap();
            for (index, &leaf) in leaves.iter().enumerate() {
                let path = tree.path(index);
                for place in 0..=count as u64 {
                    let proved = root(leaf, place, count as u64, &path) == Some(tree.root());
                    assert_eq!(proved, place == index as u64, "{index} of {count} at {place}");
                }
                let other = leaves[(index + 1) % count];
                let is_same = count == 1;
                assert_eq!(
                    root(other, index as u64, count as u64, &path) == Some(tree.root()),
                    is_same
                );
            }
        }
    }

    #[test]
    fn a_changed_path_leads_elsewhere() {
        let leaves = leaves(13);
        let tree = Tree::new(leaves.clone()).unwrap();
        for (index, &leaf) in leaves.iter().enumerate() {
            let path = tree.path(index);
            for at in 0..path.len() {
                let mut changed = path.clone();
                changed[at][7] ^= 1;
                assert_ne!(root(leaf, index as u64, 13, &changed), Some(tree.root()));
                let mut shorter = path.clone();
                shorter.remove(at);
                assert_ne!(root(leaf, index as u64, 13, &shorter), Some(tree.root()));
            }
            let longer = [path, vec![leaf]].concat();
            assert_ne!(root(leaf, index as u64, 13, &longer), Some(tree.root()));
        }
    }
}
