//! Which addresses a provider's URL may lead to. Provider URLs are hostile input: without the
//! operator's leave none may reach this machine, its private networks, or a cloud's metadata service.
//! Checked on the resolved address at connect time, so that a name cannot change its mind in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A name with more addresses is tried at the first of them.
const ADDRESSES_MAX: usize = 8;

/// Of the addresses that a name leads to, those that may be connected to: a name that leads to good
/// and bad ones is followed to the good ones only.
pub(super) fn allowed(
    addresses: impl Iterator<Item = SocketAddr>,
    private_too: bool,
) -> Vec<SocketAddr> {
    addresses.filter(|address| private_too || is_public(address.ip())).take(ADDRESSES_MAX).collect()
}

/// Whether `ip` is a public unicast address.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT, RFC 6598
        || (a == 192 && b == 0 && c == 0) // IETF protocol assignments
        || (a == 192 && b == 88 && c == 99) // relays of 6to4, RFC 7526
        || (a == 198 && (b == 18 || b == 19)) // benchmarking, RFC 2544
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(v4) = embedded_v4(ip) {
        return is_public_v4(v4);
    }
    let [first, second, ..] = ip.segments();
    // All that is public lies in 2000::/3: not loopback, link local, unique local or multicast, nor
    // NAT64 of one's own network (64:ff9b:1::/48).
    (first & 0xe000) == 0x2000
        && !(first == 0x2001 && second < 0x0200) // IETF protocols, Teredo among them
        && !(first == 0x2001 && second == 0x0db8) // documentation
        && !(first == 0x3fff && second < 0x1000) // documentation
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address: all of them lead to it.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let low = || {
        let ([g0, g1], [h0, h1]) = (g.to_be_bytes(), h.to_be_bytes());
        Ipv4Addr::new(g0, g1, h0, h1)
    };
    let mapped = [a, b, c, d, e] == [0; 5] && (f == 0xffff || (f == 0 && g != 0));
    let translated = [a, b, c, d, e] == [0, 0, 0, 0, 0xffff] && f == 0;
    let nat64 = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    if mapped || translated || nat64 {
        return Some(low());
    }
    if a == 0x2002 {
        let ([b0, b1], [c0, c1]) = (b.to_be_bytes(), c.to_be_bytes());
        return Some(Ipv4Addr::new(b0, b1, c0, c1));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_not_public() {
        for ip in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "::ffff:0:10.0.0.1",
            "fec0::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "2001::7f00:1",
            "64:ff9b:1::808:808",
            "5f00::1",
            "192.88.99.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn outer_addresses_are_public() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn of_good_and_bad_addresses_the_good_ones_are_left() {
        let addresses = || {
            ["10.0.0.1:80", "1.1.1.1:80", "[::1]:80", "8.8.8.8:80", "169.254.169.254:80"]
                .into_iter()
                .map(|address| address.parse().unwrap())
        };
        let good: Vec<SocketAddr> = ["1.1.1.1:80", "8.8.8.8:80"].map(|a| a.parse().unwrap()).into();
        assert_eq!(allowed(addresses(), false), good);
        assert_eq!(allowed(addresses(), true).len(), 5);
        assert_eq!(allowed(addresses().cycle().take(100), true).len(), ADDRESSES_MAX);
    }
}
