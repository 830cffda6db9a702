//! turmoil's network: a provider is a host that can crash, and the links between hosts can break.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gateway::upstream::dial::{Dial, Stream};
use provider::testing::Portless;
use serde_json::Value;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

use crate::harness::{Gateway, seed};
use crate::net::node;

const PORT: u16 = 8080;

/// The host that the gateway and its clients are on.
pub(crate) const HOME: &str = "home";

#[derive(Debug)]
struct Lan;

impl Dial for Lan {
    fn dial(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Stream>> {
        let to = (host.to_owned(), port);
        async move { Ok(Box::new(TcpStream::connect(to).await?) as Stream) }.boxed()
    }
}

/// Always the same for a seed.
pub(crate) fn sim<'a>(number: u64) -> Sim<'a> {
    seed(number);
    Builder::new()
        .rng_seed(number)
        .simulation_duration(Duration::from_secs(600))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(5))
        .build()
}

/// A provider on a host of its own. It counts on through crashes.
pub(crate) fn provider(sim: &mut Sim<'_>, name: &str, script: &Value) -> Portless {
    let node = node(script, 64);
    let own = node.clone();
    sim.host(name, move || {
        let node = own.clone();
        async move {
            let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)).await?;
            loop {
                let (stream, _) = listener.accept().await?;
                let node = node.clone();
                // A connection that broke is no error of the test.
                tokio::task::spawn(async move { node.serve(stream).await.ok() });
            }
        }
    });
    node
}

/// To be called on [`HOME`].
pub(crate) fn gateway(more: &str, providers: &[&str]) -> Gateway {
    Gateway::new(more, providers, Arc::new(Lan))
}
