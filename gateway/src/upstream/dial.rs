//! What stands for the network in a test: connections that are no sockets of this machine. Nothing in a
//! running gateway makes one, and names and addresses of real sockets are judged by `guard` as ever.

use futures_util::future::BoxFuture;
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncWrite};

/// Both ways of a connection.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

pub type Stream = Box<dyn Socket>;

/// Connects to providers by their URL's host and port.
pub trait Dial: Send + Sync + fmt::Debug {
    fn dial(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Stream>>;
}
