//! A case: bytes, and what must come back. Every refusal must be OpenAI's envelope with its four
//! members and carry a request id, whoever refuses.

use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::market::{DEADLINE, KEY};

#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    name: String,
    pieces: Vec<Vec<u8>>,
    wanted: Vec<Wanted>,
    is_closed: bool,
    half_closes: bool,
    may_say_more: bool,
}

#[derive(Debug, Clone, Default)]
struct Wanted {
    status: u16,
    is_head: bool,
    code: Option<Value>,
    param: Option<Value>,
    headers: Vec<(&'static str, &'static str)>,
    without: Vec<&'static str>,
    text: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn case(name: impl Into<String>) -> Case {
    Case { name: name.into(), ..Case::default() }
}

/// A request head's lines, ended properly, with a key.
pub(crate) fn head(start: &str, headers: &str) -> String {
    format!("{start}\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n{headers}\r\n")
}

/// A chat request with a length.
pub(crate) fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = format!("content-length: {}\r\n{headers}", body.len());
    [head("POST /v1/chat/completions HTTP/1.1", &length).as_bytes(), body].concat()
}

impl Case {
    pub(crate) fn send(mut self, piece: impl AsRef<[u8]>) -> Self {
        self.pieces.push(piece.as_ref().to_vec());
        self
    }

