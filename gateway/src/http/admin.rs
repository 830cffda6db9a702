//! The operators' listener: metrics, keys, nodes and receipts. Its token lives in the data folder,
//! readable by its owner only, and is made on the first start.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::App;
use crate::metrics;

pub mod keys;
pub mod nodes;
pub mod receipts;

const FILE: &str = "admin_token";
const ADDR_FILE: &str = "admin_addr";
const RANDOM_BYTES: usize = 32;
/// `qa_` and the bytes in hex.
const TOKEN_BYTES: usize = 3 + 2 * RANDOM_BYTES;

/// Opens the admin listener.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("cannot use {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} holds no admin token; delete it, and the next start makes one", path.display())]
    Malformed { path: PathBuf },
    #[error("the system has no random numbers")]
    Random(#[source] getrandom::Error),
}

/// What this process measured, in the OpenMetrics text format.
#[utoipa::path(get, path = "/metrics", tag = "admin", security(("admin_token" = [])),
    responses((status = 200, description = "OpenMetrics text", content_type = "text/plain", body = String)))]
pub async fn scrape(State(app): State<Arc<App>>) -> Response {
    let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
    ([(header::CONTENT_TYPE, kind)], app.metrics.encode()).into_response()
}

// === impl Token ===

impl Token {
    /// The folder's token; made, with the folder, when there is none.
    ///
    /// # Errors
    /// The folder can't be used, or the file holds something else.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, TokenError> {
        let path = data_dir.join(FILE);
        let io = |source| TokenError::Io { path: path.clone(), source };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                crate::store::create_dir(data_dir).map_err(io)?;
                let token = random()?;
                write_new(&path, &token).map_err(io)?;
                fs::read_to_string(&path).map_err(io)?
            }
            Err(error) => return Err(io(error)),
        };
        Self::parse(path, &text)
    }

    /// The folder's token, which must be there.
    ///
    /// # Errors
    /// As [`Self::load_or_create`].
    pub fn load(data_dir: &Path) -> Result<Self, TokenError> {
        let path = data_dir.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(path, &text),
            Err(source) => Err(TokenError::Io { path, source }),
        }
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() != TOKEN_BYTES || !text.starts_with("qa_") {
            return Err(TokenError::Malformed { path });
        }
        Ok(Self(SecretString::from(text)))
    }

    /// As an `Authorization` header's value.
    pub(crate) fn bearer(&self) -> Result<HeaderValue, header::InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0.expose_secret()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// Leaves word for the command line where the admin API of the folder's gateway is.
///
/// # Errors
/// The folder can't be written.
pub(crate) fn publish_addr(data_dir: &Path, addr: SocketAddr) -> io::Result<()> {
    let reachable = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let path = data_dir.join(ADDR_FILE);
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&draft, format!("{}\n", SocketAddr::new(reachable, addr.port())))?;
    fs::rename(&draft, &path)
}

/// Where the gateway that started last on this folder has its admin API.
pub(crate) fn known_addr(data_dir: &Path) -> Option<SocketAddr> {
    fs::read_to_string(data_dir.join(ADDR_FILE)).ok()?.trim().parse().ok()
}

fn random() -> Result<SecretString, TokenError> {
    let mut bytes = [0u8; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
    Ok(SecretString::from(format!("qa_{}", hex::encode(bytes))))
}

/// Writes beside the path and links it in place, so that nobody ever reads half a token, and of two
/// processes that start at once the first one's is used by both.
fn write_new(path: &Path, token: &SecretString) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let written = writeln!(file, "{}", token.expose_secret()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
