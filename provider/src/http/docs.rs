//! The contract: built from the same router that serves, printed by `quorate-provider openapi`,
//! committed as `openapi/provider.json`.

use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_TYPE;
use std::future::{Ready, ready};
use utoipa::OpenApi;
use utoipa::openapi::OpenApiVersion;
use utoipa_scalar::Scalar;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Quorate provider",
        description = "OpenAI-compatible endpoints of one provider. Requests that carry `x-quorate-evidence: 1` get token ids and provenance in SSE comments."
    ),
    components(schemas(
        openapi::chat::Chunk,
        openapi::evidence::Provenance
    )),
    tags(
        (name = "openai", description = "OpenAI's endpoints."),
        (name = "verification", description = "Scoring what other nodes wrote, and showing what this one committed itself to."),
        (name = "operation", description = "Health, metrics, this document.")
    )
)]
struct Head;

pub(super) fn head() -> utoipa::openapi::OpenApi {
    let mut head = Head::openapi();
    // The version that knows `itemSchema`, by which streams are described.
    head.openapi = OpenApiVersion::Version32;
    head
}

/// The contract as a document.
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, mut document) = super::routes().split_for_parts();
    // axum's wildcard is not a path template of the standard.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths =
        paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    openapi::events::describe(&mut document);
    document
}

/// This contract.
#[utoipa::path(get, path = "/openapi.json", tag = "operation",
    responses((status = 200, description = "This document.", content_type = "application/json")))]
pub(super) fn openapi_json() -> Ready<Response> {
    let json = serde_json::to_string(&document()).unwrap_or_default();
    ready(([(CONTENT_TYPE, "application/json")], json).into_response())
}

/// This contract for people. The page loads its viewer from a public CDN.
#[utoipa::path(get, path = "/docs", tag = "operation",
    responses((status = 200, description = "A page to browse this document.", content_type = "text/html")))]
pub(super) fn page() -> Ready<Html<String>> {
    let page = Scalar::new(document()).title("Quorate provider").to_html();
    ready(Html(page))
}
