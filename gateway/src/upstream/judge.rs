//! Who says what an answer is worth while its client waits for that: scorers, where the answer and its
//! maker can be checked. It says nothing of how that is done.

use futures_util::future::BoxFuture;
use openapi::receipt::Verified;
use std::fmt;
use std::sync::Arc;

use super::attempt::Context;
use super::witness::{Answered, Nobody};
use crate::consensus::fork;
use crate::market::Offer;

/// Asked by requests that are to be verified. Nobody is blamed by it on one scorer's word alone.
pub trait Judge: Send + Sync + fmt::Debug {
    /// Whether so many scorers, each of another operator, let the answer stand. Books what comes of it.
    fn verify(
        self: Arc<Self>,
        context: Arc<Context>,
        answered: Arc<Answered>,
        scorers: usize,
    ) -> BoxFuture<'static, Judgement>;

    /// Of two answers to one request that part at the token `at`: whether a scorer outside the pair takes
    /// them for one, or one of them for none of the model's.
    fn fork(
        self: Arc<Self>,
        context: Arc<Context>,
        pair: [Arc<Answered>; 2],
        at: usize,
    ) -> BoxFuture<'static, fork::Verdict>;
}

/// What scorers say.
#[derive(Debug)]
pub struct Judgement {
    /// Never [`Verified::Pending`].
    pub verified: Verified,
    pub scorers: Vec<Arc<Offer>>,
}

// === impl Judgement ===

impl Judgement {
    /// Nobody could say.
    pub fn none() -> Self {
        Self { verified: Verified::None, scorers: Vec::new() }
    }
}

impl Judge for Nobody {
    fn verify(
        self: Arc<Self>,
        _: Arc<Context>,
        _: Arc<Answered>,
        _: usize,
    ) -> BoxFuture<'static, Judgement> {
        Box::pin(std::future::ready(Judgement::none()))
    }

    fn fork(
        self: Arc<Self>,
        _: Arc<Context>,
        _: [Arc<Answered>; 2],
        _: usize,
    ) -> BoxFuture<'static, fork::Verdict> {
        Box::pin(std::future::ready(fork::Verdict::Unknown))
    }
}
