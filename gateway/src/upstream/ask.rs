//! One short exchange of JSON with a node, of the gateway's own accord: no client, no other node, no relay.
//! Both sides are bounded; dropping it cancels.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use http_body_util::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::poll_fn;
use std::time::Duration;

use super::attempt::{Context, judge_head, send_request};
use super::error::{Error, Phase};
use crate::market::Offer;

/// What is asked of a node beside requests of clients.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a, T> {
    /// Of its HTTP surface.
    pub path: &'a str,
    /// Absent: a GET.
    pub body: Option<&'a T>,
    /// Of the request that it is about.
    pub nonce: Option<&'a str>,
    /// Of the answer.
    pub bytes_max: usize,
    pub limit: Duration,
}

/// # Errors
/// As of an attempt: no connection, a status that is no success, an answer too long or too late, or one
/// that is not what was asked for.
pub async fn ask<T: Serialize, A: DeserializeOwned>(
    context: &Context,
    offer: &Offer,
    question: Question<'_, T>,
) -> Result<A, Error> {
    let request = request(offer, &question)?;
    let _in_flight = offer.endpoint.begin();
    let answer = async {
        let (parts, body) = send_request(context, offer, request).await?.into_parts();
        let (_, mut body) = judge_head(parts, body).await?;
        let mut read = BytesMut::new();
        while let Some(data) = poll_fn(|cx| body.poll_data(cx)).await {
            let data = data?;
            if read.len() + data.len() > question.bytes_max {
                return Err(Error::Stream("the answer is too large".to_owned()));
            }
            read.extend_from_slice(&data);
        }
        Ok(read.freeze())
    };
    let answer = tokio::time::timeout(question.limit, answer).await;
    let answer = answer.unwrap_or(Err(Error::Timeout(Phase::Request)))?;
    serde_json::from_slice(&answer)
        .map_err(|error| Error::Stream(format!("the answer can't be read: {error}")))
}

fn request<T: Serialize>(
    offer: &Offer,
    question: &Question<'_, T>,
) -> Result<Request<Full<Bytes>>, Error> {
    let endpoint = &offer.endpoint;
    let unusable = |error: &dyn std::fmt::Display| Error::Stream(format!("not askable: {error}"));
    let body = question.body.map(serde_json::to_vec).transpose();
    let body = body.map_err(|error| unusable(&error))?;
    let mut request = Request::new(Full::new(body.map(Bytes::from).unwrap_or_default()));
    if question.body.is_some() {
        *request.method_mut() = Method::POST;
    }
    *request.uri_mut() =
        beside(endpoint.uri(crate::request::Endpoint::ChatCompletions), question.path)
            .map_err(|error| unusable(&error))?;
    *request.version_mut() = match &endpoint.host_header {
        Some(_) => Version::HTTP_11,
        None => Version::HTTP_2,
    };
    let headers = request.headers_mut();
    if let Some(host) = &endpoint.host_header {
        headers.insert(header::HOST, host.clone());
    }
    if question.body.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(nonce) = question.nonce {
        let nonce = HeaderValue::from_str(nonce).map_err(|error| unusable(&error))?;
        headers.insert(HeaderName::from_static(openapi::evidence::NONCE_HEADER), nonce);
    }
    if let Some(authorization) = &endpoint.authorization {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}

/// The same server's URI with another path; `known` ends with `/v1/chat/completions`.
fn beside(known: &Uri, path: &str) -> Result<Uri, http::Error> {
    let base = known.path().strip_suffix("/v1/chat/completions").unwrap_or_default();
    let mut parts = known.clone().into_parts();
    parts.path_and_query = Some(format!("{base}{path}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stand_beside_that_of_chat() {
        for (known, expected) in [
            ("http://node/v1/chat/completions", "http://node/v1/verify/info"),
            ("https://h:1/sub/v1/chat/completions", "https://h:1/sub/v1/verify/info"),
            ("/v1/chat/completions", "/v1/verify/info"),
        ] {
            let uri = beside(&known.parse().unwrap(), "/v1/verify/info").unwrap();
            assert_eq!(uri.to_string(), expected);
        }
    }
}
