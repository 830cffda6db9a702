//! Browsers are hostile: any page can send requests to this machine. Where no key protects a listener,
//! the Host must name this machine (a rebound DNS name does not), and an Origin, which browsers add to
//! requests that pages make, must be of this machine too. Programs send no Origin.

use http::{HeaderMap, Uri, header};
use std::net::IpAddr;

use crate::config::CorsOrigins;
use crate::http::error::Error;

/// Refuses what a page from elsewhere could send, unless its site is one of `trusted`.
///
/// # Errors
/// `Forbidden`, when Host or Origin names another machine.
pub fn local_only(uri: &Uri, headers: &HeaderMap, trusted: &CorsOrigins) -> Result<(), Error> {
    // HTTP/2 and absolute requests name the host in the URI.
    let uri_is_local = uri.authority().is_none_or(|host| is_local_authority(host.as_str()));
    let host_is_local = headers
        .get_all(header::HOST)
        .iter()
        .all(|host| host.to_str().is_ok_and(is_local_authority));
    if !uri_is_local || !host_is_local {
        return Err(refused("the Host header does not name this machine"));
    }
    match headers.get(header::ORIGIN) {
        None => Ok(()),
        Some(origin) if origin.to_str().is_ok_and(is_local_origin) => Ok(()),
        Some(origin) if trusted.contains(origin.as_bytes()) => Ok(()),
        Some(_) => Err(refused("the Origin header names another site")),
    }
}

fn refused(why: &str) -> Error {
    Error::Forbidden {
        message: format!("Without keys this listener serves this machine only: {why}."),
        code: "foreign_origin",
    }
}

/// An Origin is `scheme://host[:port]`; a sandboxed page's `null` is foreign.
fn is_local_origin(origin: &str) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(is_local_authority)
}

/// `host` or `host:port`, where the host is `localhost` or a loopback address.
pub(crate) fn is_local_authority(authority: &str) -> bool {
    let Ok(uri) = Uri::builder().scheme("http").authority(authority).path_and_query("/").build()
    else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    !authority.contains('@')
        && (bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback()))
}
