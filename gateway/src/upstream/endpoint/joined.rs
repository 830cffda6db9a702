//! Endpoints of nodes that joined: through their tunnel, or dialled and pinned to their key.

use http::{HeaderValue, Uri};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{Endpoint, Invalid, Security, Way, bearer, dialed};
use crate::config::Limits;
use crate::upstream::tunnel::{AUTHORITY, Tunnel};

const PATHS: [&str; 3] = ["chat/completions", "completions", "embeddings"];
const VERSION: &str = "/v1";

impl Endpoint {
    /// A node at the other end of `tunnel`. `token`: its lease's.
    ///
    /// # Errors
    /// An id or token that fits into no header.
    pub fn tunnel(id: &str, operator: &str, tunnel: Tunnel, token: &str) -> Result<Self, Invalid> {
        let uris = uris(id, &format!("https://{AUTHORITY}{VERSION}"))?;
        let endpoint = Self::by(id, operator, Way::Tunnel(tunnel), uris)?;
        Ok(Self { authorization: Some(authorization(id, token)?), ..endpoint })
    }

    /// A node at a URL of its own: hostile input. HTTPS, with a certificate over `node`'s key; where
    /// `allow_private`, this machine too, and there in the clear as well. `tls` shows our own
    /// certificate and takes none but the node's.
    ///
    /// # Errors
    /// Another kind of URL; an id or token that fits into no header.
    pub fn direct(
        id: &str,
        operator: &str,
        url: &Url,
        tls: Arc<rustls::ClientConfig>,
        token: &str,
        allow_private: bool,
        limits: &Limits,
    ) -> Result<Self, Invalid> {
        let invalid = |what: &str| Invalid::new(id, what);
        let security = match url.scheme() {
            "https" => Security::Pinned(TlsConnector::from(tls)),
            "http" if allow_private && is_loopback(url) => Security::Plain,
            _ => return Err(invalid("the URL must be https")),
        };
        let has_more = url.query().is_some() || url.fragment().is_some();
        if has_more || !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("the URL must be scheme, host, port and path alone"));
        }
        let path = url.path().trim_end_matches('/');
        let base = path.strip_suffix(VERSION).unwrap_or(path);
        let (way, host) = dialed(url, security, allow_private, limits).map_err(invalid)?;
        Ok(Self {
            host_header: Some(host),
            authorization: Some(authorization(id, token)?),
            ..Self::by(id, operator, way, uris(id, &format!("{base}{VERSION}"))?)?
        })
    }
}

fn uris(id: &str, base: &str) -> Result<[Uri; 3], Invalid> {
    let uri = |path| {
        format!("{base}/{path}")
            .parse()
            .map_err(|_| Invalid::new(id, "the URL's path is not usable"))
    };
    let [chat, completions, embeddings] = PATHS;
    Ok([uri(chat)?, uri(completions)?, uri(embeddings)?])
}

fn authorization(id: &str, token: &str) -> Result<HeaderValue, Invalid> {
    bearer(token).map_err(|_| Invalid::new(id, "the token does not fit into a header"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::PublicKey;
    use identity::tls::{Server, client};

    fn direct(url: &str, allow_private: bool) -> Result<Endpoint, Invalid> {
        let node = PublicKey::from_bytes([7; 32]);
        let tls = Arc::new(client(Server::Key(node), None).unwrap());
        let url = url.parse().unwrap();
        Endpoint::direct("n", "o", &url, tls, "token", allow_private, &Limits::default())
    }

    #[test]
    fn a_nodes_url_is_https_or_this_machine_with_leave() {
        for url in ["https://node.example:9000", "https://192.0.2.1/", "https://[2001:db8::1]/v1"] {
            assert!(direct(url, false).is_ok(), "{url}");
        }
        for url in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000"] {
            assert!(direct(url, false).is_err(), "{url}");
            assert!(direct(url, true).is_ok(), "{url}");
        }
        for url in [
            "http://node.example",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://me@node.example",
            "https://node.example/?x=1",
            "https://node.example/#x",
        ] {
            assert!(direct(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn the_paths_are_those_below_v1() {
        for (url, path) in [
            ("https://node.example", "/v1/completions"),
            ("https://node.example/v1/", "/v1/completions"),
            ("https://node.example/deep", "/deep/v1/completions"),
        ] {
            let endpoint = direct(url, false).unwrap();
            assert_eq!(endpoint.uri(crate::request::Endpoint::Completions).path(), path);
        }
    }
}
