//! Every route, through `OpenApiRouter`, so that what is served is what is documented.

use axum::Router;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    admin, chat, completions, docs, embeddings, health, key, models, node, receipts, responses,
    unknown_url, wrong_method,
};
use crate::app::App;

type Routes = OpenApiRouter<Arc<App>>;

/// What clients call.
pub(super) fn client_routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(chat::create))
        .routes(routes!(completions::create))
        .routes(routes!(responses::create))
        .routes(routes!(responses::find, responses::delete))
        .routes(routes!(responses::cancel))
        .routes(routes!(responses::input_items))
        .routes(routes!(embeddings::create))
        .routes(routes!(models::list))
        .routes(routes!(models::find))
        .routes(routes!(key::own))
        .routes(routes!(receipts::keys))
        .routes(routes!(receipts::find))
        .routes(routes!(receipts::signature))
        .merge(probes())
        .routes(routes!(docs::json))
        .routes(routes!(docs::page))
}

/// What operators call.
pub(super) fn admin_routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(admin::scrape))
        .routes(routes!(admin::keys::create, admin::keys::list))
        .routes(routes!(admin::keys::revoke))
        .routes(routes!(admin::nodes::list))
        .routes(routes!(admin::nodes::find))
        .routes(routes!(admin::nodes::eject))
        .routes(routes!(admin::nodes::readmit))
        .routes(routes!(admin::nodes::drain))
        .routes(routes!(admin::receipts::find))
        .routes(routes!(admin::receipts::rotate))
        .merge(probes())
}

/// What nodes call.
pub(super) fn node_routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(node::challenge))
        .routes(routes!(node::join))
        .routes(routes!(node::tunnel))
}

fn probes() -> Routes {
    OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz))
}

pub(super) fn client() -> Router<Arc<App>> {
    with_fallbacks(client_routes())
}

pub(super) fn admin() -> Router<Arc<App>> {
    with_fallbacks(admin_routes())
}

pub(super) fn node() -> Router<Arc<App>> {
    with_fallbacks(node_routes())
}

fn with_fallbacks(routes: Routes) -> Router<Arc<App>> {
    Router::from(routes).fallback(unknown_url).method_not_allowed_fallback(wrong_method)
}
