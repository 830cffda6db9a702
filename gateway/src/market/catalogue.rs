//! What a name means: which weights may be sold under it, and under which names what a node serves is
//! sold. Pure. A name that the configuration gives to something is never a node's to give to another.

use openapi::node::{Selling, Served};
use std::collections::{HashMap, HashSet};

use super::refusal::Refusal;
use crate::config::{ModelEntry, Settings};

#[derive(Debug, Default)]
pub(super) struct Catalogue {
    entries: Vec<ModelEntry>,
    /// Digest of weights to places in `entries`.
    by_weights: HashMap<String, Vec<usize>>,
    /// Names with a meaning: ids, aliases, and what static upstreams serve.
    taken: HashSet<String>,
}

// === impl Catalogue ===

impl Catalogue {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut catalogue = Self { entries: settings.models.clone(), ..Self::default() };
        for (at, entry) in settings.models.iter().enumerate() {
            for weights in &entry.weights_ids {
                catalogue.by_weights.entry(weights.to_ascii_lowercase()).or_default().push(at);
            }
            catalogue.taken.extend(entry.aliases.iter().cloned());
            catalogue.taken.insert(entry.id.clone());
        }
        let served = settings.upstreams.iter().flat_map(|upstream| &upstream.models);
        catalogue.taken.extend(served.map(|served| served.id.clone()));
        catalogue.taken.extend(settings.aliases.iter().map(|alias| alias.from.clone()));
        catalogue
    }

    /// Under which names `provider` sells what it serves: those its weights are listed under, else
    /// `id@provider`.
    ///
    /// # Errors
    /// A listed name claimed by other weights, or with another template than the entry's.
    pub(super) fn selling(
        &self,
        models: &[Served],
        provider: &str,
    ) -> Result<Vec<Selling>, Refusal> {
        let mut selling = Vec::with_capacity(models.len());
        for (at, served) in models.iter().enumerate() {
            let before = selling.len();
            for entry in self.listed(served) {
                if fits_template(entry, served) {
                    let (model, name) = (served.id.clone(), entry.id.clone());
                    selling.push(Selling { model, name, verified: true });
                }
            }
            if selling.len() == before {
                self.unlisted(at, served)?;
                let name = format!("{}@{provider}", served.id);
                selling.push(Selling { model: served.id.clone(), name, verified: false });
            }
        }
        Ok(selling)
    }

    fn listed(&self, served: &Served) -> impl Iterator<Item = &ModelEntry> {
        let weights = served.weights_id.as_deref().and_then(|id| self.by_weights.get(id));
        weights.into_iter().flatten().filter_map(|at| self.entries.get(*at))
    }

    fn unlisted(&self, at: usize, served: &Served) -> Result<(), Refusal> {
        if !self.taken.contains(&served.id) {
            return Ok(());
        }
        let (member, whose) = match self.listed(served).next() {
            Some(_) => ("template_sha256", "chat template is not the one"),
            None => ("weights_id", "weights are not among those"),
        };
        let what = format!(
            "{:?} is a name of this gateway, and the node's {whose} that may be sold under it; call it otherwise, and it is sold as unlisted",
            served.id
        );
        Err(Refusal::WeightsNotListed { param: format!("models[{at}].{member}"), what })
    }
}

fn fits_template(entry: &ModelEntry, served: &Served) -> bool {
    entry.template_sha256.as_deref().is_none_or(|wanted| {
        served.template_sha256.as_deref().is_some_and(|had| had.eq_ignore_ascii_case(wanted))
    })
}
