//! Usage of an answer with several choices: each prompt once, the answers summed.

use openapi::usage::{CompletionTokensDetails, Usage};

/// Sums the choices' usages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total(Option<Usage>);

impl Total {
    /// `is_first`: of the choices that share its prompt.
    pub(super) fn add(&mut self, usage: Usage, is_first: bool) {
        let prompt = if is_first { usage.prompt_tokens } else { 0 };
        let Some(sum) = self.0 else {
            self.0 = Some(Usage {
                prompt_tokens_details: usage.prompt_tokens_details,
                completion_tokens_details: usage.completion_tokens_details,
                ..Usage::new(prompt, usage.completion_tokens)
            });
            return;
        };
        let completion = sum.completion_tokens.saturating_add(usage.completion_tokens);
        let reasoning = [sum, usage]
            .iter()
            .filter_map(|part| part.completion_tokens_details)
            .map(|details| details.reasoning_tokens)
            .reduce(u64::saturating_add);
        self.0 = Some(Usage {
            prompt_tokens_details: sum.prompt_tokens_details,
            completion_tokens_details: reasoning
                .map(|reasoning_tokens| CompletionTokensDetails { reasoning_tokens }),
            ..Usage::new(sum.prompt_tokens.saturating_add(prompt), completion)
        });
    }

    /// With no choice finished: the prompt alone.
    pub(super) fn usage(self, prompt_tokens: u32) -> Usage {
        self.0.unwrap_or_else(|| Usage::new(u64::from(prompt_tokens), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prompt_counts_once() {
        let mut total = Total::default();
        total.add(Usage::new(7, 3), false);
        let details = Some(CompletionTokensDetails { reasoning_tokens: 2 });
        total.add(Usage { completion_tokens_details: details, ..Usage::new(7, 5) }, true);
        total.add(Usage::new(4, 1), true);
        let expected = Usage { completion_tokens_details: details, ..Usage::new(11, 9) };
        assert_eq!(total.usage(7), expected);
        assert_eq!(Total::default().usage(4), Usage::new(4, 0));
    }
}
