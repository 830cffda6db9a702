//! A Responses request written anew as a chat request: JSON that the gateway itself would take for
//! one, or a refusal in words; what the translation does not know passes with its text.
#![no_main]

use bytes::Bytes;
use gateway::request::{Endpoint, Probe};
use gateway::responses::translate;
use libfuzzer_sys::fuzz_target;
use quorate_fuzz::Members;

fuzz_target!(|body: &[u8]| {
    let translated = match translate(body) {
        Ok(translated) => translated,
        Err(error) => {
            assert!(!error.message.is_empty() && error.message.len() < 4096, "{error:?}");
            return;
        }
    };
    let text = std::str::from_utf8(body).expect("accepted, and no text");
    let chat: Bytes = translated.chat;
    let written = std::str::from_utf8(&chat).expect("text");
    if let Ok(probe) = Probe::parse(&chat, Endpoint::ChatCompletions) {
        assert_eq!(probe.summary().stream, translated.stream);
        assert!(!translated.stream || probe.summary().include_usage, "{written}");
    } else {
        // Only for a value that passed unread; JSON it is all the same.
        serde_json::from_str::<serde::de::IgnoredAny>(written).expect(written);
    }
    let (Some(given), Some(chat)) = (Members::of_object(text), Members::read(written)) else {
        return;
    };
    let unknown = |members: &Members| -> Vec<(String, String)> {
        members.0.iter().filter(|(name, _)| name.starts_with("x_")).cloned().collect()
    };
    assert_eq!(unknown(&given), unknown(&chat));
});
