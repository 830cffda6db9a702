//! One `id`, `created` and `model` through a whole stream: the JSON text each must have.

use bytes::Bytes;
use std::sync::Arc;

use super::shape::{Member, Name, Shape};
use super::splice::{Edits, insert_first, replace};
use super::{Identity, Plan};
use crate::json::Kind;

#[derive(Debug)]
pub(crate) struct Tag {
    /// JSON text, quotes included; `None` until the first event.
    id: Option<Bytes>,
    created: Option<Bytes>,
    model: Bytes,
    /// `object` of a chat answer, whole or streamed.
    chat: &'static str,
    /// The members before `choices` of the last event read afresh were all there and all right.
    clean: bool,
}

/// Of the provider's id, as JSON. It goes into every event: with a longer one a few bytes of each
/// would become many.
const ID_BYTES_MAX: usize = 512;
const CHUNK: &str = "\"chat.completion.chunk\"";
const WHOLE: &str = "\"chat.completion\"";
const LEGACY: &str = "\"text_completion\"";

// === impl Tag ===

impl Tag {
    pub(crate) fn new(plan: &Plan) -> Self {
        let (id, created) = match &plan.identity {
            Some(identity) => (Some(quote(&identity.id)), Some(number(identity.created))),
            None => (None, None),
        };
        Self { id, created, model: quote(&plan.model), chat: CHUNK, clean: false }
    }

    /// For a whole answer in place of a stream.
    pub(crate) fn whole(plan: &Plan) -> Self {
        Self { chat: WHOLE, ..Self::new(plan) }
    }

    /// The JSON text of `object`.
    pub(crate) fn object(&self, legacy: bool) -> &'static str {
        if legacy { LEGACY } else { self.chat }
    }

    /// The JSON texts of id, created and model, once the first event has been mended.
    pub(crate) fn texts(&self) -> Option<(&[u8], &[u8], &[u8])> {
        Some((self.id.as_deref()?, self.created.as_deref()?, &self.model))
    }

    /// An event was read afresh: nothing is known of the members before its `choices`.
    pub(crate) fn unsettle(&mut self) {
        self.clean = false;
    }

    /// Splices what differs from the stream's own and fills in what is missing. Returns the identity
    /// where this event has settled it.
    pub(crate) fn mend(
        &mut self,
        json: &[u8],
        shape: &Shape,
        plan: &Plan,
        legacy: bool,
        edits: &mut Edits,
    ) -> Option<Identity> {
        let after = shape.members.get(shape.prefix_members()..).unwrap_or_default();
        let only_usage_after = after.iter().all(|member| member.name == Name::Usage);
        if shape.repeated && self.clean && only_usage_after {
            return None;
        }
        let settled = self.settle(json, shape, plan);
        let before = edits.len();
        let found = self.replace(json, &shape.members, legacy, edits);
        self.insert(json, shape.open, found, legacy, edits);
        if !shape.repeated {
            self.clean = edits.len() == before && only_usage_after;
        }
        settled
    }

    /// Takes id and created from the first event that has any say, or from the plan.
    fn settle(&mut self, json: &[u8], shape: &Shape, plan: &Plan) -> Option<Identity> {
        if self.id.is_some() && self.created.is_some() {
            return None;
        }
        let mut identity =
            Identity { id: Arc::clone(&plan.fallback.id), created: plan.fallback.created };
        let mut id_text = None;
        for member in &shape.members {
            let text = member.value.of(json);
            match member.name {
                Name::Id if usable(member, text) && text.len() <= ID_BYTES_MAX => {
                    if let Ok(id) = serde_json::from_slice::<String>(text) {
                        identity.id = id.into();
                        id_text = Some(Bytes::copy_from_slice(text));
                    }
                }
                Name::Created if usable(member, text) => {
                    if let Some(created) = seconds(text) {
                        identity.created = created;
                    }
                }
                _ => {}
            }
        }
        self.id = Some(id_text.unwrap_or_else(|| quote(&identity.id)));
        self.created = Some(number(identity.created));
        Some(identity)
    }

    fn replace(
        &self,
        json: &[u8],
        members: &[Member],
        legacy: bool,
        edits: &mut Edits,
    ) -> [bool; 4] {
        let mut found = [false; 4];
        let [id, created, model, kind] = &mut found;
        for member in members {
            let text = member.value.of(json);
            let want = match member.name {
                Name::Id => {
                    *id = true;
                    self.id.clone()
                }
                Name::Created => {
                    *created = true;
                    self.created.clone()
                }
                Name::Model => {
                    *model = true;
                    Some(self.model.clone())
                }
                Name::Object => {
                    *kind = true;
                    let own = self.object(legacy).as_bytes();
                    (!usable(member, text)).then(|| Bytes::from_static(own))
                }
                Name::ServiceTier => (!is_tier(member, text)).then(|| Bytes::from_static(b"null")),
                Name::Usage | Name::Error => None,
            };
            if let Some(want) = want
                && want != text
            {
                edits.push(replace(member.value, want));
            }
        }
        found
    }

    fn insert(&self, json: &[u8], open: usize, found: [bool; 4], legacy: bool, edits: &mut Edits) {
        let kind = self.object(legacy).as_bytes();
        let wanted = [self.id.as_deref(), self.created.as_deref(), Some(&*self.model), Some(kind)];
        let names = ["id", "created", "model", "object"];
        for ((found, want), name) in found.into_iter().zip(wanted).zip(names) {
            if let Some(want) = want
                && !found
            {
                let member = format!("\"{name}\":{}", String::from_utf8_lossy(want));
                edits.push(insert_first(json, open, &member));
            }
        }
    }
}

/// Says something: not null, `""` or 0.
fn usable(member: &Member, text: &[u8]) -> bool {
    match member.kind {
        Kind::String => text.len() > 2,
        Kind::Number => text != b"0",
        _ => false,
    }
}

/// Strict clients refuse a tier that OpenAI's schema does not list.
fn is_tier(member: &Member, text: &[u8]) -> bool {
    const TIERS: [&[u8]; 6] = [b"auto", b"default", b"flex", b"scale", b"priority", b"fast"];
    match text {
        [b'"', tier @ .., b'"'] => TIERS.contains(&tier),
        _ => member.kind == Kind::Null,
    }
}

/// Unix seconds; a fraction is cut off.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    whole.parse().ok().filter(|seconds| *seconds > 0)
}

fn quote(text: &str) -> Bytes {
    serde_json::to_vec(text).unwrap_or_default().into()
}

fn number(seconds: i64) -> Bytes {
    let mut buffer = itoa::Buffer::new();
    Bytes::copy_from_slice(buffer.format(seconds).as_bytes())
}
