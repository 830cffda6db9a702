//! The whole error table, as clients see it: no variant can be left out.

use axum::response::IntoResponse as _;
use bytes::Bytes;
use gateway::http::error::{Credentials, Error, Missing, Phase};
use gateway::market::Refusal;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Names every variant. A new one does not compile until it stands in the list, and the table fails
/// until [`all`] has an example of it.
macro_rules! variants {
    ($($variant:ident),+ $(,)?) => {
        const VARIANTS: &[&str] = &[$(stringify!($variant)),+];

        fn name(error: &Error) -> &'static str {
            match error {
                $(Error::$variant { .. } => stringify!($variant),)+
            }
        }
    };
}

variants!(
    InvalidRequest,
    Unauthorized,
    Forbidden,
    ModelNotFound,
    Refused,
    UpgradeRequired,
    ResponseNotFound,
    UnknownUrl,
    MethodNotAllowed,
    RequestTimeout,
    TooLarge,
    UnsupportedMediaType,
    HeadersTooLarge,
    Malformed,
    UrlTooLong,
    RateLimited,
    OverLimit,
    KeyNotFound,
    NodeNotFound,
    NoReceipt,
    NoProvider,
    ProviderError,
    ConsensusNotReached,
    ProviderRateLimited,
    UpstreamRejected,
    Timeout,
    Draining,
    ClientGone,
    Overloaded,
    Internal,
);

fn all() -> Vec<Error> {
    let after = Some(Duration::from_millis(1500));
    let rejected = |status: u16, body: &'static str| Error::UpstreamRejected {
        status: StatusCode::from_u16(status).expect("a status"),
        body: Bytes::from_static(body.as_bytes()),
    };
    let mut errors = vec![
        Error::InvalidRequest {
            message: "Unknown role.".into(),
            param: Some("messages[0].role".into()),
            code: Some("invalid_value"),
        },
        Error::invalid("messages", "At least one message is needed."),
        Error::Unauthorized(Credentials::Missing),
        Error::Unauthorized(Credentials::Malformed),
        Error::Unauthorized(Credentials::Unknown),
        Error::Forbidden { message: "Not this region.".into(), code: "region_not_allowed" },
        Error::ModelNotFound { model: "nope".into(), param: "model" },
        Error::Refused(Refusal::Replayed),
        Error::Refused(Refusal::HelloTooLarge),
        Error::Refused(Refusal::Invalid { param: "models[0].id".into(), what: "empty".into() }),
        Error::Refused(Refusal::LeaseUnknown),
        Error::Refused(Refusal::Full),
        Error::UpgradeRequired,
        Error::ResponseNotFound { id: "resp_1".into() },
        Error::UnknownUrl { method: Method::GET, path: "/v1/nope".into() },
        Error::MethodNotAllowed { method: Method::PUT, path: "/v1/models".into() },
        Error::RequestTimeout { idle: Duration::from_secs(30) },
        Error::TooLarge { limit_bytes: 1000 },
        Error::UnsupportedMediaType { message: "Not text/plain.".into() },
        Error::HeadersTooLarge { limit_bytes: 65536 },
        Error::Malformed,
        Error::Overloaded,
        Error::UrlTooLong { limit_bytes: 65534 },
        Error::RateLimited { limit: "requests per minute".into(), retry_after: after },
        Error::RateLimited { limit: "tokens a day".into(), retry_after: Some(HOUR) },
        Error::OverLimit { limit: 1000, asked: 5000 },
        Error::KeyNotFound { message: "there is no such key".into() },
        Error::NodeNotFound { id: "n1".into() },
        Error::NoReceipt(Missing::Unknown("rcpt_1".into())),
        Error::NoReceipt(Missing::Pending("rcpt_1".into())),
        Error::NoReceipt(Missing::Off),
        Error::NoProvider { model: "m".into(), reason: "all are down".into(), retry_after: after },
        Error::NoProvider { model: "m".into(), reason: "none in eu".into(), retry_after: None },
        Error::ProviderError { message: "The provider broke off.".into() },
        Error::ConsensusNotReached { reason: "1 of 3 said so".to_owned() },
        Error::ProviderRateLimited { retry_after: after },
        Error::ProviderRateLimited { retry_after: Some(HOUR) },
        Error::ProviderRateLimited { retry_after: None },
        rejected(
            400,
            r#"{"error":{"message":"m","type":"t","param":null,"code":"context_length_exceeded"}}"#,
        ),
        rejected(422, r#"{"detail":[{"loc":["body","n"],"msg":"too many"}]}"#),
        rejected(404, ""),
        rejected(413, "<html>"),
        rejected(429, r#"{"error":"slow down"}"#),
        rejected(
            401,
            r#"{"error":{"message":"bad key sk-x","type":"t","param":null,"code":null}}"#,
        ),
        Error::Draining,
        Error::ClientGone,
        Error::Internal { id: "req_1".into() },
    ];
    for phase in [Phase::Connect, Phase::Head, Phase::FirstContent, Phase::Stall, Phase::Request] {
        errors.push(Error::Timeout { phase });
    }
    errors
}

#[tokio::test]
async fn the_error_table() {
    let mut rows = Vec::new();
    let mut left: Vec<&str> = VARIANTS.to_vec();
    for error in all() {
        let (name, row) = (name(&error), error.row());
        left.retain(|variant| *variant != name);
        let (head, body) = error.into_response().into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let header = |name: &str| {
            head.headers.get(name).map_or("-", |value| value.to_str().expect("text")).to_owned()
        };
        rows.push(format!(
            "{name}: {} {} {} retry={} after={}s/{}ms {:?} {:?}\n    {}",
            head.status.as_u16(),
            row.kind,
            row.code.unwrap_or("-"),
            header("x-should-retry"),
            header("retry-after"),
            header("retry-after-ms"),
            row.origin,
            row.outcome,
            String::from_utf8(body.to_vec()).expect("text"),
        ));
    }
    assert!(left.is_empty(), "no example of {left:?}");
    insta::assert_snapshot!(rows.join("\n"));
}

#[tokio::test]
async fn nobody_is_told_to_wait_longer_than_the_sdks_do() {
    for error in all() {
        let response = error.clone().into_response();
        let number = |name: &str| {
            let value = response.headers().get(name)?.to_str().expect("text");
            Some(value.parse::<u64>().expect("a number"))
        };
        assert!(number("retry-after").is_none_or(|s| (1..=60).contains(&s)), "{error:?}");
        assert!(number("retry-after-ms").is_none_or(|ms| (1..=60_000).contains(&ms)), "{error:?}");
        assert!(response.headers().contains_key("x-should-retry"), "{error:?}");
    }
}

#[tokio::test]
async fn every_error_has_all_four_members_in_a_body_and_in_an_event() {
    for error in all() {
        let event = serde_json::to_value(error.to_event()).expect("JSON");
        let body = error.clone().into_response().into_body().collect().await.expect("a body");
        let body: Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
        for value in [&event, &body] {
            let object = value["error"].as_object().expect("an object");
            for member in ["message", "type", "param", "code"] {
                assert!(object.contains_key(member), "{error:?} has no {member}");
            }
            assert!(object["message"].as_str().is_some_and(|m| !m.is_empty()), "{error:?}");
            assert!(object["code"].is_null() || object["code"].is_string(), "{error:?}");
        }
    }
}
