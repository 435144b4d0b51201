//! The real server, in memory, behind a link of the test kit.

use std::time::Duration;

use tokio::time::sleep;
use wspulse::Server;
use wspulse::testing::{Link, TestServer};
use wspulse_client::ClientBuilder;

/// A link to the server, which is served as long as the link is there.
pub(crate) fn link_to(server: &Server) -> Link {
    TestServer::around(server.clone(), server.clone()).link("the client")
}

/// Has a client connect by this link.
pub(crate) fn by(link: &Link, builder: ClientBuilder) -> ClientBuilder {
    let link = link.clone();
    builder.connector(move |_| std::future::ready(link.dial()))
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
