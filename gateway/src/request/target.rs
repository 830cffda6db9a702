//! A model's name as clients write it: `id`, `id:floor`, `id@provider`, and both together. Ids may
//! hold colons and at-signs themselves, so every way to read a name is offered, the plainest first.

use super::policy::Sort;

/// One way to read a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    pub model: &'a str,
    /// Of the suffix.
    pub sort: Option<Sort>,
    /// The one provider that may answer.
    pub provider: Option<&'a str>,
}

const SUFFIXES: [(&str, Sort); 3] =
    [(":nitro", Sort::Throughput), (":floor", Sort::Price), (":exacto", Sort::Exacto)];

// === impl Target ===

impl<'a> Target<'a> {
    /// The ways to read `name`; the first whose model exists is meant.
    pub fn readings(name: &'a str) -> impl Iterator<Item = Self> {
        let plain = Self { model: name, sort: None, provider: None };
        let (bare, sort) = split_suffix(name);
        let suffixed = (sort.is_some()).then_some(Self { model: bare, sort, provider: None });
        let pinned = bare.rsplit_once('@').filter(|(model, _)| !model.is_empty());
        let pinned = pinned.map(|(model, provider)| {
            // `id:floor@provider` as well as `id@provider:floor`.
            let (model, inner) = if sort.is_none() { split_suffix(model) } else { (model, None) };
            Self { model, sort: sort.or(inner), provider: Some(provider) }
        });
        [Some(plain), suffixed, pinned].into_iter().flatten()
    }
}

fn split_suffix(name: &str) -> (&str, Option<Sort>) {
    for (suffix, sort) in SUFFIXES {
        if let Some(model) = name.strip_suffix(suffix).filter(|model| !model.is_empty()) {
            return (model, Some(sort));
        }
    }
    (name, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(name: &str) -> (&str, Option<Sort>, Option<&str>) {
        let target = Target::readings(name).last().unwrap();
        (target.model, target.sort, target.provider)
    }

    #[test]
    fn suffixes_and_pins_are_read() {
        assert_eq!(last("acme/m:1"), ("acme/m:1", None, None));
        assert_eq!(last("m:floor"), ("m", Some(Sort::Price), None));
        assert_eq!(last("m@p"), ("m", None, Some("p")));
        assert_eq!(last("m@p:nitro"), ("m", Some(Sort::Throughput), Some("p")));
        assert_eq!(last("m:exacto@p"), ("m", Some(Sort::Exacto), Some("p")));
        assert_eq!(last(":floor"), (":floor", None, None));
        assert_eq!(last("@p"), ("@p", None, None));
    }

    #[test]
    fn the_name_itself_comes_first() {
        for name in ["m", "m:floor", "m@p:floor"] {
            assert_eq!(Target::readings(name).next().unwrap().model, name);
        }
    }
}
