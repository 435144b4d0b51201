//! What is asked of the system for an accepted socket.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

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

/// What sets the options of the sockets that one listener accepts.
pub(super) struct AcceptedSockets {
    options: SocketOptions,
    /// Whether they come with `TCP_NODELAY` from their listener; `None` until one was seen.
    inherit_nodelay: Option<bool>,
}

impl AcceptedSockets {
    /// Sets on the listener what its sockets may inherit: a system call less for each of them.
    pub(super) fn of(listener: Option<&TcpListener>, options: SocketOptions) -> Self {
        let is_asked = options.nodelay
            && listener.is_some_and(|it| SockRef::from(it).set_tcp_nodelay(true).is_ok());
        // Linux and the BSDs have them inherit it. Those that came before are accepted first.
        let inherit_nodelay = if is_asked { None } else { Some(false) };
        Self { options, inherit_nodelay }
    }

    /// Sets the options of a socket.
    pub(super) fn apply(&mut self, stream: &TcpStream) -> io::Result<()> {
        let inherits_nodelay = match self.inherit_nodelay {
            Some(known) => known,
            None => *self.inherit_nodelay.insert(stream.nodelay()?),
        };
        let SocketOptions { nodelay, keepalive, user_timeout } = self.options;
        if !inherits_nodelay {
            stream.set_nodelay(nodelay)?;
        }
        let socket = SockRef::from(stream);
        if let Some(idle) = keepalive {
            socket.set_tcp_keepalive(&probes_after(idle))?;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if user_timeout.is_some() {
            socket.set_tcp_user_timeout(user_timeout)?;
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = user_timeout;
        Ok(())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn probes_after(idle: Duration) -> TcpKeepalive {
    let interval = (idle / KEEPALIVE_PROBES).max(Duration::from_secs(1));
    TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(KEEPALIVE_PROBES)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn probes_after(idle: Duration) -> TcpKeepalive {
    TcpKeepalive::new().with_time(idle)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};

    use super::{AcceptedSockets, SocketOptions};

    const NODELAY: SocketOptions =
        SocketOptions { nodelay: true, keepalive: None, user_timeout: None };

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.expect("a free port")
    }

    /// A client that has come and is gone again.
    async fn come(listener: &TcpListener) {
        let address = listener.local_addr().expect("bound");
        TcpStream::connect(address).await.expect("it listens");
    }

    async fn accept(listener: &TcpListener, sockets: &mut AcceptedSockets) -> TcpStream {
        let (stream, _) = listener.accept().await.expect("a client has come");
        sockets.apply(&stream).expect("an open socket");
        stream
    }

    async fn accepted(options: SocketOptions) -> TcpStream {
        let listener = listener().await;
        come(&listener).await;
        accept(&listener, &mut AcceptedSockets::of(None, options)).await
    }

    #[tokio::test]
    async fn sockets_have_nodelay_whether_they_inherit_it_or_not() {
        for asked in [false, true] {
            let listener = listener().await;
            let asked = asked.then_some(&listener);
            let mut sockets = AcceptedSockets::of(asked, NODELAY);
            for _ in 0..3 {
                come(&listener).await;
                let stream = accept(&listener, &mut sockets).await;
                assert!(stream.nodelay().expect("an open socket"), "{asked:?}");
            }
        }
    }

    #[tokio::test]
    async fn sockets_that_came_before_their_listener_was_asked_have_nodelay_too() {
        let listener = listener().await;
        come(&listener).await;
        let mut sockets = AcceptedSockets::of(Some(&listener), NODELAY);
        come(&listener).await;
        for _ in 0..2 {
            let stream = accept(&listener, &mut sockets).await;
            assert!(stream.nodelay().expect("an open socket"));
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn sockets_inherit_nodelay_from_a_listener_that_was_asked() {
        let listener = listener().await;
        let mut sockets = AcceptedSockets::of(Some(&listener), NODELAY);
        come(&listener).await;
        accept(&listener, &mut sockets).await;
        assert_eq!(sockets.inherit_nodelay, Some(true));
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
