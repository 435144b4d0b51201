//! One client's transport: it reads, dawdles, answers or does not, and breaks off.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use tokio::io::DuplexStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, timeout};
use wspulse::testing::{Received, TestClient};
use wspulse::{CloseCode, CloseFrame, Frame};

/// What the scenario tells a client.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send so many messages.
    Say(usize),
    /// Read nothing for so long.
    Dawdle(Duration),
    /// Send a close frame.
    Leave,
    /// Break off.
    Cut,
}

/// What a client saw of its transport.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The numbers of the frames that came.
    pub(crate) frames: Vec<usize>,
    /// The server's close frame.
    pub(crate) close: Option<CloseFrame>,
    /// It read up to the end of the stream.
    pub(crate) to_the_end: bool,
    /// It always read and answered at once and never went by itself: it must have been told why.
    pub(crate) well_behaved: bool,
}

pub(crate) struct Client {
    pub(crate) stream: TestClient<DuplexStream>,
    pub(crate) orders: UnboundedReceiver<Order>,
    pub(crate) transport: usize,
    pub(crate) rng: SmallRng,
    pub(crate) seen: Seen,
    pub(crate) said: usize,
}

/// Longer than any server here keeps a transport that takes nothing.
const PATIENCE: Duration = Duration::from_mins(1);

impl Client {
    pub(crate) async fn run(mut self) -> Seen {
        loop {
            let goes_on = tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => false,
                },
                received = self.stream.receive() => match received {
                    Ok(received) => self.take(received).await,
                    Err(_) => false,
                },
            };
            if !goes_on {
                return self.seen;
            }
        }
    }

    async fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Say(messages) => {
                for _ in 0..messages {
                    let frame = Frame::new(format!("{} {}", self.transport, self.said));
                    self.said += 1;
                    let (stream, before) = (&mut self.stream, Instant::now());
                    let sent = timeout(PATIENCE, stream.send(&frame)).await;
                    self.seen.well_behaved &= before.elapsed().is_zero();
                    if !matches!(sent, Ok(Ok(()))) {
                        // What has come already can still be read.
                        return true;
                    }
                }
                true
            }
            Order::Dawdle(time) => {
                self.seen.well_behaved = false;
                sleep(time).await;
                true
            }
            Order::Leave => {
                self.seen.well_behaved = false;
                let frame = CloseFrame::new(CloseCode::NORMAL, "");
                let frame = self.rng.random_bool(0.5).then_some(&frame);
                let _ = timeout(PATIENCE, self.stream.close(frame)).await;
                true
            }
            Order::Cut => {
                self.seen.well_behaved = false;
                false
            }
        }
    }

    async fn take(&mut self, received: Received) -> bool {
        match received {
            Received::Message(_, payload) => {
                let text = str::from_utf8(&payload).unwrap();
                let number = text.trim_matches(|letter: char| !letter.is_ascii_digit());
                self.seen.frames.push(number.parse().unwrap());
                true
            }
            Received::Ping(payload) => {
                let before = Instant::now();
                let _ = timeout(PATIENCE, self.stream.pong(&payload)).await;
                self.seen.well_behaved &= before.elapsed().is_zero();
                true
            }
            Received::Pong(_) => true,
            Received::Close(close) => {
                self.seen.close.clone_from(&close);
                // Some never answer.
                if self.rng.random_bool(0.8) {
                    let _ = timeout(PATIENCE, self.stream.close(close.as_ref())).await;
                }
                true
            }
            Received::End => {
                self.seen.to_the_end = true;
                false
            }
        }
    }
}
