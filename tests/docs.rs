//! What the documents say about limits is what the code does.

use gateway::config::LIMITS;

#[test]
fn every_limit_of_the_gateway_is_documented_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented: Vec<_> = text
        .lines()
        .skip_while(|line| !line.starts_with("The gateway's, in `[limits]`"))
        .skip(4)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected: Vec<_> = LIMITS
        .iter()
        .map(|limit| {
            let default = shown(limit.name, limit.default);
            format!("| `{}` | {default} | {} |", limit.name, limit.behaviour)
        })
        .collect();
    assert_eq!(documented, expected);
}

/// As a person writes it.
fn shown(name: &str, value: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if name.ends_with("_ms") {
        return if value.is_multiple_of(1000) {
            format!("{} s", value / 1000)
        } else {
            format!("{value} ms")
        };
    }
    if name.ends_with("_bytes") {
        let units = [(1024 * MIB, "GiB"), (MIB, "MiB"), (1024, "KiB")];
        let fits = units.into_iter().find(|(size, _)| value.is_multiple_of(*size));
        let (number, unit) = fits.map_or((value, "B"), |(size, unit)| (value / size, unit));
        return format!("{number} {unit}");
    }
    let digits = value.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
