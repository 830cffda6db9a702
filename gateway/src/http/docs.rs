//! The contract: the OpenAPI document of the routes, and pages that show it. The document is made from
//! the very routers that serve, so a route can't be missing in it.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, header};
use std::sync::LazyLock;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi, OpenApiVersion};
use utoipa::{Modify, OpenApi as _};
use utoipa_scalar::Scalar;

use super::router;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Quorate gateway",
        description = "OpenAI's API in front of independent providers. Every error has OpenAI's \
                       envelope; `x-should-retry` says whether sending the request again can help.",
    ),
    tags(
        (name = "chat", description = "Chat completions"),
        (name = "responses", description = "Responses, stateless"),
        (name = "completions", description = "The older form, without a conversation"),
        (name = "embeddings", description = "Texts to vectors"),
        (name = "models", description = "What can be asked for"),
        (name = "keys", description = "What the caller's key may use"),
        (name = "receipts", description = "What is kept of answers, signed"),
        (name = "health", description = "For load balancers and supervisors; on both listeners"),
        (name = "admin", description = "On the admin listener only"),
        (name = "nodes", description = "How providers join; on the node listener only"),
        (name = "docs", description = "This document"),
    ),
    // Served by the wildcard of `retrieveModel`.
    paths(super::models::endpoints),
    // A member of any answer, by header.
    components(schemas(openapi::explain::Quorate)),
    modifiers(&Schemes),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = |description: &str| {
            let mut scheme = Http::new(HttpAuthScheme::Bearer);
            scheme.description = Some(description.to_owned());
            SecurityScheme::Http(scheme)
        };
        components.add_security_scheme(
            "api_key",
            bearer("A key of the gateway's configuration, or one made by `key create`"),
        );
        components.add_security_scheme(
            "admin_token",
            bearer("The token in the data folder's admin_token"),
        );
        components.add_security_scheme(
            "join_token",
            bearer("One of the configuration's `market.tokens`, where the gateway asks for one"),
        );
        components.add_security_scheme("lease_token", bearer("The token of the welcome"));
    }
}

/// The contract of all listeners.
pub fn document() -> OpenApi {
    let mut document = Document::openapi();
    document.openapi = OpenApiVersion::Version32;
    document.merge(router::client_routes().into_openapi());
    document.merge(router::admin_routes().into_openapi());
    document.merge(router::node_routes().into_openapi());
    // axum's wildcard, which matches ids with slashes, has no name in OpenAPI.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths =
        paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    openapi::events::describe(&mut document);
    document
}

static JSON: LazyLock<String> =
    LazyLock::new(|| document().to_pretty_json().unwrap_or_else(|_| "{}".to_owned()));

/// The OpenAPI document of this gateway.
#[utoipa::path(get, path = "/openapi.json", tag = "docs",
    responses((status = 200, description = "OpenAPI", content_type = "application/json", body = Object)))]
pub async fn json() -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], JSON.as_str()).into_response()
}

/// The document as a page; its viewer comes from a public CDN.
#[utoipa::path(get, path = "/docs", tag = "docs",
    responses((status = 200, description = "A page", content_type = "text/html", body = String)))]
pub async fn page() -> Html<String> {
    Html(Scalar::new(document()).to_html())
}
