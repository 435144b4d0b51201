//! The crate `wspulse-client`.

use std::time::Duration;

use wspulse_client::{Client, Event, Frame, Proxy, SessionStart};

use super::{Kind, Running, Seat, run_each, wait};
use crate::schedule::Stamp;

/// Clients of the crate, as any application would use it.
pub(crate) struct Rust;

impl Kind for Rust {
    fn name(&self) -> &'static str {
        "rust"
    }

    fn speaks_protocol(&self) -> bool {
        true
    }

    fn run(&self, seats: Vec<Seat>) -> Running {
        Box::pin(run_each(seats, live))
    }
}

/// A client that has ended by itself is followed by another one, as an application would have it.
async fn live(seat: Seat) -> Result<(), String> {
    let mut had_session = false;
    while !seat.is_leaving() {
        use_client(&seat, &mut had_session).await?;
        wait().await;
    }
    Ok(())
}

async fn use_client(seat: &Seat, had_session: &mut bool) -> Result<(), String> {
    let builder = Client::builder(seat.url())
        .proxy(Proxy::None)
        .backoff(Duration::from_millis(200), Duration::from_secs(1));
    let (client, mut events) = builder.connect().map_err(|error| error.to_string())?;
    let mut pause = seat.pauses();
    let mut phase = seat.phase.clone();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => note(seat, event, had_session)?,
                None => return Ok(()),
            },
            _ = pause.tick(), if seat.is_talking() => {
                let frame = Frame::new("u").json(&seat.ledger.next_number());
                let frame = frame.map_err(|error| error.to_string())?;
                client.post(frame).map_err(|error| error.to_string())?;
            }
            _ = phase.changed() => {
                if seat.is_leaving() {
                    client.close().await;
                    return Ok(());
                }
            }
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "whatever else is told is a fault")]
fn note(seat: &Seat, event: Event, had_session: &mut bool) -> Result<(), String> {
    match event {
        Event::Session { session, .. } => {
            if session == SessionStart::New && *had_session {
                seat.ledger.began_session();
            }
            *had_session = true;
            seat.ledger.opened();
        }
        Event::Message(frame) => {
            let stamp = frame.to_json::<Stamp>().map_err(|error| error.to_string())?;
            seat.ledger.got(stamp);
        }
        Event::Ended { .. } => seat.ledger.ended(),
        Event::Disconnected { .. } => seat.ledger.closed(),
        // On a plain connection the client tells what was on its way: the books show it as well.
        Event::Reconnecting { .. } | Event::Lost(_) => {}
        other => return Err(format!("{}: {other:?}", seat.url())),
    }
    Ok(())
}
