//! Pipes in one runtime: providers by name, each up or down as the test says.

use futures_util::future::BoxFuture;
use gateway::upstream::dial::{Dial, Stream};
use provider::engine::scripted::Options;
use provider::testing::Portless;
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::harness::{Gateway, MODEL, seed};

const PIPE_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Default)]
pub(crate) struct Net {
    hosts: Arc<Mutex<HashMap<String, Host>>>,
}

#[derive(Debug)]
struct Host {
    node: Portless,
    /// Cancelled while it is down.
    cut: CancellationToken,
    dials: Vec<Instant>,
}

/// A gateway, and a provider for each script: `p0`, `p1`, ….
pub(crate) struct Market {
    pub(crate) gateway: Gateway,
    pub(crate) net: Net,
    pub(crate) nodes: Vec<Portless>,
}

pub(crate) fn market(more: &str, scripts: &[Value]) -> Market {
    market_of(more, scripts, Options::default().max_concurrent)
}

/// The same, each provider running `concurrent` answers at once.
pub(crate) fn market_of(more: &str, scripts: &[Value], concurrent: usize) -> Market {
    seed(1);
    let net = Net::default();
    let names: Vec<String> = (0..scripts.len()).map(|number| format!("p{number}")).collect();
    let mut nodes = Vec::new();
    for (name, script) in names.iter().zip(scripts) {
        let node = node(script, concurrent);
        net.put(name, node.clone());
        nodes.push(node);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let gateway = Gateway::new(more, &names, Arc::new(net.clone()));
    Market { gateway, net, nodes }
}

pub(crate) fn node(script: &Value, concurrent: usize) -> Portless {
    let script = provider::testing::parse(script.clone()).expect("a script");
    let models = vec![MODEL.to_owned()];
    Portless::new(Options { models, max_concurrent: concurrent, script, ..Options::default() })
}

impl Net {
    fn put(&self, name: &str, node: Portless) {
        let host = Host { node, cut: CancellationToken::new(), dials: Vec::new() };
        self.hosts.lock().expect("a lock").insert(name.to_owned(), host);
    }

    fn with<T>(&self, name: &str, look: impl FnOnce(&mut Host) -> T) -> T {
        look(self.hosts.lock().expect("a lock").get_mut(name).expect("a host"))
    }

    /// Its connections are cut, and it takes no others.
    pub(crate) fn down(&self, name: &str) {
        self.with(name, |host| host.cut.cancel());
    }

    pub(crate) fn up(&self, name: &str) {
        self.with(name, |host| host.cut = CancellationToken::new());
    }

    /// When it was dialled, up or down.
    pub(crate) fn dials(&self, name: &str) -> Vec<Instant> {
        self.with(name, |host| host.dials.clone())
    }
}

impl Dial for Net {
    fn dial(&self, host: &str, _: u16) -> BoxFuture<'static, io::Result<Stream>> {
        let (node, cut) = self.with(host, |host| {
            host.dials.push(Instant::now());
            (host.node.clone(), host.cut.clone())
        });
        if cut.is_cancelled() {
            let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
            return Box::pin(std::future::ready(Err(refused)));
        }
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        tokio::task::spawn(async move {
            // A connection that was cut or left is no error of the test.
            let _ = cut.run_until_cancelled(node.serve(theirs)).await;
        });
        Box::pin(std::future::ready(Ok(Box::new(ours) as Stream)))
    }
}

impl Market {
    /// Requests that each provider's engine has begun.
    pub(crate) fn asked(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.counters.jobs_started()).collect()
    }

    pub(crate) fn cancelled(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.counters.jobs_cancelled()).collect()
    }
}
