//! How many connections may be joining at once: in all, and of one address (of IPv6 its /64), so that
//! nobody keeps everybody else out with connections that say nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One address may take this part of the room, and two places in any case.
const SHARE: usize = 4;
const SHARE_MIN: usize = 2;

#[derive(Debug)]
pub(super) struct Crowd {
    max: usize,
    inside: Mutex<HashMap<IpAddr, usize>>,
}

/// A place inside; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    from: IpAddr,
}

impl Crowd {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, inside: Mutex::default() })
    }

    /// `None`: there is no room, for this address or for anybody.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let from = network(address);
        let mut inside = self.inside();
        // At most as many entries as places.
        if inside.values().sum::<usize>() >= self.max {
            return None;
        }
        let of_this = inside.entry(from).or_default();
        if *of_this >= (self.max / SHARE).max(SHARE_MIN) {
            return None;
        }
        *of_this += 1;
        Some(Place { crowd: self.clone(), from })
    }

    fn inside(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside();
        if let Some(count) = inside.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.from);
            }
        }
    }
}

/// What one customer of a network usually gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let crowd = Crowd::new(8);
        let of_one: Vec<_> = (0..5).filter_map(|_| crowd.enter(ip("192.0.2.1"))).collect();
        assert_eq!(of_one.len(), 2);
        assert!(crowd.enter(ip("::ffff:192.0.2.1")).is_none(), "the same by another name");
        let v6: Vec<_> =
            (0..5).filter_map(|n| crowd.enter(ip(&format!("2001:db8:0:1::{n}")))).collect();
        assert_eq!(v6.len(), 2, "a /64 is one");
        let others: Vec<_> =
            (0..9).filter_map(|n| crowd.enter(ip(&format!("198.51.100.{n}")))).collect();
        assert_eq!(others.len(), 4, "and all together are as many as there is room for");
        drop(of_one);
        assert!(crowd.enter(ip("192.0.2.1")).is_some());
        drop((v6, others));
        assert!(crowd.inside().is_empty(), "nothing is kept of who has left");
    }
}
