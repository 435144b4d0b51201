//! Questions on standard input, answers on standard output.

use std::error::Error;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use wspulse::{Frame, Server};

use super::ledger::Ledger;
use crate::control::{Account, Ask, Inspection, Numbered};

/// Answers until it is asked to close, or until nobody asks any more: whoever started this server
/// has gone then.
pub(super) async fn obey(server: &Server, ledger: &Ledger) -> Result<(), Box<dyn Error>> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Ask::Counters => answer(&ledger.counters(server))?,
            Ask::Inspect { id } => answer(&inspect(server, &id))?,
            Ask::Broadcast { room, frames } => {
                for frame in numbered(frames) {
                    server.broadcast(&room, frame)?;
                    // As from callbacks, where others have their turn in between.
                    tokio::task::yield_now().await;
                }
                answer(&())?;
            }
            Ask::Send { id, frames } => {
                let sent = numbered(frames).filter_map(|frame| server.send(&id, frame).ok());
                answer(&sent.count())?;
            }
            Ask::Close => {
                server.close().await;
                return answer(&ledger.counters(server));
            }
        }
    }
    Ok(())
}

fn answer(answer: &impl Serialize) -> Result<(), Box<dyn Error>> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

fn inspect(server: &Server, id: &str) -> Option<Inspection> {
    let conn = server.connection(id)?;
    let mut account = Account::default();
    account.add(&conn.outbound_stats());
    let peer_ip = conn.peer_addr().map(|address| address.ip());
    Some(Inspection { state: format!("{:?}", conn.state()), peer_ip, account })
}

fn numbered(frames: Numbered) -> impl Iterator<Item = Frame> {
    let Numbered { first, count, pad_bytes } = frames;
    let pad = "x".repeat(pad_bytes);
    (first..first + count)
        .map(move |number| Frame::new("n").with_payload(format!("[{number},\"{pad}\"]")))
}
