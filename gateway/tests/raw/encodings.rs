//! Encoded bodies: whole, cut, spoilt, doubled, and bombs.

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use tokio::io::AsyncReadExt as _;

use crate::case::{Case, case, post};
use crate::market::chat;

pub(crate) const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

pub(crate) async fn encode(coding: &str, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let result = match coding {
        "gzip" => GzipEncoder::new(plain).read_to_end(&mut out).await,
        "deflate" => ZlibEncoder::new(plain).read_to_end(&mut out).await,
        "br" => {
            BrotliEncoder::with_quality(plain, async_compression::Level::Fastest)
                .read_to_end(&mut out)
                .await
        }
        "zstd" => ZstdEncoder::new(plain).read_to_end(&mut out).await,
        other => panic!("{other}"),
    };
    result.expect("encodes");
    out
}

fn encoded(coding: &str, body: &[u8]) -> Vec<u8> {
    post(&format!("content-type: application/json\r\ncontent-encoding: {coding}\r\n"), body)
}

pub(crate) async fn cases() -> Vec<Case> {
    let body = chat("");
    let mut cases = Vec::new();
    for coding in CODINGS {
        let good = encode(coding, body.as_bytes()).await;
        // Sixteen times the limit, from a few kilobytes.
        let bomb = encode(coding, &vec![b' '; 16 << 20]).await;
        let spoilt: Vec<u8> = good.iter().map(|byte| byte ^ 0x55).collect();
        let named = |what: &str| case(format!("{coding}: {what}"));
        cases.extend([
            named("whole").send(encoded(coding, &good)).status(200),
            named("cut").send(encoded(coding, &good[..good.len() - 4])).status(400).code(""),
            named("spoilt").send(encoded(coding, &spoilt)).status(400).code(""),
            named("plain after all").send(encoded(coding, body.as_bytes())).status(400).code(""),
            named("empty").send(encoded(coding, b"")).status(400).code(""),
            named("followed by other bytes")
                .send(encoded(coding, &[good.as_slice(), b"garbage!"].concat()))
                .status(400)
                .code(""),
            named("a bomb")
                .send(encoded(coding, &bomb))
                .status(413)
                .code("request_too_large")
                .closed(),
        ]);
    }
    let gzip = encode("gzip", body.as_bytes()).await;
    let twice = encode("gzip", &gzip).await;
    let unknown = |name: &str, coding: &str, body: &[u8]| {
        case(name).send(encoded(coding, body)).status(415).code("unsupported_media_type")
    };
    let halves = body.as_bytes().split_at(20);
    let members = [encode("gzip", halves.0).await, encode("gzip", halves.1).await].concat();
    // A zstd frame of no bytes that asks for a window of 2 GiB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    let empty_blocks =
        [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0, 0, 0, 0xff, 0xff].repeat(300_000)]
            .concat();
    cases.extend([
        case("identity").send(encoded("identity", body.as_bytes())).status(200),
        case("in capitals").send(encoded("GZIP", &gzip)).status(200),
        case("by its old name").send(encoded("x-gzip", &gzip)).status(200),
        case("gzip in two members").send(encoded("gzip", &members)).status(200),
        unknown("compress", "compress", &gzip),
        unknown("a coding nobody knows", "snappy", body.as_bytes()),
        unknown("two codings", "gzip, gzip", &twice),
        unknown("two codings in two headers", "gzip\r\ncontent-encoding: br", &twice),
        case("a zstd window of 2 GiB")
            .send(encoded("zstd", &window))
            .status(400)
            .code("")
            .says("Content-Encoding"),
        case("blocks of nothing")
            .send(encoded("gzip", &empty_blocks))
            .status(413)
            .code("request_too_large")
            .closed(),
    ]);
    cases
}
