//! What is said of an answer when all is known: by whom it was given, who says otherwise, and what that
//! comes to, plainly.

use openapi::receipt::{Class, Verified};
use openapi::verification::{Party, Verification};
use std::sync::{Arc, OnceLock};

use super::panel::Panel;
use crate::consensus::agreement::{self, Decision};
use crate::market::Offer;
use crate::request::policy::Mode;
use crate::upstream::attempt::Context;
use crate::upstream::judge::Judgement;

/// Where it is put before the end of a stream is told.
pub type Verdict = OnceLock<Verification>;

/// On the answer of `told`, which the client gets or has.
pub(super) async fn of(panel: &mut Panel, decision: &Decision, told: usize) -> Verification {
    match panel.job.verification.mode {
        Mode::Quorum => agreed(panel, decision, told),
        Mode::Off | Mode::Audit | Mode::Verify => scored(panel, told).await,
    }
}

fn agreed(panel: &Panel, decision: &Decision, told: usize) -> Verification {
    let Decision { agreed, dissent, k, .. } = decision;
    let (n, is_its) = (panel.generations(), agreed.contains(&told));
    let is_reached = decision.is_reached && is_its;
    let verified = match (is_reached, decision.is_reached || !dissent.is_empty()) {
        (true, _) => Verified::Pass,
        (false, true) => Verified::Fail,
        (false, false) => Verified::None,
    };
    let message = match (decision.is_reached, is_its) {
        (true, true) => format!("{} of {n} operators gave this answer", agreed.len()),
        (true, false) => format!(
            "{} of {n} operators agreed on ANOTHER answer than this one: do not rely on it",
            agreed.len()
        ),
        (false, _) => format!(
            "{k} operators had to give the same answer, and no more than {} of {n} did: do not rely \
             on it",
            agreed.len()
        ),
    };
    Verification {
        mode: "quorum".to_owned(),
        verified,
        reached: is_reached,
        class: is_reached.then(|| class(decision.class)),
        k: number(*k),
        n: number(n),
        agreed: parties(panel, agreed),
        dissent: parties(panel, dissent),
        at_fault: parties(panel, &decision.at_fault),
        scorers: Vec::new(),
        message,
    }
}

async fn scored(panel: &mut Panel, told: usize) -> Verification {
    let (context, k) = (panel.context.clone(), panel.job.verification.k());
    let scorers = k.saturating_sub(1);
    let answered = panel.ballot(told).and_then(|ballot| ballot.answered.clone());
    let judgement = match answered {
        Some(answered) => {
            let (judge, cut) = (context.judge.clone(), context.shutdown.cut_token());
            let judged = judge.verify(context.clone(), answered, scorers as usize);
            let judged = tokio::time::timeout_at(panel.job.deadline, judged);
            let judged = cut.run_until_cancelled(judged).await;
            judged.and_then(Result::ok).unwrap_or_else(Judgement::none)
        }
        None => Judgement::none(),
    };
    let Judgement { verified, scorers: by } = judgement;
    let message = match verified {
        Verified::Pass => format!("{} operators scored this answer and let it stand", by.len()),
        Verified::Fail => {
            "scorers say that the model does NOT give this answer: do not rely on it".to_owned()
        }
        Verified::None | Verified::Pending => {
            format!("{scorers} operators had to score this answer, and too few could")
        }
    };
    let generator = parties(panel, &[told]);
    let party = |offer: &Arc<Offer>| Party {
        provider: offer.endpoint.id.to_string(),
        operator: offer.endpoint.operator.to_string(),
    };
    Verification {
        mode: "verify".to_owned(),
        verified,
        reached: verified == Verified::Pass,
        class: None,
        k,
        n: 1,
        at_fault: if verified == Verified::Fail { generator.clone() } else { Vec::new() },
        agreed: generator,
        dissent: Vec::new(),
        scorers: by.iter().map(party).collect(),
        message,
    }
}

/// Told to operators.
pub(super) fn count(context: &Context, verification: &Verification) {
    let verified = match verification.verified {
        Verified::Pass => crate::metrics::Verified::Pass,
        Verified::Fail => crate::metrics::Verified::Fail,
        Verified::None | Verified::Pending => crate::metrics::Verified::None,
    };
    context.metrics.trust.verifications.get(verified).inc();
}

fn parties(panel: &Panel, members: &[usize]) -> Vec<Party> {
    let party = |member: &usize| {
        let ballot = panel.ballot(*member).map(|ballot| ballot.by.clone());
        ballot.or_else(|| panel.asked.get(*member)?.clone())
    };
    members.iter().filter_map(party).collect()
}

fn class(class: agreement::Class) -> Class {
    match class {
        agreement::Class::Exact => Class::Exact,
        agreement::Class::Canonical => Class::Canonical,
        agreement::Class::Fork => Class::Fork,
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
