//! What happened to a node, kept with its key: the last records and the latest figures of each model.
//! Statistics, hashes and reasons; never a prompt, never an answer. It judges nothing.

use openapi::node::MODELS_MAX;
use openapi::nodes::{EvidenceKind, EvidenceRecord, EvidenceVerdict, Measured};
use openapi::sign::{Signed, Statement};
use sha2::{Digest as _, Sha256};
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::is_hidden;

/// Records kept of one node; the oldest of the most common kind goes first.
pub const RECORDS_MAX: usize = 32;
/// Longer notes are cut, in bytes.
const NOTE_BYTES_MAX: usize = 256;

#[derive(Debug, Default)]
pub struct Evidence {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<EvidenceRecord>,
    /// By the node's own name for the model; the latest last.
    figures: Vec<(String, Measured)>,
}

impl Evidence {
    pub fn push(&self, record: EvidenceRecord) {
        self.lock().push(record);
    }

    /// The records, the newest last.
    pub fn records(&self) -> Vec<EvidenceRecord> {
        self.lock().records.iter().cloned().collect()
    }

    /// The newest record of that kind.
    pub fn last(&self, kind: EvidenceKind) -> Option<EvidenceRecord> {
        self.lock().records.iter().rfind(|record| record.kind == kind).cloned()
    }

    /// The latest figures of a model.
    pub fn measured(&self, model: &str) -> Option<Measured> {
        let kept = self.lock();
        kept.figures.iter().find(|(name, _)| name == model).map(|(_, measured)| *measured)
    }

