//! Two honest machines may part at a token that is as good as another: from there on all is different. Where
//! answers part, a scorer outside the pair scores both. If both are what the model would say there, they are
//! one answer as far as anybody can tell; if one is not, who wrote it is at fault.

use openapi::verify::Score;

/// In units of `l + T·g`: closer is a matter of rounding.
pub const MARGIN: f64 = 0.5;

/// What a scorer makes of one branch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Branch {
    /// Whether it stands as a whole, as an audit would have it.
    pub is_sound: bool,
    /// Of the token at which it parts; absent: not known.
    pub margin: Option<f64>,
}

/// What is made of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are one.
    Benign,
    /// The first one's answer is not the model's.
    FirstFails,
    SecondFails,
    /// Nothing can be said.
    Unknown,
}

/// Where two lists of tokens part; `None`: they are the same. One that just ends parts at its end.
pub fn at(one: &[u32], other: &[u32]) -> Option<usize> {
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    (same < one.len() || same < other.len()).then_some(same)
}

/// Of the token at `at`, if it was scored.
pub fn margin(scores: &[Score], at: usize) -> Option<f64> {
    let score = scores.iter().find(|score| score.i as usize == at)?;
    score.margin.filter(|margin| margin.is_finite())
}

pub fn judge(first: Branch, second: Branch) -> Verdict {
    match (first.is_sound, second.is_sound) {
        (true, true) => {
            let is_close = |branch: Branch| branch.margin.is_some_and(|margin| margin <= MARGIN);
            if is_close(first) && is_close(second) { Verdict::Benign } else { Verdict::Unknown }
        }
        (false, true) => Verdict::FirstFails,
        (true, false) => Verdict::SecondFails,
        (false, false) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_part_at_the_first_other_token() {
        assert_eq!(at(&[1, 2, 3], &[1, 2, 3]), None);
        assert_eq!(at(&[1, 2, 3], &[1, 4, 3]), Some(1));
        assert_eq!(at(&[1, 2], &[1, 2, 3]), Some(2));
        assert_eq!(at(&[], &[]), None);
    }

    #[test]
    fn a_close_call_is_benign_and_a_far_one_needs_more() {
        let branch = |is_sound, margin| Branch { is_sound, margin: Some(margin) };
        assert_eq!(judge(branch(true, 0.0), branch(true, 0.3)), Verdict::Benign);
        assert_eq!(judge(branch(true, 0.0), branch(true, 3.0)), Verdict::Unknown);
        assert_eq!(judge(branch(true, 0.0), branch(false, 0.1)), Verdict::SecondFails);
        assert_eq!(judge(branch(false, 9.0), branch(true, 0.0)), Verdict::FirstFails);
        assert_eq!(judge(branch(false, 9.0), branch(false, 9.0)), Verdict::Unknown);
        let unknown = Branch { is_sound: true, margin: None };
        assert_eq!(judge(unknown, branch(true, 0.0)), Verdict::Unknown);
    }
}
