//! For tests and benches, here and in the gateway: the shipped server on a loopback port.

use crate::app::{self, Running, Serving};
use crate::clock::Fixed;
use crate::counters::Counters;
use crate::engine::Engine;
use crate::engine::scripted::{Options, Script, ScriptError, Scripted};
use crate::http;
use crate::shutdown::Shutdown;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The date all test servers believe in, Unix seconds.
pub const NOW: i64 = 1_700_000_000;

/// Serves any engine with default limits. `counters` are those the engine was made with.
pub async fn serve(engine: Arc<dyn Engine>, counters: Arc<Counters>) -> io::Result<Running> {
    serve_with(engine, counters, defaults()).await
}

/// The limits [`serve`] uses.
pub fn defaults() -> Serving {
    Serving {
        requests: http::Limits::default(),
        connections: http::listen::Limits::default(),
        queue: 64,
        drain: Duration::from_secs(30),
    }
}

/// The same with other limits.
pub async fn serve_with(
    engine: Arc<dyn Engine>,
    counters: Arc<Counters>,
    serving: Serving,
) -> io::Result<Running> {
    app::install_crypto();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    app::serve(serving, listener, engine, counters, Arc::new(Fixed(NOW)), Shutdown::default())
}

/// A scripted provider whose only model is `model`; `script` as in a request's `script` member.
pub async fn scripted(model: &str, script: Value) -> io::Result<Running> {
    let counters = Arc::new(Counters::default());
    let script = parse(script).map_err(io::Error::other)?;
    let options =
        Options { models: vec![model.to_owned()], created: NOW, script, ..Options::default() };
    let engine = Arc::new(Scripted::new(options, Arc::clone(&counters)));
    serve(engine, counters).await
}

/// A script from JSON.
pub fn parse(script: Value) -> Result<Script, ScriptError> {
    match script {
        Value::Null => Ok(Script::default()),
        Value::Object(members) => Script::default().overridden(&members),
        _ => Err(ScriptError("a script is an object".to_owned())),
    }
}
