//! What a provider says of itself on the start that made its keys: who it is now, what must not be
//! lost, what it sells at which price, and whom it dials.

use crate::app::Running;
use crate::config::Settings;
use openapi::node::Price;
use std::io::{self, Write};

/// Says it, if keys were made.
pub(super) fn say(running: &Running, settings: &Settings, out: &mut impl Write) -> io::Result<()> {
    let Some(links) = running.links.as_ref().filter(|_| !running.made.is_empty()) else {
        return Ok(());
    };
    let status = links.status();
    writeln!(out, "\nThis is the provider's first start. It made keys:")?;
    for path in &running.made {
        writeln!(out, "  {}", path.display())?;
    }
    writeln!(out, "  node     {}", status.node)?;
    writeln!(out, "  operator {}", status.operator)?;
    writeln!(
        out,
        "Keep a copy of them in a safe place: reputation and earnings belong to the operator's key,\n\
         and nobody can make it again. With --operator-key further nodes are run under the same one.\n\
         \nIt sells:"
    )?;
    for price in &status.offer.prices {
        writeln!(out, "  {}", sold(price))?;
    }
    if status.offer.prices.iter().all(is_free) {
        writeln!(
            out,
            "Nothing is charged: set --price-in and --price-out (dollars per million tokens), or\n\
             [offer] in the configuration file, which is read again on SIGHUP."
        )?;
    }
    writeln!(out, "\nIt dials:")?;
    for gateway in &settings.market.gateways {
        let url = gateway.url.as_str().trim_end_matches('/');
        match gateway.key {
            Some(key) => writeln!(out, "  {url}, known by its key {}", key.short())?,
            None => writeln!(out, "  {url}, whose key is not pinned (append #KEY to pin it)")?,
        }
    }
    writeln!(out, "\nHow it stands: quorate provider status\n")?;
    out.flush()
}

fn is_free(price: &Price) -> bool {
    price.prompt_pusd == 0 && price.completion_pusd == 0
}

/// `pip at $0.05 in, $0.2 out per million tokens`.
pub(super) fn sold(price: &Price) -> String {
    let Price { model, prompt_pusd, cached_pusd, completion_pusd } = price;
    let cached =
        cached_pusd.map(|cached| format!(" ({} cached)", dollars(cached))).unwrap_or_default();
    let (prompt, completion) = (dollars(*prompt_pusd), dollars(*completion_pusd));
    format!("{model} at {prompt}{cached} in, {completion} out per million tokens")
}

fn dollars(pusd: u64) -> String {
    format!("${}", pusd as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_read_as_dollars() {
        let price = Price {
            model: "m".to_owned(),
            prompt_pusd: 50_000,
            cached_pusd: Some(5_000),
            completion_pusd: 1_200_000,
        };
        let text = "m at $0.05 ($0.005 cached) in, $1.2 out per million tokens";
        assert_eq!(sold(&price), text);
    }
}
