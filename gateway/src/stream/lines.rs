//! What a line of an event is for. Only `data:` and comments may reach a client: the official SDKs
//! fail on `id:`, `retry:` and a bare `event:`.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Its value starts this many bytes into the line.
    Data(usize),
    Comment,
    /// `event: error`, by which some providers name a failure.
    ErrorName,
    /// Any other field: not for the client.
    Field,
}

/// The role of a line, without its line end.
#[inline]
pub(crate) fn role(line: &[u8]) -> Role {
    match line {
        [b'd', b'a', b't', b'a', b':', b' ', ..] => Role::Data(6),
        [b'd', b'a', b't', b'a', b':', ..] => Role::Data(5),
        b"data" => Role::Data(4),
        [b':', ..] => Role::Comment,
        b"event: error" | b"event:error" => Role::ErrorName,
        _ => Role::Field,
    }
}

/// The byte order mark that only the very first line may carry.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";
