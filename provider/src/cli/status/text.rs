//! A status for people: one paragraph on the provider, one for each gateway.

use crate::cli::introduce::sold;
use crate::status::{Gateway, Lease, Member, Phase, Status};
use openapi::node::Standing;
use openapi::node::control::Report;
use std::fmt;

pub(super) struct Text<'a>(pub(super) &'a Status);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { software, now_ms, draining, load, work, models, member } = self.0;
        let state = if *draining { "draining" } else { "serving" };
        writeln!(f, "{software}: {state} {}", models.join(", "))?;
        writeln!(f, "  now      {} running, {} waiting", load.running, load.queued)?;
        writeln!(
            f,
            "  so far   {} requests begun, {} finished, {} cancelled, {} tokens",
            work.jobs_started, work.jobs_finished, work.jobs_cancelled, work.tokens_generated
        )?;
        match member {
            None => writeln!(f, "  market   none: no gateway is configured"),
            Some(member) => of_member(f, member, *now_ms),
        }
    }
}

fn of_member(f: &mut fmt::Formatter<'_>, member: &Member, now_ms: i64) -> fmt::Result {
    writeln!(f, "  node     {}", member.node)?;
    writeln!(f, "  operator {}", member.operator)?;
    let left = span(member.offer.valid_until_ms.saturating_sub(now_ms));
    writeln!(f, "  offer    number {}, holds for {left}", member.offer.sequence)?;
    for price in &member.offer.prices {
        writeln!(f, "           {}", sold(price))?;
    }
    member.gateways.iter().try_for_each(|gateway| of_gateway(f, gateway, now_ms))
}

fn of_gateway(f: &mut fmt::Formatter<'_>, gateway: &Gateway, now_ms: i64) -> fmt::Result {
    let phase = match gateway.phase {
        Phase::Connecting => "connecting",
        Phase::Connected => "connected",
        Phase::Waiting => "not connected, will try again",
        Phase::Stopped => "sent away",
    };
    writeln!(f, "\n{}: {phase}", gateway.url)?;
    if let Some(trouble) = &gateway.trouble {
        writeln!(f, "  trouble  {trouble}")?;
    }
    writeln!(f, "  so far   joined {} times, {} requests", gateway.joined, gateway.requests)?;
    match &gateway.lease {
        Some(lease) => of_lease(f, lease, now_ms),
        None => Ok(()),
    }
}

fn of_lease(f: &mut fmt::Formatter<'_>, lease: &Lease, now_ms: i64) -> fmt::Result {
    writeln!(f, "  gateway  {}", lease.gateway)?;
    let age = span(now_ms.saturating_sub(lease.since_ms));
    write!(f, "  lease    {} for {age}, as {}", standing(lease.standing), lease.provider)?;
    match lease.renewed_ms {
        Some(at) => writeln!(f, ", renewed {} ago", span(now_ms.saturating_sub(at)))?,
        None => writeln!(f, ", not renewed yet")?,
    }
    for sold in &lease.selling {
        let seal = if sold.verified { "verified" } else { "unverified" };
        writeln!(f, "  sells    {} as {} ({seal})", sold.model, sold.name)?;
    }
    match (&lease.offer_refused, lease.offer) {
        (Some(reason), _) => writeln!(f, "  offer    the newest is refused: {reason}")?,
        (None, Some(number)) => writeln!(f, "  offer    number {number} is in force")?,
        (None, None) => {}
    }
    lease.report.as_ref().map_or(Ok(()), |report| of_report(f, report))
}

fn of_report(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let Report { requests, failures, tokens, prefill_tps, decode_tps, rtt_ms, note, .. } = report;
    writeln!(f, "  traffic  {requests} requests, {failures} failed, {tokens} tokens")?;
    let measured = [
        prefill_tps.map(|speed| format!("prefill {speed:.0} tokens/s")),
        decode_tps.map(|speed| format!("decode {speed:.1} tokens/s")),
        rtt_ms.map(|way| format!("way {way:.1} ms")),
    ];
    let measured: Vec<String> = measured.into_iter().flatten().collect();
    if !measured.is_empty() {
        writeln!(f, "  measured {}", measured.join(", "))?;
    }
    note.as_ref().map_or(Ok(()), |note| writeln!(f, "  note     {note}"))
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Probation => "on probation",
        Standing::Active => "active",
        Standing::Draining => "draining",
        Standing::Ejected => "ejected",
        Standing::Gone => "gone",
    }
}

/// Two units at most: `3 d 4 h`, `12 s`.
fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests;
