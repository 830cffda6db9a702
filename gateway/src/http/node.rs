//! `/node/v1`, on the node listener alone: a challenge, a hello, the upgrade. How far a connection has
//! come is `nodes::Joining`'s to know; whether the node may join is the market's to judge.

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;
use identity::Certificate;
use identity::tls::{Server, client};
use openapi::error::ErrorBody;
use openapi::node::{Challenge, HELLO_BYTES_MAX, Hello, Link, PROTOCOL, UPGRADE, Welcome};
use openapi::sign::Signed;
use std::sync::Arc;

use super::error::{Credentials, Error};
use crate::app::App;
use crate::auth::bearer;
use crate::market::{Admission, Presented, Refusal};
use crate::metrics::{JoinOutcome, Label as _};
use crate::nodes::Joining;
use crate::upstream::Endpoint;

const NONCE_BYTES: usize = 32;

/// Begins joining: what the hello must name. Good for one hello on this connection.
#[utoipa::path(
    get,
    path = "/node/v1/challenge",
    operation_id = "nodeChallenge",
    tag = "nodes",
    responses(
        (status = 200, description = "The challenge", body = Challenge),
        (status = 503, description = "The gateway stops", body = ErrorBody),
    ),
)]
pub(super) async fn challenge(
    State(app): State<Arc<App>>,
    Extension(joining): Extension<Arc<Joining>>,
) -> Result<axum::Json<Challenge>, Error> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| {
        tracing::error!(%error, "no random numbers");
        Error::Internal { id: "random".to_owned() }
    })?;
    let nonce = hex::encode(nonce);
    joining.challenged(nonce.clone());
    Ok(axum::Json(Challenge {
        protocol_min: PROTOCOL,
        protocol_max: PROTOCOL,
        gateway: app.market.identity().public(),
        nonce,
        time_ms: i64::try_from(app.clock.unix_ms()).unwrap_or(i64::MAX),
    }))
}

/// Joins with a signed hello. Each refusal has a reason of its own as its `code`.
#[utoipa::path(
    post,
    path = "/node/v1/join",
    operation_id = "nodeJoin",
    tag = "nodes",
    security((), ("join_token" = [])),
    request_body = Signed<Hello>,
    responses(
        (status = 200, description = "The lease", body = Welcome),
        (status = 400, description = "A hello that can't be read", body = ErrorBody),
        (status = 401, description = "No valid signature or join token", body = ErrorBody),
        (status = 403, description = "The node may not join", body = ErrorBody),
        (status = 413, description = "The hello is too large", body = ErrorBody),
        (status = 503, description = "No place for one more node", body = ErrorBody),
    ),
)]
pub(super) async fn join(
    State(app): State<Arc<App>>,
    Extension(joining): Extension<Arc<Joining>>,
    request: Request,
) -> Result<axum::Json<Welcome>, Error> {
    let result = admit(&app, &joining, request).await;
    let outcome = match &result {
        Ok(_) => JoinOutcome::Ok,
        Err(Error::Refused(refusal)) => outcome(refusal),
        Err(_) => JoinOutcome::Other,
    };
    app.metrics.joins.get(outcome).inc();
    if let Err(error) = &result {
        tracing::info!(remote = %joining.remote, reason = outcome.as_str(), %error, "a node was refused");
    }
    result.map(axum::Json)
}

