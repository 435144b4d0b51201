//! Peers' addresses: how the serving helper tells them, and which of them count as one.

use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// The address of the peer at the other end of an HTTP connection, as
/// [`serve`](crate::serve()) puts it into the extensions of each request.
///
/// A [`Server`](crate::Server) finds it there by itself, as it does axum's `ConnectInfo<SocketAddr>`
/// with the feature `axum`: `axum::serve` leaves that, if it is given
/// `into_make_service_with_connect_info::<SocketAddr>()`. An axum handler takes it as an argument,
/// `Extension(PeerAddr(address)): Extension<PeerAddr>`; elsewhere it is
/// `request.extensions().get::<PeerAddr>()`. Behind a proxy it is the proxy's: see
/// [`ServerBuilder::peer_addr`](crate::ServerBuilder::peer_addr).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

impl PeerAddr {
    /// The address that the HTTP server has left with a request.
    pub(crate) fn told_in(extensions: &Extensions) -> Option<SocketAddr> {
        let told = extensions.get::<Self>().map(|Self(address)| *address);
        #[cfg(feature = "axum")]
        let told = told.or_else(|| {
            let info = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>();
            info.map(|axum::extract::ConnectInfo(address)| *address)
        });
        told
    }
}

/// What limits by address count as one peer: an IPv4 address, or 64 bits of an IPv6 one.
///
/// A single host commonly has a whole /64 to itself and takes new addresses in it at will (RFC
/// 4291 §2.5.1, RFC 8981), so a limit for each of its addresses would limit nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AddressGroup {
    V4([u8; 4]),
    V6Network([u16; 4]),
}

impl AddressGroup {
    pub(crate) fn of(address: SocketAddr) -> Self {
        // A socket that listens to both families sees IPv4 peers as ::ffff:a.b.c.d (RFC 4291
        // §2.5.5.2), which would all be one network.
        match address.ip().to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6Network([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AddressGroup;

    fn group(address: &str) -> AddressGroup {
        AddressGroup::of(address.parse().expect("an address and a port"))
    }

    #[test]
    fn ports_are_no_part_of_a_group() {
        assert_eq!(group("192.0.2.1:1000"), group("192.0.2.1:2000"));
        assert_ne!(group("192.0.2.1:1000"), group("192.0.2.2:1000"));
    }

    #[test]
    fn ipv6_addresses_of_one_64_bit_network_are_one_group() {
        assert_eq!(group("[2001:db8:0:1::1]:1"), group("[2001:db8:0:1:ffff:ffff:ffff:ffff]:1"));
        assert_ne!(group("[2001:db8:0:1::1]:1"), group("[2001:db8:0:2::1]:1"));
    }

    #[test]
    fn ipv4_peers_of_a_socket_for_both_families_are_told_apart() {
        assert_eq!(group("[::ffff:192.0.2.1]:1"), group("192.0.2.1:1"));
        assert_ne!(group("[::ffff:192.0.2.1]:1"), group("[::ffff:192.0.2.2]:1"));
    }
}
