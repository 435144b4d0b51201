//! Addresses for programs that cannot tell which port they took.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// An address of this machine that the kernel gives to nobody else as long as this lives, neither to
/// who binds port 0 nor to who connects.
///
/// A port that was merely free a moment ago may be another's a moment later. `HAProxy` would then
/// share it, since it sets `SO_REUSEPORT`, and each would get some of the other's connections.
#[derive(Debug)]
pub struct ReservedAddress {
    address: SocketAddr,
    // Bound, and never listening: with both options, others may listen at the very address.
    _socket: Socket,
}

impl ReservedAddress {
    /// Reserves one.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn new() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket();
        let address = address.ok_or_else(|| io::Error::other("the address is no IP address"))?;
        Ok(Self { address, _socket: socket })
    }

    /// Which one.
    pub const fn get(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_asks_for_a_reserved_address_by_name_gets_it() {
        let reserved = ReservedAddress::new().expect("a free port");
        let listener = TcpListener::bind(reserved.get()).expect("reserved for it");
        TcpStream::connect(reserved.get()).expect("it listens");
        let (_, peer) = listener.accept().expect("one has come");
        assert_eq!(peer.ip(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn who_asks_for_any_port_does_not_get_a_reserved_one() {
        let reserved: Vec<_> =
            (0..500).map(|_| ReservedAddress::new().expect("a free port")).collect();
        let others: Vec<_> =
            (0..500).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        for other in others {
            let other = other.local_addr().expect("bound");
            assert!(reserved.iter().all(|reserved| reserved.get() != other), "{other} is reserved");
        }
    }
}
