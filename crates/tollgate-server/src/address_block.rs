//! Which addresses count as one. Owns: that rule. Must not know: what is counted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Network part of an IPv6 address: whoever has an IPv6 connection to the internet has a /64 at least, so
/// an address of it costs nothing.
const IPV6_NETWORK: u128 = !0 << 64;

/// `64:ff9b::/96`, behind which a translator puts the addresses of IPv4 (RFC 6052).
const NAT64: u128 = 0x0064_ff9b << 96;
const NAT64_NETWORK: u128 = !0 << 32;

/// The address that stands for all whose limits are shared: an IPv4 address for itself, an IPv6
/// address of the internet for its /64. In networks that are not of the internet (unique local, link
/// local, this machine) one /64 holds everybody, so there each address stands for itself.
pub fn address_block(address: IpAddr) -> IpAddr {
    let v6 = match address.to_canonical() {
        IpAddr::V4(v4) => return IpAddr::V4(v4),
        IpAddr::V6(v6) => v6,
    };
    let bits = v6.to_bits();
    if bits & NAT64_NETWORK == NAT64 {
        let low = u32::try_from(bits & u128::from(u32::MAX)).unwrap_or_default();
        return IpAddr::V4(Ipv4Addr::from_bits(low));
    }
    let is_local = v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local();
    IpAddr::V6(if is_local { v6 } else { Ipv6Addr::from_bits(bits & IPV6_NETWORK) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_and_each_ipv4_address_for_itself() {
        for (address, block) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("64:ff9b::192.0.2.7", "192.0.2.7"),
            ("fd00::1:2", "fd00::1:2"),
            ("fe80::1:2", "fe80::1:2"),
            ("::1", "::1"),
        ] {
            assert_eq!(address_block(address.parse().unwrap()).to_string(), block, "{address}");
        }
    }
}
