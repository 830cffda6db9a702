//! The one writer: it gathers what comes within 50 ms, signs for it once, and has it on disk before anybody
//! can read it. What could not be written is tried again; meanwhile the queue fills, and then drops.

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::batch::{self, Leaf};
use super::{BATCH_MAX, Entry, Error, GATHER, Open, RETRY, Receipts};
use crate::metrics::ReceiptOutcome;
use crate::shutdown::Shutdown;

pub(super) async fn run(receipts: Receipts, mut queue: Receiver<Entry>, shutdown: Shutdown) {
    let mut batch = Vec::new();
    loop {
        if batch.is_empty() {
            gather(&mut queue, &mut batch, &shutdown).await;
        }
        if batch.is_empty() {
            return;
        }
        let writer = receipts.clone();
        let entries = std::mem::take(&mut batch);
        let written = shutdown.tracker().spawn_blocking(move || {
            let result = writer.write(&entries);
            (entries, result)
        });
        match written.await {
            Ok((_, Ok(()))) => {}
            Ok((entries, Err(error))) => {
                tracing::error!(%error, waiting = entries.len(), "receipts can't be written");
                if shutdown.is_draining() {
                    return receipts.lost(entries.len());
                }
                batch = entries;
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = shutdown.draining() => {}
                }
            }
            Err(error) => tracing::error!(%error, "the writer of receipts failed"),
        }
    }
}

/// Fills a batch. Nothing in it: the end has come, and nothing is left.
async fn gather(queue: &mut Receiver<Entry>, batch: &mut Vec<Entry>, shutdown: &Shutdown) {
    tokio::select! {
        biased;
        first = queue.recv() => batch.extend(first),
        () = shutdown.draining() => {}
    }
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH_MAX {
        if shutdown.is_draining() {
            match queue.try_recv() {
                Ok(entry) => batch.push(entry),
                Err(_) => return,
            }
            continue;
        }
        tokio::select! {
            next = timeout_at(until, queue.recv()) => match next {
                Ok(Some(entry)) => batch.push(entry),
                Ok(None) | Err(_) => return,
            },
            () = shutdown.draining() => {}
        }
    }
}

impl Receipts {
    /// Signs for a batch and keeps it; all or nothing. Blocks.
    fn write(&self, entries: &[Entry]) -> Result<(), Error> {
        let open = self.opened()?;
        if self.is_key_old(open)
            && let Err(error) = self.rotate()
        {
            tracing::error!(%error, "the key of receipts can't be replaced; the old one is used");
        }
        let leaves = self.leaves(open, entries)?;
        if leaves.is_empty() {
            return Ok(());
        }
        let mut last = open.last_batch.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let number = last.saturating_add(1);
        let key = open.signer.current();
        match batch::seal(&leaves, number, self.0.clock.unix_s(), &key.secret) {
            Ok(kept) => open.store.keep(number, &kept, self.bounds())?,
            Err(error) => {
                tracing::error!(%error, "a batch of receipts can't be made");
                self.lost(leaves.len());
                return Ok(());
            }
        }
        *last = number;
        for leaf in &leaves {
            self.count(match leaf.claims.revision {
                0 => ReceiptOutcome::Written,
                _ => ReceiptOutcome::Amended,
            });
            self.forget(leaf.id);
        }
        Ok(())
    }

    fn leaves(&self, open: &Open, entries: &[Entry]) -> Result<Vec<Leaf>, Error> {
        let mut leaves: Vec<Leaf> = Vec::with_capacity(entries.len());
        for entry in entries {
            let made = match entry {
                Entry::New(draft) => {
                    Leaf::new((draft.id, draft.owner), draft.claims(), draft.opening())
                }
                Entry::Amend(id, amendment) => {
                    let Some((owner, mut claims, opening, hash)) = before(open, &leaves, *id)?
                    else {
                        self.lost(1);
                        continue;
                    };
                    amendment.apply(&mut claims, hash);
                    Leaf::new((*id, owner), claims, opening)
                }
            };
            match made {
                Ok(leaf) => leaves.push(leaf),
                Err(error) => {
                    tracing::error!(%error, "a receipt can't be made");
                    self.lost(1);
                }
            }
        }
        Ok(leaves)
    }

    /// So many will never be there.
    fn lost(&self, receipts: usize) {
        self.0.metrics.receipts.get(ReceiptOutcome::Dropped).inc_by(receipts as u64);
    }
}

type Before = (crate::store::Owner, openapi::receipt::Claims, openapi::receipt::Opening, String);

/// What an amendment is to: in this batch, or kept.
fn before(open: &Open, leaves: &[Leaf], id: Uuid) -> Result<Option<Before>, Error> {
    let of = |leaf: &Leaf| (leaf.owner, leaf.claims.clone(), leaf.opening.clone(), leaf.hash());
    if let Some(leaf) = leaves.iter().rev().find(|leaf| leaf.id == id) {
        return Ok(Some(of(leaf)));
    }
    let kept = open.store.find(id)?;
    Ok(kept.and_then(|kept| Leaf::of(&kept).ok()).as_ref().map(of))
}
