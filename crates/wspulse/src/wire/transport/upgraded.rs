//! Getting a stream back out of hyper, which hands it over wrapped.

use http::request;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

#[cfg(feature = "http2")]
use super::http2::{Http2Stream, LetGo, Reader};
use super::{Rewound, Upgradable, UpgradeError, set_nodelay};
use crate::entry::serve::Listener;
#[cfg(feature = "rustls")]
use crate::entry::serve::tls::TlsStream;

/// A stream that hyper will hand over.
pub(crate) struct FromHyper {
    on_upgrade: OnUpgrade,
    unwrap: Option<Unwrap>,
    #[cfg(feature = "http2")]
    http2: Option<Http2>,
}

/// It is one of many in its connection.
#[cfg(feature = "http2")]
struct Http2 {
    /// If the connection wants to be told.
    let_go: Option<LetGo>,
    reader: Option<Reader>,
}

impl FromHyper {
    /// Takes it out of a request that can be upgraded.
    pub(crate) fn take(parts: &mut request::Parts) -> Option<Self> {
        let unwrap = parts.extensions.remove::<Unwrap>();
        Some(Self {
            on_upgrade: parts.extensions.remove::<OnUpgrade>()?,
            unwrap,
            #[cfg(feature = "http2")]
            http2: (parts.version == http::Version::HTTP_2).then(|| Http2 {
                let_go: parts.extensions.remove::<LetGo>(),
                reader: parts.extensions.remove::<Reader>(),
            }),
        })
    }

    pub(super) async fn stream(self) -> Result<Upgradable, UpgradeError> {
        let upgraded = self.on_upgrade.await?;
        #[cfg(feature = "http2")]
        if let Some(Http2 { let_go, reader }) = self.http2 {
            return Ok(Upgradable::new(Http2Stream::new(upgraded, let_go, reader), &[]));
        }
        Ok(match self.unwrap {
            Some(Unwrap(unwrap)) => unwrap(upgraded),
            None => plain_or_wrapped(upgraded),
        })
    }
}

/// How the streams of one kind of listener become WebSockets whose socket has `TCP_NODELAY`. It
/// goes with a request, since only the listener knows which socket is inside of a stream.
#[derive(Clone, Copy)]
pub(crate) struct Unwrap(fn(Upgraded) -> Upgradable);

impl Unwrap {
    /// For sockets that have had `TCP_NODELAY` since their accept.
    pub(crate) fn of_nodelay<L: Listener>() -> Self {
        Self(|upgraded| unwrapped::<L>(upgraded, |_| {}))
    }

    /// For sockets that have not.
    pub(crate) fn of_delayed<L: Listener>() -> Self {
        Self(|upgraded| unwrapped::<L>(upgraded, set_nodelay))
    }
}

/// Gets a listener's stream back, with its socket set up, if it has told which that is.
fn unwrapped<L: Listener>(upgraded: Upgraded, set_up: fn(&TcpStream)) -> Upgradable {
    let parts = match upgraded.downcast::<TokioIo<Rewound<L::Stream>>>() {
        Ok(parts) => parts,
        Err(upgraded) => return plain_or_wrapped(upgraded),
    };
    let (stream, behind) = parts.io.into_inner().into_parts();
    let unread =
        if behind.is_empty() { parts.read_buf } else { [parts.read_buf, behind].concat().into() };
    match L::tcp_stream(&stream) {
        Some(tcp) => {
            set_up(tcp);
            Upgradable::as_it_is(stream, &unread)
        }
        None => Upgradable::new(stream, &unread),
    }
}

/// Gets the plain socket back out of hyper's wrapping. hyper's read buffer is not kept: it would
/// cost 8 KiB for the life of the connection.
fn plain_or_wrapped(upgraded: Upgraded) -> Upgradable {
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Upgradable::new(parts.io.into_inner(), &parts.read_buf),
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "rustls")]
    let upgraded = match upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() {
        Ok(parts) => return Upgradable::new(parts.io.into_inner(), &parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => Upgradable::new(parts.io.into_inner(), &parts.read_buf),
        Err(upgraded) => Upgradable::new(TokioIo::new(upgraded), &[]),
    }
}
