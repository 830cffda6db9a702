//! A node's time with the gateway: from the upgrade of its connection to its end. Whichever way it
//! ends, the membership is over first, so that nothing new is sent, and the connection last.

use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use openapi::node::{CONTROL_PATH, Standing};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{interval, timeout};

use super::Shared;
use super::control::{Control, End};
use super::joining::Ticket;
use super::said::Said;
use crate::metrics::Held;
use crate::upstream::{Endpoint, Lines, Tunnel};

/// Until the node answers the opening of the control exchange.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// For a node to understand a goodbye.
const BYE_MAX: Duration = Duration::from_millis(300);
/// How often the end of requests in flight is looked for.
const FLIGHT_EVERY: Duration = Duration::from_millis(20);

/// Closes both ways to the node, however the session ends.
struct Ways {
    tunnel: Tunnel,
    endpoint: Option<Arc<Endpoint>>,
}

impl Drop for Ways {
    fn drop(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.close();
        }
        self.tunnel.close();
    }
}

pub(super) async fn run(shared: Arc<Shared>, ticket: Ticket, upgraded: Upgraded, held: Held) {
    let Ticket { admission, direct, in_force } = ticket;
    let provider = admission.provider.clone();
    let Ok(tunnel) = Tunnel::open(upgraded, held, &shared.tasks).await else { return };
    let mut ways = Ways { tunnel: tunnel.clone(), endpoint: None };
    let token = admission.token.expose();
    let endpoint = match direct {
        Some(endpoint) => endpoint,
        None => match Endpoint::tunnel(&provider, &admission.operator, tunnel.clone(), token) {
            Ok(endpoint) => Arc::new(endpoint),
            Err(error) => return tracing::error!(%error, "a node can't be reached"),
        },
    };
    ways.endpoint = Some(endpoint.clone());
    let opened = tokio::select! {
        opened = timeout(OPEN_MAX, open(&tunnel, token)) => opened.ok().flatten(),
        () = shared.tasks.draining() => None,
    };
    let Some((lines, answer)) = opened else {
        return tracing::info!(provider = &*provider, "a node did not open its control exchange");
    };
    let membership = shared.app.market.attach(admission, endpoint.clone());
    let joined = Held::new(&shared.app.metrics.nodes);
    tracing::info!(provider = &*provider, "a node joined");
    let mut control = Control::new(Said::new(answer.into_body()), lines, &membership);
    let end = control.run(&shared.tasks).await;
    let over = control.over();
    let is_ejected = membership.member().standing() == Standing::Ejected;
    drop((membership, joined, in_force));
    match end {
        End::Gone => tracing::info!(provider = &*provider, "a node left"),
        End::Bye(bye) => {
            tracing::info!(provider = &*provider, reason = bye.reason, "a node's lease ended");
            over.bye(bye, BYE_MAX).await;
        }
    }
    // Who is sent away finishes nothing.
    if !is_ejected {
        finish(&shared, &ways).await;
    }
}

async fn open(tunnel: &Tunnel, token: &str) -> Option<(Lines, Response<Incoming>)> {
    let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    authorization.set_sensitive(true);
    let (lines, answer) = tunnel.control(CONTROL_PATH, authorization).await.ok()?;
    (answer.status() == StatusCode::OK).then_some((lines, answer))
}

/// What is in flight may end, as long as a drain may take.
async fn finish(shared: &Shared, ways: &Ways) {
    let Some(endpoint) = &ways.endpoint else { return };
    let done = async {
        let mut ticks = interval(FLIGHT_EVERY);
        while endpoint.in_flight() > 0 {
            ticks.tick().await;
        }
    };
    tokio::select! {
        () = done => {}
        () = tokio::time::sleep(shared.app.settings.limits.drain) => {}
        () = ways.tunnel.ended() => {}
        () = shared.tasks.draining() => {}
    }
}
