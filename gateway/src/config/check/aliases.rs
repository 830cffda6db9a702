//! `[[alias]]`: names that stand for names. Every chain of them must lead to a model; where a `*` makes
//! the target, only a request can tell.

use std::collections::HashSet;

use super::super::problem::Problems;
use super::super::raw::RawAlias;
use super::super::{Alias, ModelEntry, Upstream};
use super::catalogue::name;
use crate::market::Aliases;
use crate::request::Target;

pub(super) fn aliases(
    raw: Vec<RawAlias>,
    models: &[ModelEntry],
    upstreams: &[Upstream],
    problems: &mut Problems,
) -> Vec<Alias> {
    let mut known: HashSet<&str> = models.iter().map(|entry| entry.id.as_str()).collect();
    known.extend(models.iter().flat_map(|entry| &entry.aliases).map(String::as_str));
    known.extend(upstreams.iter().flat_map(|u| &u.models).map(|served| served.id.as_str()));
    let mut froms = HashSet::new();
    let mut aliases = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let (from_path, to_path) = (format!("alias[{index}].from"), format!("alias[{index}].to"));
        let Some(from) = name(&from_path, raw.from, problems) else { continue };
        let Some(to) = target(&to_path, raw.to, problems) else { continue };
        if known.contains(from.as_str()) {
            problems.add(from_path.as_str(), format!("{from:?} is the name of a model"));
        }
        if from.matches('*').count() > 1 {
            problems.add(from_path.as_str(), "may hold one *");
        }
        if to.matches('*').count() > from.matches('*').count().min(1) {
            problems.add(to_path, "may hold one *, and only where from holds one");
        }
        if !froms.insert(from.clone()) {
            problems.add(from_path, format!("{from:?} is listed twice"));
        }
        aliases.push(Alias { from, to });
    }
    targets(&aliases, &known, problems);
    aliases
}

/// A name as clients may write it: a provider may be part of it.
fn target(path: &str, text: Option<String>, problems: &mut Problems) -> Option<String> {
    let bare = text.as_ref().map(|text| text.replace('@', ""));
    name(path, bare, problems)?;
    text
}

/// Follows each target that is known without a request.
fn targets(aliases: &[Alias], known: &HashSet<&str>, problems: &mut Problems) {
    let by_name = Aliases::new(aliases);
    for (index, Alias { to, .. }) in aliases.iter().enumerate() {
        let (path, mut at) = (format!("alias[{index}].to"), to.clone());
        let mut passed = HashSet::new();
        let fault = loop {
            let is_model = |name: &str| Target::readings(name).any(|t| known.contains(t.model));
            if at.contains('*') || at.contains('@') || is_model(&at) {
                break None;
            }
            let next = by_name.step(&at).map(std::borrow::Cow::into_owned);
            match next {
                None => break Some(format!("{at:?} is no model of this configuration")),
                Some(_) if !passed.insert(at.clone()) => {
                    break Some(format!("leads back to {at:?}"));
                }
                // What a pattern makes may grow without end.
                Some(_) if passed.len() > aliases.len() => {
                    break Some("leads from alias to alias without end".to_owned());
                }
                Some(next) => at = next,
            }
        };
        if let Some(fault) = fault {
            problems.add(path, fault);
        }
    }
}
