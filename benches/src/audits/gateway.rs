//! The gateway's side of audits in process: who is audited, who scores, what comes of it. Every decision is
//! the gateway's own code; here is what runs around it.

use gateway::audit::binding::{opened, told};
use gateway::audit::confirm::{self, Came, Next, Outcome, Vote, Word};
use gateway::audit::cusum::Cusum;
use gateway::audit::draw::{Check, Draw};
use gateway::audit::pool::{Due, Pooled, Pools, settled};
use gateway::audit::profile::{Key, Profiles};
use gateway::audit::rate::rate;
use gateway::audit::verdict::of_sums;
use gateway::audit::{Figures, Judged, Reason, Sums, Verdict, canary, judge};
use gateway::reputation::Integrity;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Case, Error, Node};

/// Between two requests.
const STEP_MS: u64 = 10_000;
/// In the place of a scorer, for what a pool says.
const POOL: usize = usize::MAX;

/// What is known of a node, as writer and as scorer.
#[derive(Debug, Default)]
pub(super) struct Book {
    cusum: Cusum,
    integrity: Integrity,
    pub(super) requests: u64,
    /// As a writer.
    pub(super) audits: u64,
    /// Requests and audits of those whose place it took.
    pub(super) before: (u64, u64),
    /// Asked of it as a scorer.
    pub(super) scored: u64,
    pub(super) is_out: bool,
    pub(super) fails: BTreeMap<&'static str, u64>,
}

/// Nodes, and what a gateway thinks of them.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) nodes: Vec<Node>,
    pub(super) books: Vec<Book>,
    profiles: Profiles,
    pools: Pools<(usize, Key), Arc<Case>>,
    draw: Draw,
    now_ms: u64,
    /// Whether everything is audited.
    all: bool,
}

// === impl Gateway ===

impl Gateway {
    pub(super) fn new(nodes: Vec<Node>, profiles: Profiles, secret: &str, all: bool) -> Self {
        let books = nodes.iter().map(|_| Book::default()).collect();
        let (pools, draw) = (Pools::default(), Draw::new(secret.as_bytes()));
        Self { nodes, books, profiles, pools, draw, now_ms: 0, all }
    }

    /// A whole answer has come.
    pub(super) fn take(&mut self, writer: usize, case: Case) -> Result<(), Error> {
        self.now_ms += STEP_MS;
        let id = case.job.request_id.clone();
        let share = {
            let Some(book) = self.books.get_mut(writer) else { return Ok(()) };
            book.requests += 1;
            rate(book.integrity.lower(self.now_ms), book.requests - 1)
        };
        let is_audited = self.all || self.draw.is_audited(&id, share);
        let node = self.nodes.get(writer).ok_or("no such node")?;
        let promised = node.promised(&case);
        let mut bound = told(case.provenance.as_ref(), &case.ids, &promised);
        if let (Ok(()), Some(provenance), true) = (&bound, &case.provenance, is_audited) {
            bound = opened(provenance, &case.ids, &case.claims, &promised);
        }
        if let Some(book) = self.books.get_mut(writer).filter(|_| is_audited || bound.is_err()) {
            book.audits += 1;
        }
        match bound {
            Err(reason) => self.note(writer, true, &[name(reason)]),
            Ok(()) if is_audited => self.audit(writer, &Arc::new(case))?,
            Ok(()) => {}
        }
        Ok(())
    }

    /// Another comes in the place of one that was sent away.
    pub(super) fn replace(&mut self, at: usize, node: Node) {
        self.pools.forget(|(writer, _)| *writer == at);
        if let (Some(old), Some(book)) = (self.nodes.get_mut(at), self.books.get_mut(at)) {
            *old = node;
            let (requests, audits) = (book.requests, book.audits);
            *book = Book {
                before: (book.before.0 + requests, book.before.1 + audits),
                ..Book::default()
            };
        }
    }

