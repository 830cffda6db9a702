//! Pages of other sites: which origins may read answers, by `[server] cors_origins`; none unless the
//! operator lists them. Only what a program sends is allowed: no cookies, so
//! `Access-Control-Allow-Credentials` is never said. It decides nothing about keys: those come after.

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::config::CorsOrigins;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
/// How long a browser need not ask again, in seconds.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");
/// What pages may read beside the body.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id, openai-processing-ms, retry-after, retry-after-ms, x-should-retry, \
     x-ratelimit-limit-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-requests, \
     x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, x-ratelimit-reset-tokens, \
     x-quorate-provider, x-quorate-attempts, x-quorate-hedged, x-quorate-cost, \
     x-quorate-overhead-us, x-quorate-cache, x-quorate-verified, x-quorate-receipt",
);
/// A page that asks to send more header names than this is answered as if it had asked for none.
const REQUESTED_BYTES_MAX: usize = 4096;

/// The answer to a browser's question before the request itself, which carries no key; `None` if the
/// request is no such question, or its origin is not listed.
pub(super) fn preflight(origins: &CorsOrigins, request: &Request<Body>) -> Option<Response<Body>> {
    let headers = request.headers();
    let asks = request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks || allowed(origins, headers).is_none() {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    // SDKs send headers of their own (`x-stainless-*`), and a `*` would not cover Authorization.
    if let Some(names) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        && are_names(names)
    {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    Some(response)
}

/// Lets the page that asked read the answer, refusals too.
pub(super) fn mark(origins: &CorsOrigins, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
    if !origins.any() && !origins.is_empty() {
        // A cache must not give one site's answer to another, nor to nobody in particular.
        answer.append(header::VARY, HeaderValue::from_static("origin"));
    }
    let Some(origin) = origin.and_then(|origin| for_origin(origins, origin)) else { return };
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

fn allowed(origins: &CorsOrigins, headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ORIGIN).and_then(|origin| for_origin(origins, origin))
}

/// What `Access-Control-Allow-Origin` says to this origin.
fn for_origin(origins: &CorsOrigins, origin: &HeaderValue) -> Option<HeaderValue> {
    if origins.any() {
        return Some(HeaderValue::from_static("*"));
    }
    origins.contains(origin.as_bytes()).then(|| origin.clone())
}

fn are_names(list: &HeaderValue) -> bool {
    let bytes = list.as_bytes();
    bytes.len() <= REQUESTED_BYTES_MAX
        && bytes
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .all(|name| HeaderName::from_bytes(name).is_ok())
}