    /// Another answer, in order.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.wanted.push(Wanted { status, ..Wanted::default() });
        self
    }

    /// So many further answers of one status.
    pub(crate) fn answers(mut self, count: usize, status: u16) -> Self {
        self.wanted.extend(std::iter::repeat_n(Wanted { status, ..Wanted::default() }, count));
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Wanted)) -> Self {
        change(self.wanted.last_mut().expect("a status comes first"));
        self
    }

    /// The answer's `error.code`; empty for null.
    pub(crate) fn code(self, code: &str) -> Self {
        let code = if code.is_empty() { Value::Null } else { Value::from(code) };
        self.last(|wanted| wanted.code = Some(code))
    }

    pub(crate) fn param(self, param: &str) -> Self {
        self.last(|wanted| wanted.param = Some(Value::from(param)))
    }

    pub(crate) fn head_only(self) -> Self {
        self.last(|wanted| wanted.is_head = true)
    }

    pub(crate) fn header(self, name: &'static str, value: &'static str) -> Self {
        self.last(|wanted| wanted.headers.push((name, value)))
    }

    pub(crate) fn without(self, name: &'static str) -> Self {
        self.last(|wanted| wanted.without.push(name))
    }

    pub(crate) fn says(self, text: impl Into<String>) -> Self {
        self.last(|wanted| wanted.text.push(text.into()))
    }

    /// The gateway closes the connection after the last answer; otherwise it serves another request.
    pub(crate) fn closed(mut self) -> Self {
        self.is_closed = true;
        self
    }

    /// The same, whatever frames come before.
    pub(crate) fn silently_closed(mut self) -> Self {
        self.may_say_more = true;
        self.closed()
    }

    /// The client ends its side after the last byte.
    pub(crate) fn half_closes(mut self) -> Self {
        self.half_closes = true;
        self.closed()
    }

    pub(crate) async fn run(&self, addr: SocketAddr) {
        let run = tokio::time::timeout(DEADLINE, self.run_unbounded(addr)).await;
        assert!(run.is_ok(), "{}: hangs", self.name);
    }

    async fn run_unbounded(&self, addr: SocketAddr) {
        let name = &self.name;
        let socket = TcpStream::connect(addr).await.expect("connects");
        socket.set_nodelay(true).expect("nodelay");
        let (mut reader, mut writer) = socket.into_split();
        // Beside the reading: a refusal may come before all is sent, and then nobody takes the rest.
        let (pieces, half_closes) = (self.pieces.clone(), self.half_closes);
        let sending = tokio::task::spawn(async move {
            for piece in pieces {
                if writer.write_all(&piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            if half_closes {
                let _ = writer.shutdown().await;
            }
            writer
        });
        let mut buffer = Vec::new();
        for (number, wanted) in self.wanted.iter().enumerate() {
            let answer = read(&mut reader, &mut buffer, wanted.is_head).await;
            let answer = answer.unwrap_or_else(|| panic!("{name}: no answer {number}"));
            wanted.check(&format!("{name}, answer {number}"), &answer);
        }
        let mut writer = sending.await.expect("sends");
        if self.is_closed {
            let rest = until_end(&mut reader, &mut buffer).await;
            assert!(
                self.may_say_more || rest.is_empty(),
                "{name}: after the last answer {:?}",
                lossy(&rest)
            );
            return;
        }
        writer.write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("is open");
        let alive = read(&mut reader, &mut buffer, false).await;
        let alive = alive.unwrap_or_else(|| panic!("{name}: the connection did not survive"));
        assert_eq!(
            (alive.status, lossy(&alive.body).as_str()),
            (200, r#"{"status":"ok"}"#),
            "{name}"
        );
    }
}

// === impl Wanted ===

impl Wanted {
    fn check(&self, name: &str, answer: &Answer) {
        let text = lossy(&answer.body);
        assert_eq!(answer.status, self.status, "{name}: {text}");
        for (header, value) in &self.headers {
            assert_eq!(
                answer.headers.get(*header).map(String::as_str),
                Some(*value),
                "{name} {header}"
            );
        }
        for header in &self.without {
            assert!(!answer.headers.contains_key(*header), "{name}: {header}");
        }
        for wanted in &self.text {
            assert!(text.contains(wanted), "{name}: {wanted:?} is not in {text}");
        }
        assert!(answer.headers.contains_key("x-request-id"), "{name}: {:?}", answer.headers);
        if self.status < 400 || self.is_head {
            return;
        }
        let error = answer.error(name);
        if let Some(code) = &self.code {
            assert_eq!(&error["code"], code, "{name}: {error}");
        }
        if let Some(param) = &self.param {
            assert_eq!(&error["param"], param, "{name}: {error}");
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The error of an answer that must be OpenAI's envelope.
    pub(crate) fn error(&self, name: &str) -> Value {
        let text = lossy(&self.body);
        let kind = self.headers.get("content-type").map(String::as_str);
        assert_eq!(kind, Some("application/json"), "{name}: {text}");
        let body: Value =
            serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{name}: {e}: {text}"));
        let error = body["error"].as_object().unwrap_or_else(|| panic!("{name}: {text}"));
        let mut members: Vec<&str> = error.keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["code", "message", "param", "type"], "{name}: {text}");
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{name}: {text}");
        assert!(error["type"].is_string(), "{name}: {text}");
        assert!(error["code"].is_string() || error["code"].is_null(), "{name}: {text}");
        body["error"].clone()
    }
}

pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

type Reader = tokio::net::tcp::OwnedReadHalf;

/// More bytes; false at the end.
async fn more(reader: &mut Reader, buffer: &mut Vec<u8>) -> bool {
    reader.read_buf(buffer).await.is_ok_and(|n| n > 0)
}

async fn until_end(reader: &mut Reader, buffer: &mut Vec<u8>) -> Vec<u8> {
    while more(reader, buffer).await {}
    std::mem::take(buffer)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The next answer; `None` if the connection ends before it is whole.
pub(crate) async fn read(
    reader: &mut Reader,
    buffer: &mut Vec<u8>,
    is_head: bool,
) -> Option<Answer> {
    let end = loop {
        match find(buffer, b"\r\n\r\n") {
            Some(end) => break end + 4,
            None if more(reader, buffer).await => {}
            None => return None,
        }
    };
    let head = lossy(&buffer.drain(..end).collect::<Vec<u8>>());
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    if status == 100 {
        return Box::pin(read(reader, buffer, is_head)).await;
    }
    let body = if is_head || status == 204 {
        Vec::new()
    } else if let Some(length) = headers.get("content-length") {
        let length: usize = length.parse().ok()?;
        while buffer.len() < length {
            if !more(reader, buffer).await {
                return None;
            }
        }
        buffer.drain(..length).collect()
    } else if headers.contains_key("transfer-encoding") {
        dechunk(reader, buffer).await?
    } else {
        until_end(reader, buffer).await
    };
    Some(Answer { status, headers, body })
}

async fn dechunk(reader: &mut Reader, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Some(line) = find(buffer, b"\r\n") else {
            if more(reader, buffer).await {
                continue;
            }
            return None;
        };
        let size = usize::from_str_radix(&lossy(&buffer[..line]), 16).ok()?;
        let end = line + 2 + size + 2;
        while buffer.len() < end {
            if !more(reader, buffer).await {
                return None;
            }
        }
        body.extend_from_slice(&buffer[line + 2..line + 2 + size]);
        buffer.drain(..end);
        if size == 0 {
            return Some(body);
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(addr: SocketAddr, bytes: &[u8]) -> Answer {
    let asked = async {
        let socket = TcpStream::connect(addr).await.expect("connects");
        let (mut reader, mut writer) = socket.into_split();
        writer.write_all(bytes).await.expect("sends");
        read(&mut reader, &mut Vec::new(), false).await.expect("an answer")
    };
    tokio::time::timeout(DEADLINE, asked).await.expect("comes to an end")
}