    fn audit(&mut self, writer: usize, case: &Arc<Case>) -> Result<(), Error> {
        let scorers = self.scorers(writer, case);
        let mut judgements: Vec<Judged> = Vec::new();
        let mut audit = confirm::Audit::default();
        let mut outcome = None;
        let mut first = None;
        for scorer in &scorers {
            let (came, judged) = self.ask(*scorer, case)?;
            first.get_or_insert(*scorer);
            judgements.extend(judged);
            if let Next::Done(done) = audit.take(*scorer, came) {
                outcome = Some(done);
                break;
            }
        }
        let outcome = outcome.unwrap_or_else(|| audit.give_up());
        self.blame(&outcome, "dispute");
        match outcome.writer {
            Word::Fail => self.note(writer, true, &reasons(&judgements)),
            Word::Pass | Word::Grey => {
                let side = |judged: &&Judged| !matches!(judged.verdict, Verdict::Fail(_));
                if let Some(judged) = judgements.iter().find(side) {
                    self.pool(writer, case, judged)?;
                }
            }
            Word::None(_) => {}
        }
        match first.filter(|_| outcome.writer == Word::Pass) {
            Some(first) => self.check(first, &scorers, case),
            None => Ok(()),
        }
    }

    fn pool(&mut self, writer: usize, case: &Arc<Case>, judged: &Judged) -> Result<(), Error> {
        let Some(key) = judged.key.clone() else { return Ok(()) };
        let thresholds = self.profiles.thresholds(&key);
        match self.pools.take((writer, key), judged, &thresholds, Arc::clone(case)) {
            Due::Pass => self.note(writer, false, &[]),
            Due::Fail(pooled) => self.confirm(writer, &pooled)?,
            Due::Wait => {}
        }
        Ok(())
    }

