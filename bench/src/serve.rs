//! The servers that are parts of this program: wspulse, and the limit of what is possible.

mod limit;
mod metrics;
mod wspulse;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

pub(crate) use self::limit::{Sending, serve as serve_limit};
pub(crate) use self::metrics::MetricsChoice;
pub(crate) use self::wspulse::{
    Choices, CodecChoice, CompressionChoice, DeliveryChoice, serve as serve_wspulse,
};

/// Over which time wspulse is drained once it is told to end.
pub(crate) const DRAIN_WINDOW: Duration = Duration::from_secs(30);

/// As many connections as a reconnect storm may leave in the queue at once.
const BACKLOG: i32 = 4096;

/// Listens without blocking, and says where.
fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn announce(listener: &std::net::TcpListener) -> io::Result<()> {
    println!("LISTENING {}", listener.local_addr()?.port());
    io::stdout().flush()
}
