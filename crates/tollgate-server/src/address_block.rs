//! Which addresses count as one. Owns: that rule. Must not know: what is counted.

use std::net::{IpAddr, Ipv6Addr};

/// Network part of an IPv6 address: whoever has an IPv6 connection has a /64 at least, so an address
/// of it costs nothing.
const IPV6_NETWORK: u128 = !0 << 64;

/// The address that stands for all whose limits are shared: an IPv4 address for itself, an IPv6
/// address for its /64.
pub fn address_block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & IPV6_NETWORK)),
    }
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
            ("::1", "::"),
        ] {
            assert_eq!(address_block(address.parse().unwrap()).to_string(), block, "{address}");
        }
    }
}
