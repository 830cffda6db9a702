//! Whom a request may ask for one model: its providers as the route sees them. What policy, scope and the
//! request's own needs admit is found once, by the model's index; what changes from moment to moment is
//! looked at for each attempt, and only for the few that are drawn.

use fixedbitset::FixedBitSet;
use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;
use std::time::Duration;

use super::attempt::Context;
use super::error::Error;
use super::request::{Job, Wanted};
use crate::config;
use crate::market::{Model, Now, Offer};
use crate::request::policy::Sort;
use crate::request::{self, Policy};
use crate::route::choice::{Choice, Terms};
use crate::route::eligible::{self, Bill};
use crate::route::{self, Ask, LONG_BYTES, Prefix, Random, SHORT_BYTES, Values};

mod draw;
mod group;
mod limits;
mod wish;

use draw::{Draw, Trial};
use group::Group;
use limits::{Limits, bill, needs, with_room};
use wish::Wish;

/// How much more time is worth to who sorts by it, and how much less to who sorts by price.
const HURRIED: f64 = 10.0;
const PATIENT: f64 = 0.1;

/// The providers of one model for one request.
#[derive(Debug)]
pub(super) struct Slate<'a> {
    model: &'a Model,
    /// Offers; absent: all are.
    admitted: Option<FixedBitSet>,
    policy: Option<&'a Policy>,
    /// Providers that are to be tried first, in their order.
    ordered: Vec<Group<'a>>,
    veterans: Group<'a>,
    /// Nodes on probation get a share of a model's requests, all of them together, as long as somebody
    /// else has room.
    newcomers: Group<'a>,
    is_newcomers_turn: bool,
    ask: Ask,
    prefix: Prefix,
    wish: Wish,
    bill: Bill,
    /// Tokens that the answer may have, where the client says so.
    answer_tokens: Option<u64>,
    job: &'a Job,
    /// Attempts that the policy allows.
    pub(super) attempts_max: usize,
}

impl<'a> Slate<'a> {
    /// # Errors
    /// Nobody offers the model, or nobody that the request, its policy and scope admit; the reason names
    /// what keeps them out.
    pub(super) fn new(context: &Context, wanted: &'a Wanted, job: &'a Job) -> Result<Self, Error> {
        let (model, policy, scope) = (&*wanted.model, wanted.policy.as_deref(), &job.grant.scope);
        if model.offers.is_empty() {
            return Err(no_provider_now("no provider offers it"));
        }
        let ask = ask(model, policy, job, context.routing.values);
        let limits = Limits {
            policy,
            scope,
            needs: needs(job),
            declared: limits::declared(job),
            bill: bill(&ask, job),
        };
        let mut admitted = limits.admitted(model, &ask);
        if let Some(among) = wanted.among.as_deref() {
            match &mut admitted {
                Some(admitted) => admitted.intersect_with(among),
                None => admitted = Some(among.clone()),
            }
        }
        if admitted.as_ref().is_some_and(FixedBitSet::is_clear) {
            return Err(limits.refusal(&model.offers));
        }
        let is_one = policy.is_some_and(|p| !p.allow_fallbacks && p.order.is_empty());
        let (veterans, newcomers) = group::parted(&model.crowd, admitted.as_ref());
        let ordered = policy.map(|policy| group::ordered(model, policy, admitted.as_ref()));
        let has_newcomers = !newcomers.is_empty();
        Ok(Self {
            is_newcomers_turn: has_newcomers
                && route::draw((context.random)()) < context.probation_share,
            ordered: ordered.unwrap_or_default(),
            prefix: prefix(model, job),
            wish: Wish::new(policy, &model.shared),
            bill: limits.bill,
            answer_tokens: job.summary.max_tokens,
            attempts_max: if is_one { 1 } else { usize::MAX },
            model,
            admitted,
            policy,
            veterans,
            newcomers,
            ask,
            job,
        })
    }

