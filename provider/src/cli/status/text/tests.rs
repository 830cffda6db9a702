use super::*;
use serde_json::json;

#[test]
fn a_member_s_status_tells_all_of_it() {
    let status = json!({
        "software": "quorate-provider/1", "now_ms": 100_000, "draining": false,
        "load": {"running": 2, "queued": 1},
        "work": {"jobs_started": 9, "jobs_finished": 6, "jobs_cancelled": 1, "tokens_generated": 70},
        "models": [{"id": "m", "features": []}],
        "member": {
            "node": "aa".repeat(32), "operator": "bb".repeat(32),
            "offer": {"sequence": 5, "valid_until_ms": 100_000 + 90_000_000,
                "prices": [{"model": "m", "prompt_pusd": 50_000, "completion_pusd": 200_000}]},
            "gateways": [
                {"url": "https://a:1", "phase": "connected", "joined": 2, "requests": 8, "lease": {
                    "id": "l", "gateway": "cc".repeat(32), "provider": "aaaa",
                    "standing": "probation", "since_ms": 25_000, "renewed_ms": 98_000,
                    "lease_ms": 15_000, "offer": 4, "offer_refused": "too dear",
                    "selling": [{"model": "m", "name": "m@aaaa", "verified": false}],
                    "report": {"standing": "probation", "requests": 8, "failures": 1, "tokens": 64,
                        "prefill_tps": 1234.4, "decode_tps": 55.55, "rtt_ms": 0.44,
                        "note": "new here"}}},
                {"url": "https://b:1", "phase": "waiting", "trouble": "it can't be reached: refused",
                    "joined": 0, "requests": 0}]}});
    let status: Status = serde_json::from_value(status).unwrap();
    insta::assert_snapshot!(Text(&status).to_string());
}
