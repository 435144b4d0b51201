//! A healthy client beside the one that is made up: it must be served on.

use std::io;

use tokio::io::DuplexStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wspulse::testing::TestClient;

/// A client that reads and answers all the time.
pub(crate) struct Neighbour {
    reading: JoinHandle<io::Result<TestClient<DuplexStream>>>,
    stop: oneshot::Sender<()>,
}

impl Neighbour {
    /// Has a client read and answer from now on.
    pub(crate) fn move_in(mut client: TestClient<DuplexStream>) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let reading = tokio::spawn(async move {
            loop {
                tokio::select! {
                    frame = client.frame() => drop(frame?),
                    _ = &mut stopped => return Ok(client),
                }
            }
        });
        Self { reading, stop }
    }

    /// The client, which is still connected.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub(crate) async fn stop(self) -> TestClient<DuplexStream> {
        self.stop.send(()).expect("it reads");
        self.reading.await.expect("no panic").expect("a healthy connection")
    }
}
