//! Prints a whole answer around the text that was joined.

use bytes::Bytes;

use super::fold::Fold;
use super::part::{Call, Joined, Part};
use crate::stream::finish;
use crate::stream::reader::Reader;

/// `chat.completion`, or `text_completion` for a legacy stream.
pub(super) fn answer(reader: &Reader, parts: &[Part], head: &Fold) -> Bytes {
    let text: usize = parts.iter().map(Part::bytes).sum();
    let mut out = Vec::with_capacity(text + 512);
    let (id, created, model) = reader.tag().texts().unwrap_or((b"\"\"", b"0", b"\"\""));
    let object: &[u8] =
        if reader.legacy() { b"\"text_completion\"" } else { b"\"chat.completion\"" };
    for (name, value) in [
        (b"{\"id\":".as_slice(), id),
        (b",\"object\":", object),
        (b",\"created\":", created),
        (b",\"model\":", model),
        (b",\"choices\":", b"["),
    ] {
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
    let states = reader.states().iter().zip(parts);
    let seen = (0usize..).zip(states).filter(|(_, (state, _))| state.seen);
    for (number, (index, (state, part))) in seen.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        let reason = state.finish.map_or("null", finish::json);
        part.print(index, reason, reader.legacy(), &mut out);
    }
    out.push(b']');
    if !reader.usage_raw().is_empty() {
        out.extend_from_slice(b",\"usage\":");
        out.extend_from_slice(reader.usage_raw());
    }
    head.print_after(&mut out);
    out.push(b'}');
    out.into()
}

// === impl Part ===

impl Part {
    fn bytes(&self) -> usize {
        let own = [&self.content, &self.refusal, &self.reasoning, &self.function_arguments];
        let calls = self.calls.iter().map(|call| &call.arguments);
        let texts = own.into_iter().chain(calls);
        texts.map(|text| text.as_ref().map_or(0, Vec::len)).sum::<usize>() + 128
    }

    fn print(&self, index: usize, reason: &str, legacy: bool, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(b"{\"index\":");
        out.extend_from_slice(number.format(index).as_bytes());
        if legacy {
            out.extend_from_slice(b",\"text\":");
            string(self.content.as_deref().unwrap_or_default(), out);
        } else {
            out.extend_from_slice(b",\"message\":");
            self.print_message(index, out);
        }
        out.extend_from_slice(b",\"logprobs\":");
        if self.logprobs.is_empty() {
            out.extend_from_slice(b"null");
        } else {
            self.logprobs.print_object(out);
        }
        out.extend_from_slice(b",\"finish_reason\":");
        out.extend_from_slice(reason.as_bytes());
        self.extra.print_after(out);
        out.push(b'}');
    }

    fn print_message(&self, choice: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
        let called = !self.calls.is_empty() || self.function_name.is_some();
        match &self.content {
            Some(text) if !(text.is_empty() && called) => string(text, out),
            None if !called && self.refusal.is_none() => string(b"", out),
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"refusal\":");
        match &self.refusal {
            Some(text) if !text.is_empty() => string(text, out),
            _ => out.extend_from_slice(b"null"),
        }
        // Clients read one name or the other.
        if let Some(text) = &self.reasoning {
            out.extend_from_slice(b",\"reasoning_content\":");
            string(text, out);
            out.extend_from_slice(b",\"reasoning\":");
            string(text, out);
        }
        if !self.calls.is_empty() {
            out.extend_from_slice(b",\"tool_calls\":[");
            let mut calls: Vec<&Call> = self.calls.iter().collect();
            calls.sort_by_key(|call| call.index);
            for (number, call) in calls.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                call.print(choice, number, out);
            }
            out.push(b']');
        }
        if self.function_name.is_some() || self.function_arguments.is_some() {
            out.extend_from_slice(b",\"function_call\":");
            function(&self.function_name, &self.function_arguments, out);
        }
        self.message_extra.print_after(out);
        out.push(b'}');
    }
}

// === impl Call ===

impl Call {
    fn print(&self, choice: usize, number: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        match &self.id {
            Some(id) => string(id, out),
            None => string(format!("call_{choice}_{number}").as_bytes(), out),
        }
        out.extend_from_slice(b",\"type\":");
        string(self.kind.as_deref().unwrap_or(b"function"), out);
        out.extend_from_slice(b",\"function\":");
        function(&self.name, &self.arguments, out);
        self.extra.print_after(out);
        out.push(b'}');
    }
}

fn function(name: &Joined, arguments: &Joined, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"name\":");
    string(name.as_deref().unwrap_or_default(), out);
    out.extend_from_slice(b",\"arguments\":");
    string(arguments.as_deref().unwrap_or_default(), out);
    out.push(b'}');
}

/// `text` is JSON already, but for its quotes.
fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}
