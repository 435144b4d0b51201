//! A client that knows nothing of the protocol: it comes back with the same id, and that is all.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{Kind, Running, Seat, Socket, dial, message, run_each, stamp, wait};

/// tokio-tungstenite, as any application would use it.
pub(crate) struct Plain;

/// A socket that takes nothing for so long is given up.
const WRITE: Duration = Duration::from_secs(20);

impl Kind for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn speaks_protocol(&self) -> bool {
        false
    }

    fn run(&self, seats: Vec<Seat>) -> Running {
        Box::pin(run_each(seats, live))
    }
}

async fn live(seat: Seat) -> Result<(), String> {
    while !seat.is_leaving() {
        if let Some((mut socket, _)) = dial(&seat, "").await {
            seat.ledger.opened();
            use_link(&seat, &mut socket).await;
            seat.ledger.closed();
        }
        wait().await;
    }
    Ok(())
}

async fn use_link(seat: &Seat, socket: &mut Socket) {
    let mut pause = seat.pauses();
    let mut phase = seat.phase.clone();
    loop {
        tokio::select! {
            received = socket.next() => match received {
                Some(Ok(Message::Text(text))) => {
                    if let Some(stamp) = stamp(&text) {
                        seat.ledger.got(stamp);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            _ = pause.tick(), if seat.is_talking() => {
                let text = Message::text(message(seat.ledger.next_number()));
                if !timeout(WRITE, socket.send(text)).await.is_ok_and(|sent| sent.is_ok()) {
                    return;
                }
            }
            _ = phase.changed() => {
                if seat.is_leaving() {
                    let _ = timeout(WRITE, socket.close(None)).await;
                    return;
                }
            }
        }
    }
}
