//! Who a request comes from. Owns: the address behind trusted proxies, as they tell it. Must not
//! know: what is limited by it.
//!
//! Each proxy appends whom it got the request from, so only the end of the list is to be believed,
//! and only as far as the addresses in it are proxies of ours. Everything before that is what the
//! client wrote, readable or not.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, Request};

use crate::config::{Config, ForwardedHeader};

/// What a request says before its body: all there is to tell who sends it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'r> {
    /// What the client and proxies say.
    pub headers: &'r HeaderMap,
    /// Holds the peer of the connection.
    extensions: &'r Extensions,
}

impl<'r> Head<'r> {
    /// That of a request.
    pub fn of<B>(request: &'r Request<B>) -> Self {
        Self { headers: request.headers(), extensions: request.extensions() }
    }

    /// The client's address: the peer's, or what trusted proxies say of it. Where a proxy names
    /// nobody, it is that proxy's.
    pub fn client(self, config: &Config) -> IpAddr {
        let peer = self
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip().to_canonical());
        let http = &config.http;
        let trusted =
            |address: IpAddr| http.trusted_proxies.iter().any(|net| net.contains(address));
        if !trusted(peer) {
            return peer;
        }
        behind(peer, &hops(self.headers, http.forwarded_header), trusted)
    }
}

/// Goes back from the peer, as long as whoever speaks is trusted.
fn behind(peer: IpAddr, hops: &[&str], trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        match address(hop) {
            Some(before) if trusted(client) => client = before,
            Some(_) | None => break,
        }
    }
    client
}

/// Whom each proxy got the request from, the farthest first. A list may be spread over several
/// headers.
fn hops(headers: &HeaderMap, header: ForwardedHeader) -> Vec<&str> {
    let values = headers.get_all(header.name()).iter();
    // What is not text is the client's; it counts as one unreadable hop.
    let elements = values.flat_map(|value| value.to_str().unwrap_or("").split(','));
    match header {
        ForwardedHeader::XForwardedFor => elements.map(str::trim).collect(),
        ForwardedHeader::Forwarded => elements.map(forwarded_for).collect(),
    }
}

/// The `for` of one element of `Forwarded` (RFC 7239, section 4); empty where it has none.
fn forwarded_for(element: &str) -> &str {
    let node = element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| value.trim())
    });
    node.unwrap_or_default().trim_matches('"')
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:47011`, `2001:db8::1`,
/// `[2001:db8::1]:47011`. `None` for `unknown`, names and everything else.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let whole = bare.parse::<IpAddr>().ok();
    let found = whole.or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    found.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// The address behind a proxy at 10.0.0.1, where 10.0.0.0/8 is ours.
    fn seen(header: ForwardedHeader, values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header.name(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let ours = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
        behind(IpAddr::from([10, 0, 0, 1]), &hops(&headers, header), ours).to_string()
    }

    #[test]
    fn the_end_of_the_list_is_believed_as_far_as_proxies_speak() {
        for (values, expected) in [
            (&[][..], "10.0.0.1"),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            // Two proxies of ours.
            (&["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            (&["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            // What the client wrote before, readable or not.
            (&["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9, nonsense, 192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9, \u{e9}", "192.0.2.1"], "192.0.2.1"),
            (&["10.0.0.7, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            // A proxy that names nobody.
            (&["203.0.113.9, unknown"], "10.0.0.1"),
            (&["203.0.113.9, "], "10.0.0.1"),
        ] {
            assert_eq!(seen(ForwardedHeader::XForwardedFor, values), expected, "{values:?}");
        }
    }

    #[test]
    fn forwarded_is_read_by_its_rules() {
        for (values, expected) in [
            (&["for=192.0.2.1"][..], "192.0.2.1"),
            (&["proto=https;FOR=\"192.0.2.1:4711\";by=10.0.0.1"], "192.0.2.1"),
            (&["for=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=203.0.113.9, for=192.0.2.1;proto=http, for=10.0.0.2"], "192.0.2.1"),
            (&["for=203.0.113.9, for=_hidden"], "10.0.0.1"),
            (&["for=203.0.113.9, for=unknown"], "10.0.0.1"),
            (&["for=203.0.113.9, proto=https"], "10.0.0.1"),
        ] {
            assert_eq!(seen(ForwardedHeader::Forwarded, values), expected, "{values:?}");
        }
    }
}
