//! What `up` prints when everything runs: where to send requests, with which key, and a line to try.

use super::supervise::Member;
use std::{fmt, net::SocketAddr, path::Path};

/// Everything the text names.
#[derive(Debug)]
pub(super) struct Banner<'a> {
    pub(super) addr: SocketAddr,
    pub(super) admin_addr: SocketAddr,
    pub(super) key: &'a str,
    pub(super) model: &'a str,
    pub(super) members: &'a [Member],
    pub(super) data: &'a Path,
}

// === impl Banner ===

impl Banner<'_> {
    fn curl(&self, flag: &str, stream: &str) -> String {
        let Self { addr, key, model, .. } = self;
        format!(
            "curl {flag}http://{addr}/v1/chat/completions -H 'Authorization: Bearer {key}' \
             -H 'Content-Type: application/json' -d '{{\"model\":\"{model}\",{stream}\
             \"messages\":[{{\"role\":\"user\",\"content\":\"What is 7 plus 5?\"}}]}}'"
        )
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addr, admin_addr, key, model, members, data } = self;
        let count = members.len();
        let noun = if count == 1 { "provider serves" } else { "providers serve" };
        writeln!(f, "quorate {}: {count} {noun} {model}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f)?;
        writeln!(f, "  base URL   http://{addr}/v1")?;
        writeln!(f, "  API key    {key}")?;
        writeln!(f, "  admin      http://{admin_addr}")?;
        writeln!(f, "  data       {}", data.display())?;
        for Member { name, addr, pid, .. } in *members {
            let pid = pid.map_or_else(String::new, |pid| format!("  (process {pid})"));
            writeln!(f, "  {name:<10} http://{addr}{pid}")?;
        }
        writeln!(f, "\nA whole answer:\n")?;
        writeln!(f, "  {}", self.curl("", ""))?;
        writeln!(f, "\nStreamed:\n")?;
        writeln!(f, "  {}", self.curl("-N ", "\"stream\":true,"))?;
        writeln!(f, "\nFor the openai SDKs:\n")?;
        writeln!(f, "  export OPENAI_BASE_URL=http://{addr}/v1 OPENAI_API_KEY={key}")?;
        writeln!(f, "\nCtrl-C ends the gateway and its providers.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_everything_and_its_curl_lines_carry_json() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 7001));
        let key = identity::PublicKey::from_bytes([1; 32]);
        let name = "op-1".to_owned();
        let members = [Member { name, addr, pid: Some(42), node: key, operator: key }];
        let text = Banner {
            addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_addr: SocketAddr::from(([127, 0, 0, 1], 9090)),
            key: "qk_00",
            model: "pip",
            members: &members,
            data: Path::new("/data"),
        }
        .to_string();
        assert!(text.contains("1 provider serves pip\n"));
        assert!(text.contains("  op-1       http://127.0.0.1:7001  (process 42)\n"));
        let bodies: Vec<serde_json::Value> = text
            .lines()
            .filter_map(|line| line.split_once(" -d '"))
            .map(|(_, body)| serde_json::from_str(body.trim_end_matches('\'')).unwrap())
            .collect();
        assert_eq!(bodies.len(), 2);
        assert_eq!(bodies[1]["stream"], true);
    }
}
