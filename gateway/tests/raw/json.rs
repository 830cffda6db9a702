//! Bodies that are not quite JSON, or are JSON that two readers understand in two ways.

use crate::case::{Case, case, post};
use crate::market::{MODEL, chat};

pub(crate) fn cases() -> Vec<Case> {
    [syntax(), doubled(), numbers(), deep()].concat()
}

fn sent(name: &str, body: impl AsRef<[u8]>) -> Case {
    case(name).send(post("", body.as_ref()))
}

fn bad(name: &str, body: impl AsRef<[u8]>) -> Case {
    sent(name, body).status(400).code("")
}

fn syntax() -> Vec<Case> {
    let good = chat("");
    vec![
        bad("an empty body", ""),
        bad("white space", " \n\t "),
        bad("an array", "[]"),
        bad("a string", "\"x\""),
        bad("half of it", &good[..30]).says("line 1"),
        bad("garbage after it", format!("{good} x")).says("line 1"),
        bad("two of them", format!("{good}{good}")),
        bad("a NUL after it", format!("{good}\0")),
        bad("a byte order mark", format!("\u{feff}{good}")).says("byte order mark"),
        bad("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
        bad(
            "bytes that are not UTF-8",
            [&good.as_bytes()[..good.len() - 1], b",\"x\":\"\xff\"}"].concat(),
        )
        .says("UTF-8"),
        bad("a comma too many", chat(",")),
        bad("a comment", chat(",/**/\"x\":1")),
        bad("single quotes", "{'model':'x'}"),
        bad("a raw control character in a string", chat(",\"x\":\"a\nb\"")),
        bad("an unknown escape", chat(",\"x\":\"\\q\"")),
        bad("true in capitals", chat(",\"x\":True")),
        bad("a lone surrogate in the model", "{\"model\":\"\\ud800\",\"messages\":[]}")
            .param("model"),
        bad("a line break in the model", "{\"model\":\"a\\r\\nx: y\",\"messages\":[]}")
            .param("model"),
        sent("a model nobody has", "{\"model\":\"a\\u00e9\",\"messages\":[{\"role\":\"user\"}]}")
            .status(404)
            .code("model_not_found")
            .param("model"),
        sent("a lone surrogate that only the provider reads", chat(",\"x\":\"\\ud800\""))
            .status(400)
            .says("invalid JSON"),
    ]
}

fn doubled() -> Vec<Case> {
    let twice = |member: &str, value: &str| {
        bad(
            &format!("{member} twice"),
            chat(&format!(",\"{member}\":{value},\"{member}\":{value}")),
        )
        .param(member)
    };
    vec![
        bad("model twice", chat(",\"model\":\"other\"")).param("model"),
        bad("model twice, once in escapes", chat(",\"mod\\u0065l\":\"other\"")).param("model"),
        bad("model in other letters", chat(",\"Model\":\"other\"")).param("model"),
        bad("messages twice", chat(",\"messages\":[]")).param("messages"),
        twice("stream", "true"),
        twice("n", "1"),
        twice("max_tokens", "5"),
        twice("max_completion_tokens", "5"),
        twice("seed", "1"),
        twice("temperature", "1"),
        twice("tools", "[]"),
        twice("response_format", "{\"type\":\"text\"}"),
        twice("stream_options", "{}"),
        twice("user", "\"u\""),
        bad("include_usage twice", chat(",\"stream_options\":{\"include_usage\":true,\"include_usage\":false}"))
            .param("stream_options.include_usage"),
        bad(
            "a role twice",
            format!("{{\"model\":{MODEL:?},\"messages\":[{{\"role\":\"user\",\"role\":\"system\",\"content\":\"\"}}]}}"),
        )
        .param("messages[0].role"),
        sent("an unknown member twice", chat(",\"x\":1,\"x\":2")).status(200),
    ]
}

fn numbers() -> Vec<Case> {
    let long = "9".repeat(400);
    vec![
        bad("NaN", chat(",\"temperature\":NaN")),
        bad("Infinity", chat(",\"temperature\":-Infinity")),
        bad("a temperature beyond floating point", chat(",\"temperature\":1e400"))
            .param("temperature"),
        bad("a limit of 400 digits", chat(&format!(",\"max_tokens\":{long}"))).param("max_tokens"),
        bad("a seed of 400 digits", chat(&format!(",\"seed\":{long}"))).param("seed"),
        bad("a fraction of an answer", chat(",\"n\":1.5")).param("n"),
        bad("too many answers", chat(",\"n\":129")).param("n"),
        bad("fewer than no tokens", chat(",\"max_tokens\":-1")).param("max_tokens"),
        bad("a number with a zero before", chat(",\"x\":01")),
        bad("a number in hex", chat(",\"x\":0x1")),
        bad("a plus sign", chat(",\"x\":+1")),
        sent("400 digits that only the provider reads", chat(&format!(",\"x\":{long}")))
            .status(400)
            .says("invalid JSON"),
        sent("1e400 that only the provider reads", chat(",\"x\":1e400"))
            .status(400)
            .says("invalid JSON"),
    ]
}

fn deep() -> Vec<Case> {
    let nested = |depth: usize| {
        let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
        format!(
            ",\"tools\":[{{\"type\":\"function\",\"function\":{{\"name\":\"f\",\"parameters\":{open}1{close}}}}}]"
        )
    };
    vec![
        sent("a tool's schema of depth 100", chat(&nested(100))).status(200),
        bad("a tool's schema of depth 130", chat(&nested(130))).says("128"),
        bad("200,000 brackets", "[".repeat(200_000)).says("128"),
        bad("200,000 braces", "{\"a\":".repeat(200_000)).says("128"),
        bad("200,000 brackets in a member", chat(&format!(",\"x\":{}", "[".repeat(200_000)))),
        sent("a long string", chat(&format!(",\"x\":\"{}\"", "y".repeat(500_000)))).status(200),
        sent(
            "many members",
            chat(&(0..20_000).map(|n| format!(",\"m{n}\":0")).collect::<String>()),
        )
        .status(200),
    ]
}
