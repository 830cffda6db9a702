//! The gateway's settings for a market of local providers: one key, and an allow-list of the nodes
//! that `up` starts itself. What they sell, they join with.

use super::supervise::Member;
use gateway::config::{
    Audit, Auth, Breaker, Cache, CorsOrigins, Hedging, Join, Key, Limits, Market, Mode, ModelEntry,
    Named, Receipts, Routing, Server, Settings, Telemetry,
};
use secrecy::SecretString;
use std::{net::SocketAddr, path::Path};

/// What the settings are made of besides the providers.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) listen: SocketAddr,
    pub(super) admin_listen: SocketAddr,
    /// Where the providers join.
    pub(super) node_listen: SocketAddr,
    pub(super) data: &'a Path,
    pub(super) key: &'a str,
    /// Whether the providers' speed is measured.
    pub(super) measure: bool,
    /// Name and weights of each; every provider serves all of them.
    pub(super) models: Vec<(String, Option<String>)>,
}

// === impl Plan ===

impl Plan<'_> {
    pub(super) fn settings(&self, members: &[Member]) -> Settings {
        let named = |key: fn(&Member) -> _| {
            let named = |member: &Member| Named { key: key(member), name: member.name.clone() };
            members.iter().map(named).collect()
        };
        Settings {
            server: Server {
                listen: self.listen,
                admin_listen: self.admin_listen,
                data_dir: self.data.to_owned(),
                cors_origins: CorsOrigins::default(),
            },
            auth: Auth { mode: Mode::Keys },
            keys: vec![Key::new("development", SecretString::from(self.key))],
            upstreams: Vec::new(),
            models: self.models.iter().map(entry).collect(),
            aliases: Vec::new(),
            market: Market {
                node_listen: Some(self.node_listen),
                join: Join::AllowList,
                nodes: named(|member| member.node),
                operators: named(|member| member.operator),
                measure: self.measure,
                loopback_apart: true,
                ..Market::default()
            },
            limits: Limits::default(),
            cache: Cache::default(),
            hedging: Hedging::default(),
            audit: Audit::default(),
            breaker: Breaker::default(),
            routing: Routing::default(),
            receipts: Receipts::default(),
            telemetry: telemetry(),
        }
    }
}

fn entry((id, weights_id): &(String, Option<String>)) -> ModelEntry {
    ModelEntry {
        id: id.clone(),
        aliases: Vec::new(),
        weights_ids: weights_id.iter().cloned().collect(),
        template_sha256: None,
    }
}

/// Warnings and errors, and what becomes of the providers: a terminal shows what needs a look, not
/// every request.
pub(super) fn telemetry() -> Telemetry {
    Telemetry { level: "warn,quorate=info".to_owned(), ..Telemetry::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openapi::sign::PublicKey;

    #[test]
    fn the_nodes_that_up_starts_may_join_and_nobody_else() {
        let members = [1, 2].map(|number| Member {
            name: format!("op-{number}"),
            addr: SocketAddr::from(([127, 0, 0, 1], 7000 + u16::from(number))),
            pid: None,
            node: PublicKey::from_bytes([number; 32]),
            operator: PublicKey::from_bytes([number + 10; 32]),
        });
        let plan = Plan {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            node_listen: SocketAddr::from(([127, 0, 0, 1], 9443)),
            data: Path::new("/data"),
            key: "qk_0123456789abcdef",
            measure: true,
            models: vec![("pip".to_owned(), Some("b3:12".to_owned()))],
        };
        let settings = plan.settings(&members);
        assert_eq!(settings.market.join, Join::AllowList);
        let nodes: Vec<_> = settings.market.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(nodes, ["op-1", "op-2"]);
        assert_eq!(settings.market.operators[1].key, members[1].operator);
        assert_eq!(settings.models[0].weights_ids, ["b3:12"]);
        assert!(!format!("{settings:?}").contains("0123456789abcdef"), "the key is not printed");
    }
}
