//! A receipt to be, from the request's beginning to the last byte of its answer. Its id is known at once, so
//! that the answer's head can name it; whoever drops it makes none.

use openapi::receipt::Verified;
use std::sync::Arc;
use uuid::Uuid;

use super::draft::Draft;
use super::hash::Digested;
use super::sheet::Sheet;
use super::{Receipts, show_id};
use crate::store::Owner;

/// What is known when a request has been read.
#[derive(Debug, Clone)]
pub struct Asked {
    pub owner: Owner,
    /// Whether anybody's key was asked for.
    pub is_keyed: bool,
    pub request_id: String,
    pub path: String,
    pub request: Digested,
}

#[derive(Debug)]
pub struct Ticket {
    receipts: Receipts,
    /// Taken when it is finished.
    draft: Option<Box<Draft>>,
    id: Uuid,
    sheet: Arc<Sheet>,
}

// === impl Ticket ===

impl Ticket {
    pub(super) fn new(
        receipts: Receipts,
        id: Uuid,
        salt: [u8; 32],
        created: i64,
        asked: Asked,
    ) -> Self {
        let draft = Draft {
            is_keyed: asked.is_keyed,
            created,
            request_id: asked.request_id,
            path: asked.path,
            ..Draft::new(id, asked.owner, salt, asked.request)
        };
        Self { receipts, draft: Some(Box::new(draft)), id, sheet: Arc::default() }
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    /// As far as it is known now.
    pub fn verified(&self) -> Verified {
        let mut verified = Verified::None;
        self.sheet.with(|known| verified = known.verified);
        verified
    }

    pub fn shown_id(&self) -> String {
        show_id(self.id)
    }

    /// Where to put down what is known of the answer.
    pub fn sheet(&self) -> &Arc<Sheet> {
        &self.sheet
    }

    /// The answer is over: this went out.
    pub fn finish(mut self, response: Digested) {
        let Some(mut draft) = self.draft.take() else { return };
        draft.response = response;
        draft.known = self.sheet.take();
        self.receipts.submit(*draft);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.draft.is_some() {
            self.receipts.forget(self.id);
        }
    }
}
