//! Members of rooms, over sockets, who count what they hear.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use wspulse::testing::Received;

use super::account::Account;
use super::meter::Meter;
use super::order::{Heard, LOST, SAID, room};
use crate::clients::Peer;

/// How many come at a time.
const AT_ONCE: usize = 64;

/// Somebody in a room, on a node.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) room: u32,
    /// Which node, by its place.
    pub(super) node: usize,
    heard: Arc<Mutex<All>>,
    _listens: Aborted,
}

/// What it has heard.
#[derive(Debug)]
struct All {
    /// By node.
    accounts: Vec<Account>,
    /// All frames in their order, where that is asked for.
    order: Option<Vec<Told>>,
}

/// A frame that was heard: who has said it, and its number.
pub(super) type Told = (u32, u64);

/// Where a member is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) room: u32,
    pub(super) node: usize,
    pub(super) address: SocketAddr,
    /// The node's own mark.
    pub(super) mark: u32,
    /// Whether the order is kept in which it hears frames.
    pub(super) keeps_order: bool,
}

#[derive(Debug)]
struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Member {
    /// What it has heard, by node.
    pub(super) fn accounts(&self) -> Vec<Account> {
        self.heard.lock().accounts.clone()
    }

    /// In which order it has heard whose frames, where that was asked for.
    pub(super) fn order(&self) -> Vec<Told> {
        self.heard.lock().order.clone().unwrap_or_default()
    }
}

/// What all of them have in common.
#[derive(Debug, Clone)]
pub(super) struct Ears {
    pub(super) meter: Arc<Meter>,
    /// Frames that all of them have heard.
    pub(super) deliveries: Arc<AtomicU64>,
}

/// Has members take their seats.
///
/// # Errors
///
/// If one is not let in.
pub(super) async fn seat(seats: Vec<Seat>, ears: &Ears) -> io::Result<Vec<Member>> {
    let mut members = Vec::with_capacity(seats.len());
    for some in seats.chunks(AT_ONCE) {
        let mut coming = JoinSet::new();
        for seat in some.iter().copied() {
            let ears = ears.clone();
            coming.spawn(async move { enter(seat, ears).await });
        }
        while let Some(member) = coming.join_next().await {
            members.push(member??);
        }
    }
    Ok(members)
}

async fn enter(seat: Seat, ears: Ears) -> io::Result<Member> {
    let target = format!("/ws?room={}", room(seat.room));
    let peer = Peer::connect_tcp(seat.address, &target).await?;
    let order = seat.keeps_order.then(Vec::new);
    let heard = Arc::new(Mutex::new(All { accounts: Vec::new(), order }));
    let listens = tokio::spawn(listen(peer, seat.mark, Arc::clone(&heard), ears));
    Ok(Member { room: seat.room, node: seat.node, heard, _listens: Aborted(listens) })
}

/// Until its node has gone.
async fn listen(mut peer: Peer, mark: u32, all: Arc<Mutex<All>>, ears: Ears) {
    loop {
        match peer.receive().await {
            Ok(Received::Message(_, message)) => {
                let heard: Heard<'_> =
                    serde_json::from_slice(&message).expect("a node says what it is told to");
                let origin = heard.payload.0;
                let mut all = all.lock();
                let All { accounts, order } = &mut *all;
                let known = accounts.iter().position(|account| account.origin == origin);
                let place = known.unwrap_or_else(|| {
                    accounts.push(Account::new(origin));
                    accounts.len() - 1
                });
                match heard.event {
                    SAID => {
                        accounts[place].hear(heard.payload.1);
                        if let Some(order) = order {
                            order.push((origin, heard.payload.1));
                        }
                        drop(all);
                        ears.deliveries.fetch_add(1, Ordering::Relaxed);
                        ears.meter.record(origin == mark, heard.payload.2);
                    }
                    LOST => accounts[place].lose(heard.payload.1),
                    other => panic!("nobody says {other:?}"),
                }
            }
            Ok(Received::Ping(payload)) => {
                if peer.pong(&payload).await.is_err() {
                    return;
                }
            }
            Ok(Received::Pong(_)) => {}
            Ok(Received::Close(_) | Received::End) | Err(_) => return,
        }
    }
}
