//! What a request asks for, made of its body, its headers and the market: the models that may answer,
//! each with who may serve it.

use smallvec::SmallVec;
use std::sync::Arc;

use super::error::Error;
use super::models;
use super::options::{self, Options};
use crate::auth::Principal;
use crate::market::{Model, Resolved, Snapshot};
use crate::request::policy::Mode;
use crate::request::{Policy, Probe, Verification};
use crate::upstream::Wanted;

/// The models a request names, in their order.
///
/// # Errors
/// A policy that is wrong, or that nobody can fulfil; a model that does not exist.
pub(super) fn wanted(
    snapshot: &Snapshot,
    probe: &Probe<'_>,
    options: &Options<'_>,
    principal: &Principal,
) -> Result<(SmallVec<[Wanted; 1]>, Verification), Error> {
    let policy = match (probe.provider, options.provider) {
        (Some(member), _) => Some(Policy::from_json(member)?),
        (None, Some(text)) => Some(Policy::from_header(options::PROVIDER.as_str(), text)?),
        (None, None) => None,
    };
    let verification = verification(probe, options, principal)?;
    let policy = policy.map(Arc::new);
    let summary = probe.summary();
    let mut wanted = SmallVec::<[Wanted; 1]>::new();
    for (number, name) in std::iter::once(&summary.model).chain(&summary.models).enumerate() {
        let found = snapshot.resolve(name);
        let Some(target) = found else {
            let param = if number == 0 { "model" } else { "models" };
            return Err(Error::ModelNotFound { model: name.clone(), param });
        };
        let model = target.model;
        models::allow(principal, &model.id, &target.asked)?;
        reachable(principal, model)?;
        let policy = narrowed(policy.as_ref(), &target);
        // Clients put `model` into `models` too; it is asked for once.
        if !wanted.iter().any(|earlier| is_same(earlier, model, policy.as_ref())) {
            wanted.push(Wanted { model: model.clone(), policy, among: None });
        }
    }
    Ok((wanted, verification))
}

/// Of the same model, by the request's own policy.
fn is_same(earlier: &Wanted, model: &Arc<Model>, policy: Option<&Arc<Policy>>) -> bool {
    let is_policy_same = match (&earlier.policy, policy) {
        (Some(earlier), Some(policy)) => Arc::ptr_eq(earlier, policy),
        (None, None) => true,
        _ => false,
    };
    is_policy_same && Arc::ptr_eq(&earlier.model, model)
}

/// Refuses a model all of whose providers are out of the key's reach.
///
/// # Errors
/// It is one.
pub(super) fn reachable(principal: &Principal, model: &Model) -> Result<(), Error> {
    let scope = &principal.grant.scope;
    if scope.is_anywhere()
        || model.offers.is_empty()
        || !model.index.admitted(&model.offers, None, scope).is_clear()
    {
        return Ok(());
    }
    let is_near = model.offers.iter().any(|offer| scope.allows_region(offer.region.as_deref()));
    let (what, code) = match is_near {
        true => ("providers", "provider_not_allowed"),
        false => ("regions", "region_not_allowed"),
    };
    let message = format!("No provider of this model is among the {what} that this key may use.");
    Err(Error::Forbidden { message, code })
}

/// The policy with what the model's name adds.
fn narrowed(policy: Option<&Arc<Policy>>, target: &Resolved<'_>) -> Option<Arc<Policy>> {
    if target.sort.is_none() && target.provider.is_none() {
        return policy.cloned();
    }
    let mut policy = policy.map(|policy| (**policy).clone()).unwrap_or_default();
    policy.sort = target.sort.or(policy.sort);
    if let Some(provider) = &target.provider {
        policy.pin = Some(provider.clone());
    }
    Some(Arc::new(policy))
}

/// How sure of the answer the client wants to be; its key's word where it says nothing.
///
/// # Errors
/// It is wrong, the key may not have so many answer, or such a request has nothing that could be compared.
fn verification(
    probe: &Probe<'_>,
    options: &Options<'_>,
    principal: &Principal,
) -> Result<Verification, Error> {
    let rules = &principal.grant.account.rules;
    let header = options::VERIFY;
    let (verification, root) = match (probe.verification, options.verification) {
        (Some(member), _) => (Verification::from_json(member)?, "verification"),
        (None, Some(text)) => (Verification::from_header(header.as_str(), text)?, header.as_str()),
        // Of a key's word for its answers vectors are none.
        (None, None) if probe.input.is_some() => return Ok(Verification::default()),
        (None, None) => (rules.verification.unwrap_or_default(), "verification"),
    };
    let (asked, member) = match verification.mode {
        Mode::Off | Mode::Audit => return Ok(verification),
        Mode::Verify => (verification.k(), "k"),
        Mode::Quorum => (verification.n(), "n"),
    };
    let max = rules.quorum_max();
    if asked > max {
        let message = format!("This key may have at most {max} providers work on one answer.");
        return Err(Error::invalid(format!("{root}.{member}"), message));
    }
    let summary = probe.summary();
    let what = match () {
        () if probe.input.is_some() => "Embeddings",
        () if summary.choices != 1 => "Several choices, or answers to several prompts,",
        () => return Ok(verification),
    };
    Err(Error::invalid(root, format!("{what} can't be verified.")))
}
