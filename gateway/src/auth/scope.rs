//! Which models, regions and providers a key may use: allow-lists. It chooses nothing.

/// A list that is absent allows all; an empty one nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope(Option<Box<Lists>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lists {
    models: Option<Vec<String>>,
    regions: Option<Vec<String>>,
    providers: Option<Vec<String>>,
}

impl Scope {
    pub fn new(
        models: Option<Vec<String>>,
        regions: Option<Vec<String>>,
        providers: Option<Vec<String>>,
    ) -> Self {
        if models.is_none() && regions.is_none() && providers.is_none() {
            return Self(None);
        }
        Self(Some(Box::new(Lists { models, regions, providers })))
    }

    /// Names, and patterns that end in `*`.
    pub fn models(&self) -> Option<&[String]> {
        self.0.as_ref()?.models.as_deref()
    }

    pub fn regions(&self) -> Option<&[String]> {
        self.0.as_ref()?.regions.as_deref()
    }

    /// Ids or operators.
    pub fn providers(&self) -> Option<&[String]> {
        self.0.as_ref()?.providers.as_deref()
    }

    /// Whether the model may be used, called by any of `names`: its id, or the alias that was asked
    /// for.
    pub fn allows_model(&self, names: &[&str]) -> bool {
        let is_listed = |listed: &String| names.iter().any(|name| matches(listed, name));
        self.models().is_none_or(|models| models.iter().any(is_listed))
    }

    /// Whether any provider may be used, wherever it is.
    pub fn is_anywhere(&self) -> bool {
        self.regions().is_none() && self.providers().is_none()
    }

    /// A provider that names no region is in none.
    pub fn allows_region(&self, region: Option<&str>) -> bool {
        self.regions().is_none_or(|regions| {
            region.is_some_and(|region| {
                regions.iter().any(|listed| listed.eq_ignore_ascii_case(region))
            })
        })
    }

    pub fn allows_provider(&self, id: &str, operator: &str) -> bool {
        let is_meant = |listed: &String| listed == id || listed == operator;
        self.providers().is_none_or(|providers| providers.iter().any(is_meant))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Option<Vec<String>> {
        Some(entries.iter().map(|&entry| entry.to_owned()).collect())
    }

    #[test]
    fn without_a_list_all_is_allowed_and_an_empty_one_allows_nothing() {
        let open = Scope::default();
        assert!(open.allows_model(&["any"]));
        assert!(open.allows_region(None));
        assert!(open.allows_provider("p", "o"));
        let closed = Scope::new(list(&[]), list(&[]), list(&[]));
        assert!(!closed.allows_model(&["any"]));
        assert!(!closed.allows_region(Some("eu")));
        assert!(!closed.allows_provider("p", "o"));
    }

    #[test]
    fn models_match_by_name_or_beginning() {
        let scope = Scope::new(list(&["acme/*", "pip"]), None, None);
        for (names, allowed) in [
            (&["acme/a"][..], true),
            (&["acme/"], true),
            (&["acme"], false),
            (&["pip"], true),
            (&["pip2"], false),
            (&["real-id", "pip"], true),
            (&["Pip"], false),
        ] {
            assert_eq!(scope.allows_model(names), allowed, "{names:?}");
        }
    }

    #[test]
    fn who_names_no_region_is_in_none_and_an_operator_stands_for_its_providers() {
        let scope = Scope::new(None, list(&["eu-west"]), list(&["acme", "b1"]));
        assert!(scope.allows_region(Some("eu-west")));
        assert!(!scope.allows_region(Some("eu")));
        assert!(!scope.allows_region(None));
        assert!(scope.allows_provider("a1", "acme"));
        assert!(scope.allows_provider("b1", "other"));
        assert!(!scope.allows_provider("b2", "other"));
    }
}
