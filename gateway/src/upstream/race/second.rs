//! Second attempts beside one that is late or due to be tried again: who may have one, when it goes, and
//! what becomes of those that lose.

use smallvec::SmallVec;
use tokio::time::Instant;

use super::probe::Probe;
use super::{Race, Racer};
use crate::metrics::{HedgeDenial, HedgeOutcome};
use crate::request::Endpoint;
use crate::request::policy::Hedge;
use crate::route::Gate;
use crate::route::choice::{Choice, Chosen, HEDGE_UTILISATION_MAX};
use crate::route::draw;
use crate::route::hedge::Denied;
use crate::upstream::explain::Why;
use crate::upstream::patience::Patience;
use crate::upstream::tally::Tally;

/// A longer prompt is sent twice only where a cancelled attempt is known to end.
const PROMPT_TOKENS_MAX: f64 = 32_000.0;
/// Who was not asked for so long may be tried beside another.
const UNUSED_MS: u64 = 20_000;
/// By this share of the requests.
const EXPLORED: f64 = 0.01;

impl Race<'_> {
    /// Whether this request may try out one that failed before: not one whose sender wants nobody asked
    /// twice, and none that is dear.
    pub(super) fn may_probe(&self, probe: &Chosen) -> bool {
        let key_max = self.job.grant.account.rules.hedges_max;
        let is_single = self.job.summary.choices <= 1 || self.job.endpoint == Endpoint::Embeddings;
        self.job.hedge != Hedge::Off
            && key_max != Some(0)
            && is_single
            && self.slate.ask().prompt_tokens <= PROMPT_TOKENS_MAX
            && self.purse.allows(probe.facts.money(self.slate.ask()))
    }

    /// Tries out one that was ejected, if no other request does.
    pub(super) fn probe(&mut self, probe: Chosen) {
        let Some(offer) = self.model.offers.get(probe.place) else { return };
        if offer.learned.gate(self.now_ms()) == Gate::Probe {
            self.try_out(probe);
        }
    }

    /// Beside the request, which it never answers.
    pub(super) fn try_out(&mut self, probe: Chosen) {
        let (context, model) = (self.context, self.model);
        let Some(offer) = model.offers.get(probe.place) else { return };
        let is_ejected = offer.learned.gate(self.now_ms()) != Gate::Closed;
        let tally = Tally::begin(context, self.job, (model, offer), self.slate, &probe.facts);
        if is_ejected && !tally.dispatch().is_probe {
            return;
        }
        self.lost += self.wasted(&probe);
        if let Some(member) = offer.member() {
            member.asked();
        }
        if let Some(explain) = &self.job.explain {
            explain.began(offer, Why::Probe);
        }
        let (hedges, hedging) = (&model.shared.hedges, &context.hedging);
        let patience = Patience::new(hedges, hedging, &context.limits, tally.dispatch());
        Probe::new(context, self.job, (model, offer), tally).spawn(patience.given_up);
    }

    /// One that nobody asked for a long time, which a few requests try beside their best: what made it
    /// dear may be over, and who is never asked never shows it.
    pub(super) fn to_explore(&self, choice: &Choice) -> Option<Chosen> {
        choice.best.filter(|_| !choice.is_panic)?;
        let unused = choice.unused?;
        let offer = self.model.offers.get(unused.place)?;
        let used_ms = offer.learned.used_ms();
        let may = used_ms.saturating_add(UNUSED_MS) <= self.now_ms()
            && unused.facts.utilisation() < HEDGE_UTILISATION_MAX
            && choice.utilisation < HEDGE_UTILISATION_MAX
            && self.context.hedging.enabled
            && self.may_probe(&unused)
            && draw((self.context.random)()) < EXPLORED
            && self.slate.is_ready(offer, &self.context.limits, self.context.time.now());
        may.then_some(unused)
    }

    /// The first token is late: asks somebody else too, if that is worth it and may be.
    pub(super) fn hedge(&mut self, now: Instant) {
        let Some(late) = self.racers.first() else { return };
        let waited = now.saturating_duration_since(late.begun);
        let (predicted_s, waited_s) = (late.predicted_s, waited.as_secs_f32());
        match self.second(predicted_s, waited_s) {
            Ok(second) => {
                self.purse.hedges = self.purse.hedges.saturating_sub(1);
                self.start(second, Why::Hedge);
                self.context.metrics.route.hedges.get(HedgeOutcome::Sent).inc();
                self.is_hedged = true;
                let next = self.racers.last().map(|racer| now + racer.patience.late);
                self.hedge_at = next.filter(|_| self.purse.hedges > 0);
            }
            Err(denial) => {
                self.context.metrics.route.hedges_denied.get(denial).inc();
                // It may be worth it when it has taken half as long again.
                self.hedge_at = Some(now + (waited / 2).max(self.context.hedging.delay.0));
            }
        }
    }

    fn second(&self, predicted_s: f32, waited_s: f32) -> Result<Chosen, HedgeDenial> {
        if !self.has_attempts() {
            return Err(HedgeDenial::Attempts);
        }
        let ask = self.slate.ask();
        let is_long = ask.prompt_tokens > PROMPT_TOKENS_MAX;
        let choice = self.pick(HEDGE_UTILISATION_MAX, &|offer| {
            let cancels = offer.member().and_then(|member| member.known.figures().cancels);
            let is_apart =
                |racer: &Racer<'_>| racer.offer.endpoint.operator != offer.endpoint.operator;
            self.racers.iter().all(is_apart)
                && cancels != Some(false)
                && (!is_long || offer.member().is_some())
        });
        let second = choice.best.filter(|_| !choice.is_panic).ok_or(HedgeDenial::Nobody)?;
        if !self.purse.allows(second.facts.money(ask)) {
            return Err(HedgeDenial::Price);
        }
        let (hedges, budget) = (&self.model.shared.hedges, &self.context.hedging.budget);
        hedges.take(budget, ask, predicted_s, waited_s, &second.facts).map_err(|denied| {
            match denied {
                Denied::Credits => HedgeDenial::Credits,
                Denied::Spend => HedgeDenial::Spend,
                Denied::Busy => HedgeDenial::Busy,
                Denied::Losing => HedgeDenial::Losing,
                Denied::NotWorth => HedgeDenial::NotWorth,
            }
        })?;
        Ok(second)
    }

    /// Content came of one: the others are cancelled.
    pub(super) fn settle(&mut self, number: u32) {
        if self.is_settled {
            return;
        }
        self.is_settled = true;
        self.hedge_at = None;
        let (winners, losers): (SmallVec<[_; 1]>, SmallVec<[_; 1]>) =
            std::mem::take(&mut self.racers).into_iter().partition(|racer| racer.number == number);
        let is_hedge = winners.iter().any(|racer: &Racer<'_>| racer.why == Why::Hedge);
        winners.iter().for_each(|winner| self.tell_content(winner));
        self.racers = winners;
        self.drop_losers(losers, is_hedge);
    }

    /// One reached the goal.
    pub(super) fn won(&mut self, racer: &Racer<'_>) {
        let is_first = !self.is_settled;
        let losers = std::mem::take(&mut self.racers);
        if is_first {
            self.tell_content(racer);
            self.drop_losers(losers, racer.why == Why::Hedge);
        }
        self.tell(racer, "won");
        self.record.won(&racer.offer.endpoint, racer.offer.member());
        if let (Some(refuser), Some(refused)) = (self.refuser, &self.refused)
            && !refused.is_about_context()
        {
            refuser.learned.contradicted(self.now_ms());
        }
        let answer = racer.chosen.facts.money(self.slate.ask());
        self.model.shared.hedges.spent(answer, self.lost);
    }

    fn drop_losers(&mut self, losers: SmallVec<[Racer<'_>; 1]>, has_hedge_won: bool) {
        for loser in &losers {
            self.lost += self.wasted(&loser.chosen);
            self.tell(loser, "lost");
        }
        if std::mem::take(&mut self.is_hedged) {
            self.model.shared.hedges.settled(has_hedge_won);
            if has_hedge_won {
                self.context.metrics.route.hedges.get(HedgeOutcome::Won).inc();
            }
        }
    }
}