    /// Figures of a model, in the place of earlier ones. Those measured longest ago make room.
    pub fn measure(&self, model: &str, measured: Measured) {
        let mut kept = self.lock();
        kept.push(EvidenceRecord {
            model: Some(model.to_owned()),
            measured: Some(measured),
            ..record(measured.at_ms, EvidenceKind::Speed, EvidenceVerdict::Ok)
        });
        kept.figures.retain(|(name, _)| name != model);
        let surplus = (kept.figures.len() + 1).saturating_sub(MODELS_MAX);
        kept.figures.drain(..surplus);
        kept.figures.push((model.to_owned(), measured));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The same again takes the place of what was before: repeated failures push nothing else out.
    fn push(&mut self, record: EvidenceRecord) {
        if let Some(last) = self.records.back_mut() {
            let again = EvidenceRecord { at_ms: last.at_ms, ..record.clone() };
            if *last == again {
                last.at_ms = record.at_ms;
                return;
            }
        }
        if self.records.len() >= RECORDS_MAX {
            self.make_room();
        }
        self.records.push_back(record);
    }

    /// The oldest of what there is most of goes: a node has joins and offers at will, and must not push
    /// out with them what speaks against it.
    fn make_room(&mut self) {
        let group = |record: &EvidenceRecord| (record.kind, record.verdict);
        let alike = |of: &EvidenceRecord| {
            self.records.iter().filter(|record| group(record) == group(of)).count()
        };
        let oldest = self.records.iter().enumerate();
        let oldest = oldest.max_by_key(|(at, record)| (alike(record), Reverse(*at)));
        if let Some(at) = oldest.map(|(at, _)| at) {
            self.records.remove(at);
        }
    }
}

/// A record that says nothing more yet.
pub fn record(at_ms: i64, kind: EvidenceKind, verdict: EvidenceVerdict) -> EvidenceRecord {
    EvidenceRecord {
        at_ms,
        kind,
        verdict,
        note: None,
        model: None,
        measured: None,
        rtt_ms: None,
        samples: None,
        statement_sha256: None,
        signature: None,
        audit: None,
    }
}

/// A record of something the node signed.
pub fn signed<T: Statement>(
    at_ms: i64,
    kind: EvidenceKind,
    verdict: EvidenceVerdict,
    signed: &Signed<T>,
) -> EvidenceRecord {
    EvidenceRecord {
        statement_sha256: Some(hex::encode(Sha256::digest(signed.statement.as_bytes()))),
        signature: Some(signed.signature.to_string()),
        ..record(at_ms, kind, verdict)
    }
}

/// A note as it is kept: one line of bearable length.
pub fn note(text: &str) -> String {
    let mut end = text.len().min(NOTE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = text.get(..end).unwrap_or_default();
    cut.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openapi::node::Delegation;
    use openapi::sign::SecretKey;

    fn measured(at_ms: i64) -> Measured {
        Measured { decode_tps: Some(at_ms as f64), at_ms, ..Measured::default() }
    }

    #[test]
    fn the_oldest_record_makes_room() {
        let evidence = Evidence::default();
        for at_ms in 0..100 {
            let mut offer = record(at_ms, EvidenceKind::Offer, EvidenceVerdict::Ok);
            offer.note = Some(at_ms.to_string());
            evidence.push(offer);
        }
        let records = evidence.records();
        assert_eq!(records.len(), RECORDS_MAX);
        assert_eq!(records.first().unwrap().at_ms, 100 - RECORDS_MAX as i64);
        assert_eq!(evidence.last(EvidenceKind::Offer).unwrap().at_ms, 99);
        assert_eq!(evidence.last(EvidenceKind::Speed), None);
    }

    #[test]
    fn coming_and_going_and_new_prices_push_no_verdict_out() {
        let evidence = Evidence::default();
        let mut refuted = record(1, EvidenceKind::Region, EvidenceVerdict::Refuted);
        refuted.note = Some("there and back in 300 ms".to_owned());
        evidence.push(refuted.clone());
        evidence.push(record(2, EvidenceKind::Speed, EvidenceVerdict::Failed));
        for at_ms in 3..300 {
            for kind in [EvidenceKind::Join, EvidenceKind::Offer] {
                evidence.push(record(at_ms, kind, EvidenceVerdict::Ok));
            }
        }
        let records = evidence.records();
        assert_eq!(records.len(), RECORDS_MAX);
        assert_eq!(records.first(), Some(&refuted));
        assert_eq!(records[1].verdict, EvidenceVerdict::Failed);
    }

    #[test]
    fn what_happens_again_is_kept_once() {
        let evidence = Evidence::default();
        evidence.push(record(1, EvidenceKind::Join, EvidenceVerdict::Ok));
        for at_ms in 2..50 {
            evidence.push(record(at_ms, EvidenceKind::Speed, EvidenceVerdict::Failed));
        }
        let times: Vec<i64> = evidence.records().iter().map(|record| record.at_ms).collect();
        assert_eq!(times, [1, 49]);
    }

    #[test]
    fn figures_are_those_measured_last_and_of_so_many_models_at_most() {
        let evidence = Evidence::default();
        evidence.measure("a", measured(1));
        evidence.measure("a", measured(2));
        assert_eq!(evidence.measured("a"), Some(measured(2)));
        for number in 0..MODELS_MAX {
            evidence.measure(&format!("m{number}"), measured(3));
        }
        assert_eq!(evidence.measured("a"), None, "it was measured longest ago");
        assert_eq!(evidence.measured("m0"), Some(measured(3)));
        assert_eq!(evidence.lock().figures.len(), MODELS_MAX);
    }

    #[test]
    fn what_was_signed_can_be_recognised() {
        let key = SecretKey::from_seed(&[7; 32]);
        let (operator, node) = (key.public(), key.public());
        let word = Signed::new(&Delegation { operator, node, issued_at_ms: 1 }, &key).unwrap();
        let record = signed(5, EvidenceKind::Join, EvidenceVerdict::Ok, &word);
        let digest = hex::encode(Sha256::digest(word.statement.as_bytes()));
        assert_eq!(record.statement_sha256, Some(digest));
        assert_eq!(record.signature.unwrap().len(), 128);
    }

    #[test]
    fn a_note_is_one_line() {
        assert_eq!(note("a\nb"), "a b");
        assert_eq!(note(&"ä".repeat(500)).len(), NOTE_BYTES_MAX);
    }
}
