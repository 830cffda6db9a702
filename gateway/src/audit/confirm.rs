//! Before anybody is blamed: a fail goes to a second scorer, a dispute to a third, and the odd one out gets
//! the fail, be it the writer or a scorer. Whose score is none gets a fail of its own and no vote. An audit
//! that nobody can finish leaves no trace on the writer.

use super::verdict::{Verdict, Why};

/// Votes that are counted at most.
const VOTES_MAX: usize = 3;
/// Scorers that are asked at most, those without a vote among them.
pub const ASKED_MAX: usize = 6;

/// One audit, from its first score to its end. `S` is who scores.
#[derive(Debug, Clone)]
pub struct Audit<S> {
    votes: Vec<(S, Vote)>,
    /// Whose answers were none.
    broken: Vec<S>,
    asked: usize,
    is_recheck: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    Pass,
    Fail,
    /// It speaks for neither side.
    Grey,
}

/// What a scorer came back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    Vote(Vote),
    /// What it says is no score.
    Malformed,
    /// It was not there, had no time or other weights.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<S> {
    /// Another scorer is to be asked, one that was not asked yet.
    Ask,
    Done(Outcome<S>),
}

/// What comes of it. Fails of scorers count as those of writers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<S> {
    pub writer: Word,
    /// Scorers that get a fail.
    pub failed: Vec<S>,
    /// Scorers that were right where another was not.
    pub confirmed: Vec<S>,
}

/// Of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Pass,
    Fail,
    /// One scorer calls it grey: see `pool`.
    Grey,
    None(Why),
}

// === impl Vote ===

impl Vote {
    /// A short answer in which nothing is wrong speaks for its writer.
    pub fn of(verdict: &Verdict) -> Came {
        match verdict {
            Verdict::Pass | Verdict::Short => Came::Vote(Self::Pass),
            Verdict::Fail(_) => Came::Vote(Self::Fail),
            Verdict::Grey => Came::Vote(Self::Grey),
            Verdict::None(_) => Came::Nothing,
        }
    }
}

// === impl Audit ===

impl<S: Clone> Default for Audit<S> {
    fn default() -> Self {
        Self { votes: Vec::new(), broken: Vec::new(), asked: 0, is_recheck: false }
    }
}

impl<S: Clone> Audit<S> {
    /// An answer that passed with this scorer is shown to another: so scorers that let others pass are found.
    pub fn recheck(passed_by: S) -> Self {
        let votes = vec![(passed_by, Vote::Pass)];
        Self { votes, asked: 1, is_recheck: true, ..Self::default() }
    }

    /// What a scorer came back with.
    pub fn take(&mut self, scorer: S, came: Came) -> Next<S> {
        self.asked += 1;
        match came {
            Came::Vote(vote) => self.votes.push((scorer, vote)),
            Came::Malformed => self.broken.push(scorer),
            Came::Nothing => {}
        }
        match self.word() {
            Some(word) => Next::Done(self.outcome(word)),
            None if self.asked >= ASKED_MAX => Next::Done(self.give_up()),
            None => Next::Ask,
        }
    }

    /// There is nobody left to ask.
    pub fn give_up(&self) -> Outcome<S> {
        let word = match (self.is_recheck, self.count(Vote::Fail)) {
            // What passed stays passed until two say otherwise.
            (true, _) => Word::Pass,
            (false, 0) if self.count(Vote::Grey) > 0 => Word::Grey,
            (false, 0) => Word::None(Why::NoScorer),
            (false, _) => Word::None(Why::Unconfirmed),
        };
        Outcome { writer: word, failed: self.broken.clone(), confirmed: Vec::new() }
    }

    fn word(&self) -> Option<Word> {
        let (passes, fails) = (self.count(Vote::Pass), self.count(Vote::Fail));
        match (passes, fails) {
            (_, 2..) => Some(Word::Fail),
            (2.., _) => Some(Word::Pass),
            (1, 0) if !self.is_recheck => Some(Word::Pass),
            (0, 0) => (!self.votes.is_empty()).then_some(Word::Grey),
            // Somebody calls it grey whom nobody accuses of anything.
            (1, 0) if self.votes.len() > 1 => Some(Word::Pass),
            _ if self.votes.len() >= VOTES_MAX => Some(Word::None(Why::Unconfirmed)),
            _ => None,
        }
    }

    fn outcome(&self, writer: Word) -> Outcome<S> {
        let (right, wrong) = match writer {
            Word::Pass => (Vote::Pass, Vote::Fail),
            Word::Fail => (Vote::Fail, Vote::Pass),
            Word::Grey | Word::None(_) => return Outcome { writer, ..self.give_up() },
        };
        let odd = self.of(wrong);
        let confirmed = if odd.is_empty() { Vec::new() } else { self.of(right) };
        Outcome { writer, failed: [self.broken.clone(), odd].concat(), confirmed }
    }