    /// A pool's fail is for others to confirm, by the same answers.
    fn confirm(&mut self, writer: usize, pooled: &Pooled<Arc<Case>>) -> Result<(), Error> {
        let Some(last) = pooled.parts.last() else { return Ok(()) };
        let mut audit = confirm::Audit::default();
        audit.take(POOL, Came::Vote(Vote::Fail));
        for scorer in self.scorers(writer, last) {
            let mut sums = Sums::default();
            let mut key = None;
            for case in &pooled.parts {
                let judged = self.ask(scorer, case)?.1;
                sums.add(
                    &judged
                        .as_ref()
                        .and_then(|it| it.figures.as_ref())
                        .map_or_else(Sums::default, |it| it.sums),
                );
                key = judged.and_then(|it| it.key).or(key);
            }
            let thresholds = key.map(|key| self.profiles.thresholds(&key));
            let came = match thresholds {
                None => Came::Nothing,
                Some(it) if pooled.is_watched => match settled(&sums, &it) {
                    Some(_) => Came::Vote(Vote::Fail),
                    None => Came::Vote(Vote::Pass),
                },
                Some(it) => Vote::of(&of_sums(&sums, &it)),
            };
            if let Next::Done(outcome) = audit.take(scorer, came) {
                self.blame(&outcome, "dispute");
                if outcome.writer == Word::Fail {
                    let pooled: Vec<&str> =
                        pooled.reasons.iter().map(|reason| name(*reason)).collect();
                    self.note(writer, true, &pooled);
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Now and then, whether a scorer does its work.
    fn check(&mut self, scorer: usize, scorers: &[usize], case: &Arc<Case>) -> Result<(), Error> {
        let id = &case.job.request_id;
        match self.draw.check(id) {
            None => {}
            Some(Check::Spoilt) => {
                let mut random = self.draw.randomness(id);
                let spoilt = canary::spoilt(case.tokens(), &mut random);
                let (Some(answer), true) =
                    (case.answer(), canary::is_of_use(case.tokens(), &spoilt))
                else {
                    return Ok(());
                };
                let scored = self.scored_by(scorer, case, &spoilt)?;
                let Some(key) = Key::of(answer.provenance, &scored) else { return Ok(()) };
                let thresholds = self.profiles.thresholds(&key);
                let order = case.order(&spoilt);
                let found = canary::is_found(&answer, &order, &scored, &thresholds, &mut random);
                self.note(scorer, !found, &["canary"]);
            }
            Some(Check::Again) => {
                let mut audit = confirm::Audit::recheck(scorer);
                for other in scorers.iter().filter(|other| **other != scorer) {
                    let came = self.ask(*other, case)?.0;
                    if let Next::Done(outcome) = audit.take(*other, came) {
                        self.blame(&outcome, "recheck");
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn blame(&mut self, outcome: &Outcome<usize>, how: &'static str) {
        outcome.failed.iter().for_each(|scorer| self.note(*scorer, true, &[how]));
        outcome.confirmed.iter().for_each(|scorer| self.note(*scorer, false, &[]));
    }

    fn ask(&mut self, scorer: usize, case: &Case) -> Result<(Came, Option<Judged>), Error> {
        let scored = self.scored_by(scorer, case, case.tokens())?;
        let Some(answer) = case.answer() else { return Ok((Came::Nothing, None)) };
        let order = case.order(case.tokens());
        let mut random = self.draw.randomness(&case.job.request_id);
        Ok(match judge(&answer, &order, &scored, &self.profiles, &mut random) {
            Ok(judged) => (Vote::of(&judged.verdict), Some(judged)),
            Err(_) => (Came::Malformed, None),
        })
    }

    fn scored_by(
        &mut self,
        scorer: usize,
        case: &Case,
        ids: &[u32],
    ) -> Result<openapi::verify::Scored, Error> {
        if let Some(book) = self.books.get_mut(scorer) {
            book.scored += 1;
        }
        self.nodes.get(scorer).ok_or("no such node")?.score(case, ids)
    }

    /// All but the writer and who is sent away, in the order in which they are asked.
    fn scorers(&self, writer: usize, case: &Case) -> Vec<usize> {
        let is_in =
            |at: &usize| *at != writer && self.books.get(*at).is_some_and(|book| !book.is_out);
        let named = self.nodes.iter().enumerate().filter(|(at, _)| is_in(at));
        let mut scorers: Vec<(usize, &Node)> = named.collect();
        self.draw.order(&case.job.request_id, &mut scorers, |(_, node)| node.name.as_bytes());
        scorers.into_iter().map(|(at, _)| at).collect()
    }

    fn note(&mut self, node: usize, is_fail: bool, why: &[&'static str]) {
        let Some(book) = self.books.get_mut(node) else { return };
        book.integrity.take(is_fail, self.now_ms);
        book.is_out |= book.cusum.take(is_fail);
        if is_fail {
            why.iter().for_each(|why| *book.fails.entry(*why).or_default() += 1);
        }
    }
}

/// Figures of one audit of an honest or another node's answer, for calibration.
pub(super) fn figures(
    scorer: &Node,
    case: &Case,
    draw: &Draw,
) -> Result<Option<(Key, Figures)>, Error> {
    let scored = scorer.score(case, case.tokens())?;
    let Some(answer) = case.answer() else { return Ok(None) };
    let mut random = draw.randomness(&case.job.request_id);
    let judged =
        judge(&answer, &case.order(case.tokens()), &scored, &Profiles::default(), &mut random)?;
    Ok(judged.key.zip(judged.figures))
}

/// Of who says that it is a fail.
fn reasons(judgements: &[Judged]) -> Vec<&'static str> {
    let fails = judgements.iter().find_map(|judged| match &judged.verdict {
        Verdict::Fail(reasons) => Some(reasons),
        _ => None,
    });
    fails.into_iter().flatten().map(|reason| name(*reason)).collect()
}

fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Distance => "S1",
        Reason::Margin => "S3",
        Reason::Implausible => "S4",
        Reason::End => "S5",
        Reason::Prompt => "S6 prompt",
        Reason::Text => "S6 text",
        Reason::Count => "S6 count",
        Reason::Sampling => "S7",
        Reason::Provenance | Reason::Signature | Reason::Withheld => "provenance",
        Reason::Weights | Reason::Precision => "promise",
        Reason::Sampler | Reason::Seed => "sampling",
        Reason::Commitment => "commitment",
    }
}