    /// Of them those that `may` be asked: all are looked at, so this is for who is too rare to be drawn by
    /// luck, and for what happens seldom.
    pub(super) fn only(self, may: &dyn Fn(&Offer) -> bool) -> Self {
        let (model, count) = (self.model, self.model.offers.len());
        let fits = |place: &usize| {
            self.is_admitted(*place) && model.offers.get(*place).is_some_and(|offer| may(offer))
        };
        let admitted = with_room((0..count).filter(fits), count);
        let (veterans, newcomers) = group::parted(&model.crowd, Some(&admitted));
        let ordered = self.policy.map(|policy| group::ordered(model, policy, Some(&admitted)));
        let (ordered, admitted) = (ordered.unwrap_or_default(), Some(admitted));
        Self { admitted, ordered, veterans, newcomers, ..self }
    }

    /// What the request weighs, as expected.
    pub(super) fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Not all of the model's providers may be asked.
    pub(super) fn is_narrow(&self) -> bool {
        self.admitted.is_some()
    }

    pub(super) fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Whom to ask next, of those that `may` be; places are in the model's list of offers. `tried`: places
    /// of those that were asked already: a provider is not asked again under another offer.
    pub(super) fn pick(
        &self,
        context: &Context,
        tried: &[usize],
        utilisation_max: f64,
        may: &dyn Fn(&Offer) -> bool,
    ) -> Choice {
        // Looked at anew: an earlier attempt may have taken its time.
        let now = context.time.now();
        let mut random = Random::of((context.random)());
        let terms = Terms {
            ask: self.ask,
            prefix: self.prefix,
            now_ms: now.run_ms,
            utilisation_max,
            ejected_max: context.breaker.ejected_max,
        };
        let draw = Draw { slate: self, limits: &context.limits, terms, now, tried, may };
        let mut all = Choice::default();
        // The newcomers' turn is a first attempt's: a request that failed once is not risked again.
        let is_turn = self.is_newcomers_turn && tried.is_empty() && self.ordered.is_empty();
        let trial = is_turn.then(|| Trial { money_max: self.known_cost(&draw, &mut random) });
        for (number, group) in self.groups(is_turn).enumerate() {
            let choice = draw.of(group, trial.filter(|_| number == 0), &mut random);
            let is_settled = choice.best.is_some() && !choice.is_panic;
            merge(&mut all, choice);
            if is_settled {
                break;
            }
        }
        all
    }

    /// What one who is known would cost, all in all: who wants more money alone could not be the best
    /// however quick and honest, and is not worth a try.
    fn known_cost(&self, draw: &Draw<'_>, random: &mut Random) -> f64 {
        let known = draw.of(&self.veterans, None, random).best;
        known.map_or(f64::INFINITY, |known| known.cost.total())
    }

    /// Why there is nobody to ask, after a choice without one.
    pub(super) fn nobody(&self, choice: &Choice, now_ms: u64) -> Error {
        if let Some(until_ms) = choice.paused_until_ms {
            let retry_after = Duration::from_millis(until_ms.saturating_sub(now_ms));
            return Error::RateLimited { retry_after: Some(retry_after) };
        }
        match choice.drawn {
            0 => no_provider_now("none of its providers takes requests now"),
            _ => no_provider_now("all of its providers are at their limit"),
        }
    }

    /// Who is drawn from first, and who where these can't.
    fn groups(&self, is_trial: bool) -> impl Iterator<Item = &Group<'a>> {
        let rest = match is_trial {
            true => [&self.newcomers, &self.veterans],
            false => [&self.veterans, &self.newcomers],
        };
        self.ordered.iter().chain(rest).filter(|group| !group.is_empty())
    }

    /// Whether an offer can be asked now, by what changes from moment to moment.
    pub(super) fn is_ready(&self, offer: &Offer, limits: &config::Limits, now: Now) -> bool {
        offer.endpoint.has_room(limits)
            && is_open(self.answer_tokens, offer, now)
            // A node may have changed its prices since the slate was made.
            && self.policy.is_none_or(|policy| {
                offer.seller.is_none() || {
                    let terms = offer.terms();
                    eligible::is_affordable(policy, &terms)
                        && eligible::is_within(policy, &self.bill, &terms)
                }
            })
    }

    pub(super) fn is_admitted(&self, place: usize) -> bool {
        self.admitted.as_ref().is_none_or(|admitted| admitted.contains(place))
    }
}

