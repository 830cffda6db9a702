//! A whole chat answer becomes a Response.

use bytes::Bytes;

use super::chunk::Chunk;
use super::echo::Frame;
use super::events::Sink;
use super::turn::{Broken, Turn};

/// The Response, as JSON. `now`: Unix seconds.
///
/// # Errors
/// An answer that cannot be read or is not complete, in words for the client.
pub fn whole(frame: Frame, chat: &[u8], now: i64) -> Result<Bytes, String> {
    read(frame, chat, now).map_err(|broken| broken.to_string())
}

fn read(mut frame: Frame, chat: &[u8], now: i64) -> Result<Bytes, Broken> {
    let mut chunk = Chunk::read(chat).ok_or(Broken::Unreadable)?;
    if let Some(model) = chunk.model.take() {
        frame.set_model(model);
    }
    // The caller bounded the answer.
    let mut turn = Turn::new(frame, usize::MAX);
    turn.take(chunk, &mut Sink::Silent)?;
    let response = turn.complete(now, &mut Sink::Silent)?;
    serde_json::to_vec(&response).map(Bytes::from).map_err(|_| Broken::Unreadable)
}
