//! What a check comes to, on the client's receipt.

use openapi::nodes::ScoreRecord;
use openapi::receipt::{Audit, Statistic, Verified};

use super::Trust;
use super::score::Word;
use crate::receipts::Amendment;
use crate::upstream::Answered;

impl Trust {
    /// Puts the verdict on the answer's receipt, if it has one.
    pub(super) fn tell(&self, answered: &Answered, verified: Verified, words: &[Word]) {
        let Some(receipt) = &answered.job.receipt else { return };
        let at = self.market.time().now().unix_ms / 1_000;
        let records = words.iter().filter_map(|word| Some((word, word.record.as_ref()?)));
        let audits =
            records.filter_map(|(word, record)| audit(&word.scorer.endpoint.id, record, at));
        let amendment = Amendment {
            verified: Some(verified),
            audits: audits.collect(),
            ..Amendment::default()
        };
        if let Some(late) = receipt.sheet.found(amendment) {
            self.receipts.amend(receipt.id, late);
        }
    }
}

fn audit(scorer: &str, record: &ScoreRecord, at: i64) -> Option<Audit> {
    let named = [
        ("distance", record.distance),
        ("drawn_share", record.drawn_share),
        ("margin", record.margin),
    ];
    let statistic = |(name, value): (&str, Option<f64>)| {
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let millionths = (value? * 1e6).round() as i64;
        Some(Statistic { name: name.to_owned(), millionths })
    };
    Some(Audit {
        scorer: scorer.to_owned(),
        scorer_key: record.scorer.parse().ok()?,
        at,
        verdict: match record.verdict.as_str() {
            "pass" | "short" => Verified::Pass,
            "fail" => Verified::Fail,
            _ => Verified::None,
        },
        tokens: record.tokens.into(),
        statistics: named.into_iter().filter_map(statistic).collect(),
        statement_sha256: record.statement_sha256.clone(),
        signature: record.signature.parse().ok()?,
    })
}
