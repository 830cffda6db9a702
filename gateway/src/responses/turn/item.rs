//! The parts of an item that is spoken, and the events about them. Each item's last part is the open
//! one.

use openapi::responses::{Event, Item, Logprob, Part, ReasoningText, Role, Status};

use crate::responses::events::Sink;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Reasoning,
    Text,
    Refusal,
}

// === impl Said ===

impl Said {
    /// The item it begins, still empty.
    pub(super) fn item(self, base: &str, place: usize) -> Item {
        let status = Status::InProgress;
        match self {
            Self::Reasoning => {
                let id = format!("rs_{base}_{place}");
                Item::Reasoning { id, summary: Vec::new(), content: Vec::new(), status }
            }
            Self::Text | Self::Refusal => {
                let id = format!("msg_{base}_{place}");
                Item::Message { id, role: Role::Assistant, status, content: Vec::new() }
            }
        }
    }

    /// Whether it belongs in this item.
    pub(super) fn fits(self, item: &Item) -> bool {
        match self {
            Self::Reasoning => matches!(item, Item::Reasoning { .. }),
            Self::Text | Self::Refusal => matches!(item, Item::Message { .. }),
        }
    }

    /// Whether it belongs in the item's open part.
    pub(super) fn continues(self, item: &Item) -> bool {
        match (self, item) {
            (Self::Reasoning, Item::Reasoning { content, .. }) => !content.is_empty(),
            (Self::Text, Item::Message { content, .. }) => {
                matches!(content.last(), Some(Part::OutputText { .. }))
            }
            (Self::Refusal, Item::Message { content, .. }) => {
                matches!(content.last(), Some(Part::Refusal { .. }))
            }
            _ => false,
        }
    }

    fn part(self) -> Part {
        let text = String::new();
        match self {
            Self::Reasoning => Part::ReasoningText { text },
            Self::Text => Part::OutputText { text, annotations: Vec::new(), logprobs: Vec::new() },
            Self::Refusal => Part::Refusal { refusal: text },
        }
    }
}

pub(super) fn set_status(item: &mut Item, to: Status) {
    match item {
        Item::Reasoning { status, .. }
        | Item::Message { status, .. }
        | Item::FunctionCall { status, .. } => *status = to,
    }
}

fn id(item: &Item) -> &str {
    match item {
        Item::Reasoning { id, .. } | Item::Message { id, .. } | Item::FunctionCall { id, .. } => id,
    }
}

/// The place of the open part.
fn content_index(item: &Item) -> usize {
    let parts = match item {
        Item::Reasoning { content, .. } => content.len(),
        Item::Message { content, .. } => content.len(),
        Item::FunctionCall { .. } => 0,
    };
    parts.saturating_sub(1)
}

pub(super) fn open_part(item: &mut Item, said: Said, output_index: usize, sink: &mut Sink) {
    match item {
        Item::Reasoning { content, .. } => content.push(ReasoningText { text: String::new() }),
        Item::Message { content, .. } => content.push(said.part()),
        Item::FunctionCall { .. } => {}
    }
    sink.emit(|sequence_number| Event::ContentPartAdded {
        sequence_number,
        item_id: id(item).to_owned(),
        output_index,
        content_index: content_index(item),
        part: said.part(),
    });
}

/// Puts a piece to the open part.
pub(super) fn append(item: &mut Item, delta: &str, added: &[Logprob]) {
    match item {
        Item::Reasoning { content, .. } => {
            if let Some(part) = content.last_mut() {
                part.text.push_str(delta);
            }
        }
        Item::Message { content, .. } => match content.last_mut() {
            Some(Part::OutputText { text, logprobs, .. }) => {
                text.push_str(delta);
                logprobs.extend_from_slice(added);
            }
            Some(Part::Refusal { refusal: text } | Part::ReasoningText { text }) => {
                text.push_str(delta);
            }
            None => {}
        },
        Item::FunctionCall { arguments, .. } => arguments.push_str(delta),
    }
}

/// Tells of a piece. Log probabilities of tokens that make no text yet are told with none.
pub(super) fn tell(
    item: &Item,
    said: Said,
    output_index: usize,
    delta: &str,
    logprobs: Vec<Logprob>,
    sink: &mut Sink,
) {
    if delta.is_empty() && logprobs.is_empty() {
        return;
    }
    sink.emit(|sequence_number| {
        let (item_id, delta) = (id(item).to_owned(), delta.to_owned());
        let content_index = content_index(item);
        match said {
            Said::Reasoning => Event::ReasoningDelta {
                sequence_number,
                item_id,
                output_index,
                content_index,
                delta,
            },
            Said::Text => Event::TextDelta {
                sequence_number,
                item_id,
                output_index,
                content_index,
                delta,
                logprobs,
            },
            Said::Refusal => {
                Event::RefusalDelta { sequence_number, item_id, output_index, content_index, delta }
            }
        }
    });
}

/// Ends the open part, or a call's arguments.
pub(super) fn close_part(item: &Item, output_index: usize, sink: &mut Sink) {
    let item_id = || id(item).to_owned();
    let content_index = content_index(item);
    let part = match item {
        Item::FunctionCall { name, arguments, .. } => {
            sink.emit(|sequence_number| Event::ArgumentsDone {
                sequence_number,
                item_id: item_id(),
                output_index,
                name: name.clone(),
                arguments: arguments.clone(),
            });
            return;
        }
        Item::Reasoning { content, .. } => {
            content.last().map(|part| Part::ReasoningText { text: part.text.clone() })
        }
        Item::Message { content, .. } => content.last().cloned(),
    };
    let Some(part) = part else { return };
    sink.emit(|sequence_number| match part.clone() {
        Part::OutputText { text, logprobs, .. } => Event::TextDone {
            sequence_number,
            item_id: item_id(),
            output_index,
            content_index,
            text,
            logprobs,
        },
        Part::Refusal { refusal } => Event::RefusalDone {
            sequence_number,
            item_id: item_id(),
            output_index,
            content_index,
            refusal,
        },
        Part::ReasoningText { text } => Event::ReasoningDone {
            sequence_number,
            item_id: item_id(),
            output_index,
            content_index,
            text,
        },
    });
    sink.emit(|sequence_number| Event::ContentPartDone {
        sequence_number,
        item_id: item_id(),
        output_index,
        content_index,
        part,
    });
}
