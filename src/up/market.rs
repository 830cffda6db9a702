//! The gateway's settings for a market of local providers: one static upstream each, one key.

use super::supervise::Member;
use gateway::config::{
    Auth, Cache, CorsOrigins, Key, Limits, Market, Mode, ModelEntry, Server, Settings, Telemetry,
    Upstream, UpstreamModel,
};
use gateway::request::Dialect;
use secrecy::SecretString;
use std::{net::SocketAddr, path::Path};

/// What the settings are made of besides the providers.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) listen: SocketAddr,
    pub(super) admin_listen: SocketAddr,
    pub(super) data: &'a Path,
    pub(super) key: &'a str,
    /// Each is served by every provider.
    pub(super) models: Vec<&'a str>,
}

// === impl Plan ===

impl Plan<'_> {
    /// # Errors
    /// When a provider's address makes no URL, which would be our own mistake.
    pub(super) fn settings(&self, members: &[Member]) -> Result<Settings, url::ParseError> {
        let upstreams = members.iter().map(|member| self.upstream(member));
        Ok(Settings {
            server: Server {
                listen: self.listen,
                admin_listen: self.admin_listen,
                data_dir: self.data.to_owned(),
                cors_origins: CorsOrigins::default(),
            },
            auth: Auth { mode: Mode::Keys },
            keys: vec![Key::new("development", SecretString::from(self.key))],
            upstreams: upstreams.collect::<Result<_, _>>()?,
            models: self.models.iter().map(|id| entry(id)).collect(),
            aliases: Vec::new(),
            market: Market::default(),
            limits: Limits::default(),
            cache: Cache::default(),
            telemetry: telemetry(),
        })
    }

    fn upstream(&self, member: &Member) -> Result<Upstream, url::ParseError> {
        Ok(Upstream {
            id: member.name.clone(),
            operator: member.name.clone(),
            base_url: format!("http://{}/v1", member.addr).parse()?,
            api_key: None,
            region: None,
            // The providers are on loopback, by construction.
            allow_private: true,
            dialect: Dialect::default(),
            models: self.models.iter().map(|id| offer(id)).collect(),
        })
    }
}

fn entry(id: &str) -> ModelEntry {
    ModelEntry {
        id: id.to_owned(),
        aliases: Vec::new(),
        weights_ids: Vec::new(),
        template_sha256: None,
    }
}

fn offer(id: &str) -> UpstreamModel {
    UpstreamModel {
        id: id.to_owned(),
        upstream_model: id.to_owned(),
        price_in: None,
        price_out: None,
        context: None,
        quantization: None,
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

    #[test]
    fn every_provider_is_one_upstream_of_its_own_operator() {
        let members = [7001, 7002].map(|port| Member {
            name: format!("op-{}", port - 7000),
            addr: SocketAddr::from(([127, 0, 0, 1], port)),
            pid: None,
        });
        let plan = Plan {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            data: Path::new("/data"),
            key: "qk_0123456789abcdef",
            models: vec!["pip", "pip-embed"],
        };
        let settings = plan.settings(&members).unwrap();
        let urls: Vec<_> = settings.upstreams.iter().map(|up| up.base_url.as_str()).collect();
        assert_eq!(urls, ["http://127.0.0.1:7001/v1", "http://127.0.0.1:7002/v1"]);
        assert_eq!(settings.upstreams[1].operator, "op-2");
        assert!(!format!("{settings:?}").contains("0123456789abcdef"), "the key is not printed");
    }
}
