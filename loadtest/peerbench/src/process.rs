//! CPU time and memory of processes with their children, from /proc (Linux).

use std::fs;

/// A process and everything it started.
fn tree(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return pids };
    for task in tasks.flatten() {
        let Ok(children) = fs::read_to_string(task.path().join("children")) else { continue };
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            pids.extend(tree(child));
        }
    }
    pids
}

/// User and system time in seconds; the kernel counts in ticks of 10 ms.
pub fn cpu_seconds(pids: &[u32]) -> f64 {
    let stats = pids.iter().flat_map(|pid| tree(*pid));
    let stats = stats.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    stats.filter_map(|stat| ticks(&stat)).sum::<f64>() / 100.0
}

/// Members 14 and 15 of stat, counted behind the name in parentheses, which may hold spaces.
fn ticks(stat: &str) -> Option<f64> {
    let mut members = stat.rsplit(") ").next()?.split(' ').skip(11);
    Some(members.next()?.parse::<f64>().ok()? + members.next()?.parse::<f64>().ok()?)
}

/// Resident memory in MiB.
pub fn rss_mib(pids: &[u32]) -> f64 {
    let statuses = pids.iter().flat_map(|pid| tree(*pid));
    let statuses =
        statuses.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
    let kib = statuses.filter_map(|status| {
        let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    kib.sum::<f64>() / 1024.0
}
