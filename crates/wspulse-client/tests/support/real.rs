//! The real server, in memory, behind a link that can be cut.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{DuplexStream, copy_bidirectional};
use tokio::sync::Notify;
use tokio::time::sleep;
use wspulse::Server;
use wspulse_client::ClientBuilder;

/// What lies between a client and its server.
#[derive(Clone, Default)]
pub(crate) struct Link {
    cut: Arc<Notify>,
    freeze: Arc<Notify>,
    /// So much fits into it in each direction.
    bytes: Arc<Mutex<Option<usize>>>,
}

impl Link {
    /// Has a client connect to the server by this link.
    pub(crate) fn to(&self, server: &Server, builder: ClientBuilder) -> ClientBuilder {
        let (link, server) = (self.clone(), server.clone());
        builder.connector(move |_| {
            let near = link.clone().lay(server.clone());
            async move { Ok::<_, io::Error>(near) }
        })
    }

    /// Ends whatever goes over it; what is on its way is lost.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Passes nothing on any more, without a word, until it is cut.
    pub(crate) fn freeze(&self) {
        self.freeze.notify_waiters();
    }

    /// How much may be on its way from now on.
    pub(crate) fn set_bytes(&self, bytes: usize) {
        *self.bytes.lock() = Some(bytes);
    }

    pub(crate) fn lay(self, server: Server) -> DuplexStream {
        let bytes = self.bytes.lock().unwrap_or(64 * 1024);
        let (near, mut clients_end) = tokio::io::duplex(bytes);
        let (mut servers_end, far) = tokio::io::duplex(bytes);
        tokio::spawn(async move {
            let serving = http1::Builder::new()
                .serve_connection(TokioIo::new(far), TowerToHyperService::new(server));
            drop(serving.with_upgrades().await);
        });
        tokio::spawn(async move {
            let relay = async {
                tokio::select! {
                    _ = copy_bidirectional(&mut clients_end, &mut servers_end) => {}
                    () = self.freeze.notified() => std::future::pending().await,
                }
            };
            tokio::select! {
                () = relay => {}
                () = self.cut.notified() => {}
            }
        });
        near
    }
}

/// Waits for something that must happen soon, by the paused clock.
pub(crate) async fn until(mut is_met: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if is_met() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen");
}
