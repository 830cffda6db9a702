//! What a request has set aside of its key's limits, from before a provider is asked until the last
//! byte is sent or the client has left.

use std::sync::Arc;

use super::{Account, OpenStream, Time};

/// Settled once, or by its drop as if nothing had been used. The stream is free again with it.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    time: Arc<Time>,
    tokens: Option<Tokens>,
    _stream: Option<OpenStream>,
}

#[derive(Debug, Clone, Copy)]
struct Tokens {
    /// Estimated.
    prompt: u64,
    /// Prompt and answer.
    reserved: u64,
    until_ns: u64,
}

/// What a request has used, as well as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    Nothing,
    /// A provider worked on it and left nothing to measure: the prompt, as estimated.
    Prompt,
    /// So many bytes of text came, and no count: the prompt, and 4 bytes a token.
    Text {
        bytes: u64,
    },
    /// The provider's count.
    Tokens(u64),
}

impl Reservation {
    pub(super) fn empty(account: Arc<Account>, time: Arc<Time>) -> Self {
        Self { account, time, tokens: None, _stream: None }
    }

    pub(super) fn hold_stream(&mut self, stream: OpenStream) {
        self._stream = Some(stream);
    }

    pub(super) fn hold_tokens(&mut self, prompt: u64, reserved: u64, until_ns: u64) {
        self.tokens = Some(Tokens { prompt, reserved, until_ns });
    }

    /// Gives back what was reserved too much, or charges what was used beyond.
    pub fn settle(mut self, spent: Spent) {
        self.close(&[spent]);
    }

    /// Of a request that was answered several times over.
    pub fn settle_all(mut self, spent: &[Spent]) {
        self.close(spent);
    }

    fn close(&mut self, spent: &[Spent]) {
        let (Some(held), Some(limit)) = (self.tokens.take(), self.account.rules.tokens_per_minute)
        else {
            return;
        };
        let tokens = |spent: &Spent| match *spent {
            Spent::Nothing => 0,
            Spent::Prompt => held.prompt,
            Spent::Text { bytes } => held.prompt.saturating_add(bytes.div_ceil(4)),
            Spent::Tokens(tokens) => tokens,
        };
        let spent = spent.iter().map(tokens).fold(0, u64::saturating_add);
        let (bucket, now_ns) = (&self.account.tokens, self.time.now_ns());
        if spent < held.reserved {
            bucket.give_back(limit, held.reserved - spent, held.until_ns, now_ns);
        } else if spent > held.reserved {
            bucket.charge(limit, spent - held.reserved, now_ns);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.close(&[]);
    }
}
