//! Encoded request bodies, inflated as they come: `gzip`, `deflate`, `br`, `zstd`, one at a time. It
//! keeps no more than a decoder's window; how long a body may be is decided by who reads it. What is
//! encoded twice, in an unknown way, or not whole, is refused.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderMap, header};
use std::io;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

use super::error::Error;

/// Inflated at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// RFC 9659: a frame that asks for a larger window is not for HTTP. A few bytes could claim 2 GiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// As the standard has it: zlib's format.
    Deflate,
    Brotli,
    Zstd,
}

/// The encoded bytes are more than may be read.
#[derive(Debug, thiserror::Error)]
#[error("the encoded body is too long")]
pub(super) struct TooLong;

type Raw = StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>;

/// A decoder, and access to what it has left unread.
trait Decoder: AsyncRead + Send + Unpin + 'static {
    fn raw(&mut self) -> &mut Raw;
}

macro_rules! decoders {
    ($($decoder:ident)+) => {
        $(impl Decoder for $decoder<Raw> {
            fn raw(&mut self) -> &mut Raw {
                self.get_mut()
            }
        })+
    };
}

decoders! { BrotliDecoder GzipDecoder ZlibDecoder ZstdDecoder }

/// The encoding that the headers name, if any.
///
/// # Errors
/// An unknown one, or several.
pub(super) fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Error> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let coding = match name.to_ascii_lowercase().as_slice() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"deflate" => Coding::Deflate,
                b"br" => Coding::Brotli,
                b"zstd" => Coding::Zstd,
                _ => {
                    let name: String = String::from_utf8_lossy(name).chars().take(64).collect();
                    return Err(unsupported(&format!(
                        "Bodies encoded as {name:?} are not accepted"
                    )));
                }
            };
            if found.replace(coding).is_some() {
                return Err(unsupported("Bodies that are encoded twice are not accepted"));
            }
        }
    }
    Ok(found)
}

fn unsupported(what: &str) -> Error {
    Error::UnsupportedMediaType {
        message: format!("{what}: send the body plain, or as one of gzip, deflate, br, zstd."),
    }
}

/// The body as it was before it was encoded. At most `raw_bytes_max` are read of it: a stream of
/// empty blocks would otherwise go on for ever and say nothing.
pub(super) fn inflate(body: Body, coding: Coding, raw_bytes_max: u64) -> Body {
    let raw = raw(body, raw_bytes_max);
    match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(raw);
            decoder.multiple_members(true);
            plain(decoder)
        }
        Coding::Deflate => plain(ZlibDecoder::new(raw)),
        Coding::Brotli => plain(BrotliDecoder::new(raw)),
        Coding::Zstd => {
            let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)];
            let mut decoder = ZstdDecoder::with_params(raw, &window);
            decoder.multiple_members(true);
            plain(decoder)
        }
    }
}

fn raw(body: Body, bytes_max: u64) -> Raw {
    let mut left = bytes_max;
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        left = left.checked_sub(piece.len() as u64).ok_or_else(|| io::Error::other(TooLong))?;
        Ok(piece)
    });
    StreamReader::new(pieces.boxed())
}

fn plain<D: Decoder>(decoder: D) -> Body {
    Body::from_stream(stream::try_unfold(Some(decoder), |decoder| async move {
        let Some(mut decoder) = decoder else { return Ok(None) };
        // A few bytes may become many: others get their turn in between.
        tokio::task::coop::consume_budget().await;
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        if decoder.read_buf(&mut piece).await? > 0 {
            return Ok(Some((piece.freeze(), Some(decoder))));
        }
        if !decoder.raw().fill_buf().await?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes after the end"));
        }
        Ok(None)
    }))
}
