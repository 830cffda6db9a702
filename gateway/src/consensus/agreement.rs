//! Who agrees with whom, answer by answer. The k-th equal answer ends it; when all who were asked have
//! answered and too few agree, answers that part at one token are adjudicated, then more are asked, and a
//! majority of all is needed. The order in which answers come decides nothing but when it is over.

use super::fork;
use super::key::Key;

/// How many must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Equal answers, at least 1.
    pub k: usize,
    /// Asked at first, at least k.
    pub n: usize,
    /// Asked at most, those in the place of who failed not counted.
    pub n_max: usize,
}

/// What comes in. Members are numbered in the order in which they are asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Answer {
        member: usize,
        key: Key,
        /// Empty: not known.
        ids: Vec<u32>,
    },
    /// It broke, or is none.
    Failed { member: usize },
    /// Of the pair that was to be adjudicated.
    Fork { first: usize, second: usize, verdict: fork::Verdict },
    /// There is nobody else to ask.
    NobodyElse,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// For who was asked.
    Wait,
    /// So many more.
    Ask(usize),
    /// A scorer outside the pair is to say what it makes of both, which part at this token.
    Adjudicate {
        first: usize,
        second: usize,
        at: usize,
    },
    Done(Decision),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// To the byte.
    Exact,
    /// In their canonical form.
    Canonical,
    /// But for tokens as good as each other.
    Fork,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether enough agree; else it is the answer that most gave.
    pub is_reached: bool,
    pub class: Class,
    /// Whose answer it is: of those who agree, who was asked first. Absent: there is no answer at all.
    pub winner: Option<usize>,
    /// Who agrees.
    pub agreed: Vec<usize>,
    /// Who answered otherwise.
    pub dissent: Vec<usize>,
    /// Of them, whose answer is not the model's, as a scorer says.
    pub at_fault: Vec<usize>,
    /// How many had to agree in the end.
    pub k: usize,
}

/// From the first answer to the decision.
#[derive(Debug)]
pub struct Agreement {
    rules: Rules,
    k: usize,
    /// Asked so far, and of them those whose answers or failures are out.
    asked: usize,
    out: usize,
    failed: usize,
    answers: Vec<Answer>,
    /// Pairs of members that were adjudicated.
    looked_at: Vec<(usize, usize)>,
    at_fault: Vec<usize>,
    is_everybody: bool,
}

#[derive(Debug)]
struct Answer {
    member: usize,
    key: Key,
    ids: Vec<u32>,
    /// Answers of the same group are one.
    group: usize,
}

/// Replacements of who failed, for each who is asked.
const REPLACED_MAX: usize = 1;

// === impl Agreement ===

impl Agreement {
    pub fn new(rules: Rules) -> Self {
        let k = rules.k.max(1);
        let n = rules.n.max(k);
        Self {
            rules: Rules { k, n, n_max: rules.n_max.max(n) },
            k,
            asked: n,
            out: 0,
            failed: 0,
            answers: Vec::new(),
            looked_at: Vec::new(),
            at_fault: Vec::new(),
            is_everybody: false,
        }
    }

    /// Asked so far.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// How many must agree, as it stands.
    pub fn k(&self) -> usize {
        self.k
    }

    /// There is no time left: what there is has to do.
    pub fn give_up(&self) -> Decision {
        let largest = self.largest();
        let is_reached = largest.is_some_and(|(_, size)| size >= self.k);
        self.decision(largest.map(|(group, _)| group), is_reached)
    }

    /// After what came: who failed is replaced at once, as far as may be.
    pub fn take(&mut self, event: Event) -> Next {
        match event {
            Event::Answer { member, key, ids } => {
                self.out += 1;
                self.add(member, key, ids);
            }
            Event::Failed { .. } => {
                self.out += 1;
                self.failed += 1;
                let may = self.rules.n_max * REPLACED_MAX;
                if !self.is_everybody && self.failed <= may {
                    self.asked += 1;
                    return Next::Ask(1);
                }
            }
            Event::Fork { first, second, verdict } => self.forked(first, second, verdict),
            Event::NobodyElse => self.is_everybody = true,
        }
        self.next()
    }

    /// So many of those whom [`Next::Ask`] named could be asked.
    pub fn only(&mut self, asked: usize, of: usize) {
        self.asked = self.asked.saturating_sub(of.saturating_sub(asked));
        self.is_everybody |= asked < of;
    }

    fn add(&mut self, member: usize, key: Key, ids: Vec<u32>) {
        let same = self.answers.iter().find(|one| one.key.canonical == key.canonical);
        let group = same.map_or(member, |one| one.group);
        // What was found to be wrong does not become right by being said again.
        if same.is_some_and(|one| self.at_fault.contains(&one.member)) {
            self.at_fault.push(member);
        }
        self.answers.push(Answer { member, key, ids, group });
    }

