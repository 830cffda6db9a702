//! `[[alias]]`: names that stand for other names, with one `*` each. Pure; what a name means in the end
//! is for the snapshot to say.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::config::Alias;

/// Aliases that lead to aliases; the configuration is checked for circles, but not what a `*` makes.
const HOPS_MAX: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Aliases {
    exact: HashMap<String, String>,
    /// The longest literal beginning first.
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    prefix: String,
    suffix: String,
    to: String,
}

// === impl Aliases ===

impl Aliases {
    pub(crate) fn new(list: &[Alias]) -> Self {
        let mut aliases = Self::default();
        for Alias { from, to } in list {
            match from.split_once('*') {
                None => {
                    aliases.exact.insert(from.clone(), to.clone());
                }
                Some((prefix, suffix)) => aliases.patterns.push(Pattern {
                    prefix: prefix.to_owned(),
                    suffix: suffix.to_owned(),
                    to: to.clone(),
                }),
            }
        }
        let length = |pattern: &Pattern| (pattern.prefix.len(), pattern.suffix.len());
        aliases.patterns.sort_by_key(|pattern| std::cmp::Reverse(length(pattern)));
        aliases
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// The name after one step.
    pub(crate) fn step(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(to) = self.exact.get(name) {
            return Some(Cow::Borrowed(to));
        }
        self.patterns.iter().find_map(|pattern| pattern.step(name))
    }

    /// The first of the names that `name` leads to for which `find` knows something.
    pub(crate) fn follow<T>(&self, name: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut at = self.step(name)?;
        for _ in 0..HOPS_MAX {
            if let Some(found) = find(&at) {
                return Some(found);
            }
            at = Cow::Owned(self.step(&at)?.into_owned());
        }
        None
    }
}

impl Pattern {
    fn step(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = name.strip_prefix(&self.prefix)?.strip_suffix(&self.suffix)?;
        Some(match self.to.contains('*') {
            true => Cow::Owned(self.to.replacen('*', text, 1)),
            false => Cow::Borrowed(&self.to),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(list: &[(&str, &str)]) -> Aliases {
        let list =
            list.iter().map(|(from, to)| Alias { from: (*from).to_owned(), to: (*to).to_owned() });
        Aliases::new(&list.collect::<Vec<_>>())
    }

    #[test]
    fn the_exact_name_goes_before_patterns_and_the_longest_beginning_before_shorter_ones() {
        let aliases = aliases(&[
            ("*", "any"),
            ("gpt-*", "open-*"),
            ("gpt-4*-mini", "small*"),
            ("gpt-4*", "large"),
            ("gpt-4o", "exact"),
        ]);
        for (from, to) in [
            ("gpt-4o", "exact"),
            ("gpt-4.1-mini", "small.1"),
            ("gpt-4.1", "large"),
            ("gpt-3", "open-3"),
            ("claude", "any"),
        ] {
            assert_eq!(aliases.step(from).as_deref(), Some(to), "{from}");
        }
    }

    #[test]
    fn beginning_and_end_do_not_overlap() {
        let aliases = aliases(&[("aba*ba", "x")]);
        assert_eq!(aliases.step("aba"), None);
        assert_eq!(aliases.step("ababa").as_deref(), Some("x"));
    }

    #[test]
    fn chains_are_followed_and_circles_end() {
        let aliases = aliases(&[("a", "b"), ("b", "c"), ("x*", "xx*")]);
        let find = |name: &str| (name == "c").then(|| name.to_owned());
        assert_eq!(aliases.follow("a", find).as_deref(), Some("c"));
        assert_eq!(aliases.follow("x", find), None);
        assert_eq!(aliases.follow("c", find), None, "only where an alias leads");
    }
}