/// A choice whose best is taken only if nothing better was found before.
fn merge(all: &mut Choice, next: Choice) {
    let is_better = all.best.is_none() || (all.is_panic && !next.is_panic && next.best.is_some());
    if is_better {
        (all.best, all.is_panic) = (next.best, next.is_panic);
    }
    all.probe = all.probe.or(next.probe);
    all.unused = all.unused.or(next.unused);
    all.paused_until_ms = match (all.paused_until_ms, next.paused_until_ms) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let (before, more) = (f64::from(all.drawn), f64::from(next.drawn));
    if more > 0.0 {
        all.utilisation = (all.utilisation * before + next.utilisation * more) / (before + more);
    }
    all.drawn += next.drawn;
    all.loaded += next.loaded;
}

fn ask(model: &Model, policy: Option<&Policy>, job: &Job, usual: Values) -> Ask {
    let summary = &job.summary;
    // Pictures are no text.
    let bytes = summary.prompt_bytes.saturating_sub(summary.media.bytes);
    let answers = model.shared.answer_tokens(job.tenant, summary.max_tokens);
    Ask {
        prompt_tokens: model.shared.prompt_tokens(bytes),
        answer_tokens: match job.endpoint {
            request::Endpoint::Embeddings => 0.0,
            _ => answers * f64::from(summary.choices.max(1)),
        },
        values: policy.map_or(usual, |policy| values(policy, usual)),
    }
}

/// What time is worth to who asks with this policy.
fn values(policy: &Policy, usual: Values) -> Values {
    let values = policy.value_of_time.map_or(usual, |value| usual.worth(value));
    match policy.sort {
        Some(Sort::Price) => values.hurried(PATIENT),
        Some(Sort::Latency) => Values { first_token: values.first_token * HURRIED, ..values },
        Some(Sort::Throughput) => Values { decode: values.decode * HURRIED, ..values },
        Some(Sort::Exacto) | None => values,
    }
}

/// Whose caches and habits are one: a key's, by its name.
pub fn tenant(key_name: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(key_name.as_bytes());
    hasher.finish()
}

/// Of the model, the tenant and the prompt's beginning. No tenant can find out about another's prompts by
/// what is warm, as far as this gateway's choice goes.
fn prefix(model: &Model, job: &Job) -> Prefix {
    let opening = job.summary.opening(&job.body);
    let (Some(short), true) = (opening.get(..SHORT_BYTES), model.crowd.len() > 1) else {
        return Prefix::default();
    };
    let mut hasher = SipHasher13::new_with_keys(job.tenant, 0);
    hasher.write(model.id.as_bytes());
    hasher.write_u8(0xff);
    hasher.write(short);
    let short = hasher.finish().max(1);
    let long = opening.get(SHORT_BYTES..LONG_BYTES).map_or(0, |rest| {
        hasher.write(rest);
        hasher.finish().max(1)
    });
    Prefix { short, long }
}

fn no_provider_now(reason: &'static str) -> Error {
    Error::NoProvider { reason: reason.into(), retry_after: Some(Duration::from_secs(1)) }
}

/// How long the answer may take, by what was measured of the node.
fn expected(answer_tokens: Option<u64>, offer: &Offer) -> Duration {
    // Only the end of rented capacity asks for it.
    let Some(member) = offer.member().filter(|member| member.rented_until_ms().is_some()) else {
        return Duration::ZERO;
    };
    let speed = member.known.figures().decode_tps.filter(|speed| *speed > 0.0);
    let seconds = answer_tokens.zip(speed).map(|(tokens, speed)| {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let tokens = tokens as f64;
        tokens / speed
    });
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or_default()
}

fn is_open(answer_tokens: Option<u64>, offer: &Offer, now: Now) -> bool {
    offer.member().is_none_or(|member| member.is_open(now, expected(answer_tokens, offer)))
}
