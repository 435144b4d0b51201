//! What is asked of the system for an accepted socket.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Options of accepted TCP sockets; `None` leaves one as the system has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SocketOptions {
    pub(super) nodelay: bool,
    pub(super) keepalive: Option<Duration>,
    pub(super) user_timeout: Option<Duration>,
}

/// So that a peer is given up after as long again as it had been silent before the first probe.
#[cfg(any(target_os = "linux", target_os = "android"))]
const KEEPALIVE_PROBES: u32 = 3;

impl SocketOptions {
    pub(super) fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(self.nodelay)?;
        let socket = SockRef::from(stream);
        if let Some(idle) = self.keepalive {
            socket.set_tcp_keepalive(&keepalive(idle))?;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn keepalive(idle: Duration) -> TcpKeepalive {
    let interval = (idle / KEEPALIVE_PROBES).max(Duration::from_secs(1));
    TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(KEEPALIVE_PROBES)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn keepalive(idle: Duration) -> TcpKeepalive {
    TcpKeepalive::new().with_time(idle)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};

    use super::SocketOptions;

    async fn accepted(options: SocketOptions) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let _client = TcpStream::connect(address).await.expect("it listens");
        let (stream, _) = listener.accept().await.expect("a client has come");
        options.apply(&stream).expect("an open socket");
        stream
    }

    #[tokio::test]
    async fn all_options_are_set_on_an_accepted_socket() {
        let seconds = Duration::from_secs;
        let stream = accepted(SocketOptions {
            nodelay: true,
            keepalive: Some(seconds(60)),
            user_timeout: Some(seconds(30)),
        })
        .await;
        assert!(stream.nodelay().expect("an open socket"));
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().expect("an open socket"));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            assert_eq!(socket.tcp_keepalive_time().ok(), Some(seconds(60)));
            assert_eq!(socket.tcp_keepalive_interval().ok(), Some(seconds(20)));
            assert_eq!(socket.tcp_keepalive_retries().ok(), Some(3));
            assert_eq!(socket.tcp_user_timeout().ok(), Some(Some(seconds(30))));
        }
    }

    #[tokio::test]
    async fn an_option_that_is_off_is_left_as_the_system_has_it() {
        let off = SocketOptions { nodelay: false, keepalive: None, user_timeout: None };
        let stream = accepted(off).await;
        assert!(!stream.nodelay().expect("an open socket"));
        let socket = SockRef::from(&stream);
        assert!(!socket.keepalive().expect("an open socket"));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(socket.tcp_user_timeout().ok(), Some(None));
    }
}