/// Makes the connection a tunnel: HTTP/2, of which the gateway is the client.
#[utoipa::path(
    get,
    path = "/node/v1/tunnel",
    operation_id = "nodeTunnel",
    tag = "nodes",
    security(("lease_token" = [])),
    responses(
        (status = 101, description = "HTTP/2 from here on"),
        (status = 401, description = "The lease is another connection's, or nobody's", body = ErrorBody),
        (status = 426, description = "The request asks for no upgrade", body = ErrorBody),
    ),
)]
pub(super) async fn tunnel(
    Extension(joining): Extension<Arc<Joining>>,
    mut request: Request,
) -> Result<Response, Error> {
    let token = bearer(request.headers()).map_err(|_| Error::Refused(Refusal::LeaseUnknown))?;
    let token = Bytes::copy_from_slice(token);
    let wants = has_token(request.headers(), header::UPGRADE, UPGRADE)
        && has_token(request.headers(), header::CONNECTION, "upgrade");
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let upgrade = upgrade.filter(|_| wants).ok_or(Error::UpgradeRequired)?;
    joining.upgrade(&token, upgrade).map_err(Error::Refused)?;
    let upgrade = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static(UPGRADE)),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade, Body::empty()).into_response())
}

async fn admit(app: &App, joining: &Joining, request: Request) -> Result<Welcome, Error> {
    let (parts, body) = request.into_parts();
    // Taken before anything is looked at: a challenge is good for one hello, good or bad.
    let nonce = joining.take_challenge().ok_or(Error::Refused(Refusal::Replayed))?;
    let join_token = match bearer(&parts.headers) {
        Ok(token) => Some(std::str::from_utf8(token).map_err(|_| Credentials::Malformed)),
        Err(Credentials::Missing) => None,
        Err(malformed) => Some(Err(malformed)),
    };
    let join_token = join_token.transpose().map_err(Error::Unauthorized)?;
    let hello = read(body).await?;
    let hello: Signed<Hello> = parse(&hello)?;
    let presented = Presented {
        hello: &hello,
        join_token,
        exporter: joining.exporter,
        nonce: &nonce,
        remote: joining.remote,
    };
    let admission = app.market.admit(&presented).map_err(Error::Refused)?;
    let direct = direct(app, &admission)?;
    let welcome = admission.welcome.clone();
    joining.admitted(admission, direct);
    Ok(welcome)
}

async fn read(mut body: Body) -> Result<Bytes, Error> {
    let too_large = || Error::Refused(Refusal::HelloTooLarge);
    if body.size_hint().lower() > HELLO_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::ClientGone)?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > HELLO_BYTES_MAX {
            return Err(too_large());
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

fn parse(hello: &[u8]) -> Result<Signed<Hello>, Error> {
    let mut reader = serde_json::Deserializer::from_slice(hello);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let what = "it is missing, or not of its form".into();
        Error::Refused(Refusal::Invalid { param: error.path().to_string(), what })
    })
}

/// The endpoint of a direct link: its URL is judged while the node can still be told.
fn direct(app: &App, admission: &Admission) -> Result<Option<Arc<Endpoint>>, Error> {
    let Link::Direct { url } = &admission.link else { return Ok(None) };
    let wrong = |what: String| {
        Error::Refused(Refusal::Invalid { param: "link.url".to_owned(), what: what.into() })
    };
    let url = url.parse().map_err(|_| wrong("it is no URL".to_owned()))?;
    let internal = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "no TLS towards a node");
        Error::Internal { id: "direct".to_owned() }
    };
    let own = Certificate::self_signed(app.market.identity(), &[]);
    let own = own.map_err(|error| internal(&error))?;
    let tls = client(Server::Key(admission.node), Some(own)).map_err(|error| internal(&error))?;
    let endpoint = Endpoint::direct(
        &admission.provider,
        &admission.operator,
        &url,
        Arc::new(tls),
        admission.token.expose(),
        app.settings.market.direct_private,
        &app.settings.limits,
    );
    let endpoint = endpoint.map_err(|invalid| wrong(invalid.what))?;
    Ok(Some(Arc::new(endpoint)))
}

fn outcome(refusal: &Refusal) -> JoinOutcome {
    let code = refusal.code();
    let found = JoinOutcome::ALL.iter().find(|outcome| outcome.as_str() == code);
    found.copied().unwrap_or(JoinOutcome::Other)
}

/// Whether a header's list of words has this one.
fn has_token(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(word)))
}
