//! Getting a stream back out of hyper, which hands it over wrapped.

use http::request;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

use super::{Rewound, Upgradable, UpgradeError};
use crate::entry::serve::Listener;
#[cfg(feature = "rustls")]
use crate::entry::serve::tls::TlsStream;

/// A stream that hyper will hand over.
pub(crate) struct FromHyper {
    on_upgrade: OnUpgrade,
    unwrap: Option<Unwrap>,
}

impl FromHyper {
    /// Takes it out of a request that can be upgraded.
    pub(crate) fn take(parts: &mut request::Parts) -> Option<Self> {
        let unwrap = parts.extensions.remove::<Unwrap>();
        Some(Self { on_upgrade: parts.extensions.remove::<OnUpgrade>()?, unwrap })
    }

    pub(super) async fn stream(self) -> Result<Upgradable, UpgradeError> {
        let upgraded = self.on_upgrade.await?;
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
    pub(crate) fn of<L: Listener>() -> Self {
        Self(|upgraded| match upgraded.downcast::<TokioIo<Rewound<L::Stream>>>() {
            Ok(parts) => {
                let (stream, unread) = parts.io.into_inner().into_parts();
                if let Some(tcp) = L::tcp_stream(&stream) {
                    // A socket that refuses is as good as dead.
                    let _ = tcp.set_nodelay(true);
                }
                if unread.is_empty() {
                    Upgradable::new(stream, &parts.read_buf)
                } else {
                    Upgradable::new(stream, &[parts.read_buf, unread].concat())
                }
            }
            Err(upgraded) => plain_or_wrapped(upgraded),
        })
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