    fn forked(&mut self, first: usize, second: usize, verdict: fork::Verdict) {
        self.looked_at.push((first, second));
        let group = |member| self.answers.iter().find(|a| a.member == member).map(|a| a.group);
        let (Some(one), Some(other)) = (group(first), group(second)) else { return };
        match verdict {
            fork::Verdict::Benign => {
                for answer in &mut self.answers {
                    if answer.group == other {
                        answer.group = one;
                    }
                }
            }
            // The same answer is as wrong whoever gives it.
            fork::Verdict::FirstFails => self.blame(one),
            fork::Verdict::SecondFails => self.blame(other),
            fork::Verdict::Unknown => {}
        }
    }

    fn blame(&mut self, group: usize) {
        let its = self.answers.iter().filter(|answer| answer.group == group);
        self.at_fault.extend(its.map(|answer| answer.member));
    }

    fn next(&mut self) -> Next {
        if let Some(group) = self.largest().filter(|(_, size)| *size >= self.k).map(|(g, _)| g) {
            return Next::Done(self.decision(Some(group), true));
        }
        if self.out < self.asked {
            return Next::Wait;
        }
        if let Some((first, second, at)) = self.apart() {
            return Next::Adjudicate { first, second, at };
        }
        let more = self.rules.n_max.saturating_sub(self.asked.saturating_sub(self.failed));
        if !self.is_everybody && more > 0 && self.k > 1 {
            self.asked += more;
            self.k = self.k.max(self.rules.n_max / 2 + 1);
            return Next::Ask(more);
        }
        Next::Done(self.give_up())
    }

    /// The group that most are of; of as large ones that of who was asked first.
    fn largest(&self) -> Option<(usize, usize)> {
        let mut best: Option<(usize, usize, usize)> = None;
        for answer in self.answers.iter().filter(|a| !self.at_fault.contains(&a.member)) {
            let its = self.answers.iter().filter(|other| other.group == answer.group);
            let (size, first) = its.fold((0, usize::MAX), |(n, f), a| (n + 1, f.min(a.member)));
            let is_better = best.is_none_or(|(_, s, f)| size > s || size == s && first < f);
            if is_better {
                best = Some((answer.group, size, first));
            }
        }
        best.map(|(group, size, _)| (group, size))
    }

    /// Two answers of which it is not known whether they are one, with where they part.
    fn apart(&self) -> Option<(usize, usize, usize)> {
        let sound = |a: &&Answer| !a.ids.is_empty() && !self.at_fault.contains(&a.member);
        let mut firsts: Vec<&Answer> = Vec::new();
        for answer in self.answers.iter().filter(sound) {
            if firsts.iter().all(|one| one.group != answer.group) {
                firsts.push(answer);
            }
        }
        for (number, one) in firsts.iter().enumerate() {
            for other in firsts.iter().skip(number + 1) {
                let is_new = !self.looked_at.contains(&(one.member, other.member));
                if let (true, Some(at)) = (is_new, fork::at(&one.ids, &other.ids)) {
                    return Some((one.member, other.member, at));
                }
            }
        }
        None
    }

    fn decision(&self, group: Option<usize>, is_reached: bool) -> Decision {
        let (its, others): (Vec<&Answer>, Vec<&Answer>) =
            self.answers.iter().partition(|answer| Some(answer.group) == group);
        let mut agreed: Vec<usize> = its.iter().map(|answer| answer.member).collect();
        agreed.sort_unstable();
        let winner = agreed.first().copied();
        let won = its.iter().find(|answer| Some(answer.member) == winner);
        let all = |same: fn(&Key, &Key) -> bool| {
            won.is_none_or(|won| its.iter().all(|answer| same(&answer.key, &won.key)))
        };
        let class = if all(|a, b| a.exact == b.exact) {
            Class::Exact
        } else if all(|a, b| a.canonical == b.canonical) {
            Class::Canonical
        } else {
            Class::Fork
        };
        let mut dissent: Vec<usize> = others.iter().map(|answer| answer.member).collect();
        dissent.sort_unstable();
        let at_fault = self.at_fault.clone();
        Decision { is_reached, class, winner, agreed, dissent, at_fault, k: self.k }
    }
}

/// The probability that k of n colluding operators win, where a share `q` of all collude.
pub fn collusion(k: u32, n: u32, q: f64) -> f64 {
    let choose =
        |n: u32, i: u32| (0..i).fold(1.0, |all, j| all * f64::from(n - j) / f64::from(j + 1));
    (k..=n)
        .map(|i| choose(n, i) * q.powi(i.cast_signed()) * (1.0 - q).powi((n - i).cast_signed()))
        .sum()
}

#[cfg(test)]
mod tests;
