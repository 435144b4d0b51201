//! Clients of all sorts: most talk, some flood, stop reading, kick their neighbours, break the
//! rules, leave; all lose their network now and then, and come back under their ids.

mod guest;

use std::error::Error;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::time::Duration;

use clap::Parser;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

use guest::Guest;

/// Who comes, and for how long.
#[derive(Debug, Clone, Parser)]
pub struct LoadOptions {
    /// The server.
    #[arg(long)]
    address: SocketAddr,
    /// How many clients; each has one descriptor.
    #[arg(long, default_value_t = 1000)]
    clients: u32,
    /// How many clients share a room.
    #[arg(long, default_value_t = 20)]
    room: u32,
    /// For how long they come back, in seconds. In the end all hang up.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What all they do is drawn from; also a part of their ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What clients have done and seen.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Handshakes that ended in a 101.
    pub connects: u64,
    /// Handshakes that did not.
    pub refusals: u64,
    /// Messages sent.
    pub said: u64,
    /// Frames received.
    pub heard: u64,
    /// Frames that came in another order than they were sent, or twice, on one transport.
    pub disordered: u64,
    /// Networks lost: resets and FINs without a close frame.
    pub drops: u64,
    /// Closes with a close frame, by the client or at its wish.
    pub leaves: u64,
    /// Bursts of messages that were sent at once.
    pub floods: u64,
    /// Neighbours kicked.
    pub kicks: u64,
    /// Times that a client stopped reading for a while.
    pub stalls: u64,
    /// Violations of the protocol.
    pub violations: u64,
    /// Rooms entered and left.
    pub moves: u64,
    /// Replies of the server's.
    pub replies: u64,
    /// Requests of the server's, each of which is answered.
    pub asked: u64,
    /// Times that it was told who is there.
    pub presence: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.connects += other.connects;
        self.refusals += other.refusals;
        self.said += other.said;
        self.heard += other.heard;
        self.disordered += other.disordered;
        self.drops += other.drops;
        self.leaves += other.leaves;
        self.floods += other.floods;
        self.kicks += other.kicks;
        self.stalls += other.stalls;
        self.violations += other.violations;
        self.moves += other.moves;
        self.replies += other.replies;
        self.asked += other.asked;
        self.presence += other.presence;
    }
}

/// Between two clients' first handshakes.
const ARRIVAL: Duration = Duration::from_millis(1);

/// Lets the clients come, and prints the sum of their [`Tally`]s as a line of JSON when the last
/// has gone.
///
/// # Errors
///
/// If the sum cannot be told.
pub async fn run(options: LoadOptions) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut guests = JoinSet::new();
    for number in 0..options.clients {
        // Each draws from a stream of its own.
        let seed = options.seed << 32 | u64::from(number);
        let guest = Guest::new(&options, number, StdRng::seed_from_u64(seed));
        guests.spawn(guest.stay(until));
        tokio::time::sleep(ARRIVAL).await;
    }
    let mut sum = Tally::default();
    while let Some(tally) = guests.join_next().await {
        sum += tally?;
    }
    println!("{}", serde_json::to_string(&sum)?);
    Ok(())
}
