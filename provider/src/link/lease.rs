//! Lease tokens: what a gateway shows with each request. One that came over a tunnel counts on that
//! tunnel alone; one of a direct link counts on connections whose client holds that gateway's key.

use openapi::sign::PublicKey;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use subtle::ConstantTimeEq;

/// Printed by nothing.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    /// `None` where it is not 256 bits in hex.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bits = [0; 32];
        hex::decode_to_slice(text, &mut bits).ok()?;
        Some(Self(text.into()))
    }

    pub fn fits(&self, shown: &str) -> bool {
        self.0.expose_secret().as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// The tokens of direct links, by gateway. A gateway has at most one.
#[derive(Debug, Default)]
pub struct Direct(RwLock<HashMap<PublicKey, Token>>);

impl Direct {
    pub fn fits(&self, gateway: &PublicKey, shown: &str) -> bool {
        let tokens = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tokens.get(gateway).is_some_and(|token| token.fits(shown))
    }

    /// Counts as long as what is returned lives.
    pub(super) fn hold(self: &Arc<Self>, gateway: PublicKey, token: Token) -> Held {
        let mut tokens = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(gateway, token.clone());
        drop(tokens);
        Held { tokens: Arc::clone(self), gateway, token }
    }
}

#[derive(Debug)]
pub(super) struct Held {
    tokens: Arc<Direct>,
    gateway: PublicKey,
    token: Token,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut tokens = self.tokens.0.write().unwrap_or_else(PoisonError::into_inner);
        // A newer lease of the same gateway stays.
        let own = self.token.0.expose_secret();
        if tokens.get(&self.gateway).is_some_and(|token| token.fits(own)) {
            tokens.remove(&self.gateway);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_lease_counts_for_its_gateway_until_it_ends() {
        let [one, two] = [[1; 32], [2; 32]].map(PublicKey::from_bytes);
        let [first, second] = ["ab".repeat(32), "cd".repeat(32)];
        let token = |text: &str| Token::parse(text).unwrap();
        let leases = Arc::new(Direct::default());
        let held = leases.hold(one, token(&first));
        assert!(leases.fits(&one, &first) && !leases.fits(&one, &second));
        assert!(!leases.fits(&two, &first), "another gateway's key");
        let newer = leases.hold(one, token(&second));
        drop(held);
        assert!(leases.fits(&one, &second) && !leases.fits(&one, &first));
        drop(newer);
        assert!(!leases.fits(&one, &second));
        assert!(Token::parse("ab").is_none());
        assert!(!format!("{:?}", token(&first)).contains("abab"));
    }
}
