//! A node whose clients have sessions, and which is drained by SIGTERM.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use wspulse::{Delivery, Server, ServerBuilder};

use crate::cluster::handled::Notes;

/// For how long a session waits for its client: longer than a node stands still in any case.
const RESUME_WINDOW: Duration = Duration::from_mins(1);

/// Over how long a node sends its clients away.
const DRAIN: Duration = Duration::from_secs(2);

/// The others are there: nobody has to wait for this one.
const DRAIN_RETRY: Duration = Duration::from_millis(250);

/// Notes each message in a file, which is there when the node has been killed.
pub(super) fn with_sessions(builder: ServerBuilder, handled: &Path) -> io::Result<ServerBuilder> {
    let notes = Notes::begin(handled)?;
    Ok(builder
        .delivery(Delivery::ExactlyOnce)
        .resume_window(RESUME_WINDOW)
        .drain_retry(DRAIN_RETRY)
        .on_message(move |_, frame| {
            let (client, number) = frame.to_json().expect("clients send two numbers");
            notes.note(client, number).expect("a file can be written");
        }))
}

/// Waits for SIGTERM, and drains the server then.
pub(super) async fn drained(server: &Server) -> io::Result<()> {
    signal(SignalKind::terminate())?.recv().await;
    server.drain(DRAIN).await;
    Ok(())
}