    fn count(&self, vote: Vote) -> usize {
        self.votes.iter().filter(|(_, its)| *its == vote).count()
    }

    fn of(&self, vote: Vote) -> Vec<S> {
        let its = self.votes.iter().filter(|(_, its)| *its == vote);
        its.map(|(scorer, _)| scorer.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Came::{Malformed, Nothing};

    const PASS: Came = Came::Vote(Vote::Pass);
    const FAIL: Came = Came::Vote(Vote::Fail);
    const GREY: Came = Came::Vote(Vote::Grey);

    /// Scorers 0, 1, 2 … come back with these, as long as somebody is asked.
    fn run(mut audit: Audit<usize>, from: usize, came: &[Came]) -> (usize, Outcome<usize>) {
        for (at, came) in came.iter().enumerate() {
            if let Next::Done(outcome) = audit.take(from + at, *came) {
                return (at + 1, outcome);
            }
        }
        (came.len(), audit.give_up())
    }

    fn audit(came: &[Came]) -> (usize, Outcome<usize>) {
        run(Audit::default(), 0, came)
    }

    fn outcome(writer: Word, failed: &[usize], confirmed: &[usize]) -> Outcome<usize> {
        Outcome { writer, failed: failed.to_vec(), confirmed: confirmed.to_vec() }
    }

    #[test]
    fn a_pass_needs_one_scorer_a_fail_two() {
        assert_eq!(audit(&[PASS, FAIL]), (1, outcome(Word::Pass, &[], &[])));
        assert_eq!(audit(&[FAIL, FAIL, PASS]), (2, outcome(Word::Fail, &[], &[])));
        assert_eq!(audit(&[GREY, FAIL]), (1, outcome(Word::Grey, &[], &[])));
    }

    #[test]
    fn the_odd_one_out_gets_the_fail() {
        assert_eq!(audit(&[FAIL, PASS, FAIL]), (3, outcome(Word::Fail, &[1], &[0, 2])));
        assert_eq!(audit(&[FAIL, PASS, PASS]), (3, outcome(Word::Pass, &[0], &[1, 2])));
        let unsure = outcome(Word::None(Why::Unconfirmed), &[], &[]);
        assert_eq!(audit(&[FAIL, PASS, GREY]), (3, unsure.clone()));
        assert_eq!(audit(&[FAIL, GREY, GREY]), (3, unsure));
        assert_eq!(audit(&[FAIL, GREY, FAIL]), (3, outcome(Word::Fail, &[], &[])));
    }

    #[test]
    fn nobody_is_blamed_by_one_scorer_alone() {
        for came in [&[FAIL][..], &[FAIL, Nothing], &[FAIL, PASS], &[FAIL, Nothing, Nothing]] {
            assert_eq!(audit(came).1, outcome(Word::None(Why::Unconfirmed), &[], &[]));
        }
        assert_eq!(audit(&[]).1.writer, Word::None(Why::NoScorer));
        assert_eq!(audit(&[Nothing]).1.writer, Word::None(Why::NoScorer));
        let (asked, last) = audit(&[Nothing; 10]);
        assert_eq!((asked, last.writer), (ASKED_MAX, Word::None(Why::NoScorer)));
    }

    #[test]
    fn a_score_that_is_none_is_its_scorers_fault() {
        assert_eq!(audit(&[Malformed, PASS]), (2, outcome(Word::Pass, &[0], &[])));
        assert_eq!(audit(&[Malformed, FAIL, FAIL]), (3, outcome(Word::Fail, &[0], &[])));
        assert_eq!(audit(&[Malformed]).1, outcome(Word::None(Why::NoScorer), &[0], &[]));
    }

    #[test]
    fn a_scorer_that_lets_cheaters_pass_is_found_by_showing_its_passes_to_others() {
        let recheck = |came: &[Came]| run(Audit::recheck(0), 1, came);
        assert_eq!(recheck(&[PASS]), (1, outcome(Word::Pass, &[], &[])));
        assert_eq!(recheck(&[GREY]), (1, outcome(Word::Pass, &[], &[])));
        assert_eq!(recheck(&[FAIL, FAIL]), (2, outcome(Word::Fail, &[0], &[1, 2])));
        assert_eq!(recheck(&[FAIL, PASS]), (2, outcome(Word::Pass, &[1], &[0, 2])));
        assert_eq!(recheck(&[FAIL]).1.writer, Word::Pass);
    }
}
