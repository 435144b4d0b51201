//! One client, over all its connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wspulse::codec::{Codec as _, InboundMessage, JsonCodec};
use wspulse::testing::{Received, masked};
use wspulse::{Frame, MessageKind};

use super::{LoadOptions, Tally};
use crate::clients::{Peer, join, reset};

pub(super) struct Guest {
    address: SocketAddr,
    random: StdRng,
    room: String,
    id: String,
    neighbours: Vec<String>,
    /// How many messages it has said; each carries the number.
    said: u64,
    tally: Tally,
}

/// What a client does next.
enum Step {
    Say,
    Flood,
    Kick,
    Stall,
    Drop,
    Reset,
    Close,
    AskToBeClosed,
    Violate,
    /// Enters or leaves a room beside its own.
    Move(&'static str),
    /// Anything else that a server is asked, by its event.
    Ask(&'static str),
}

/// A mean of two seconds between two steps: thousands of clients then send about as much as a
/// processor core can fan out beside all their coming and going.
const STEP_MILLIS_MAX: u64 = 4000;

/// So many that some fifty members are in each, most of the time.
const KEPT_ROOMS: u32 = 60;

/// More than a send buffer holds.
const FLOOD_MESSAGES: usize = 400;

impl Guest {
    pub(super) fn new(options: &LoadOptions, number: u32, random: StdRng) -> Self {
        let id = |number: u32| format!("{}-{number}", options.seed);
        let room = number / options.room;
        let neighbours = (room * options.room..(room + 1) * options.room).map(id).collect();
        Self {
            address: options.address,
            random,
            room: format!("{}-{room}", options.seed),
            id: id(number),
            neighbours,
            said: 0,
            tally: Tally::default(),
        }
    }

    /// Comes back again and again, until then.
    pub(super) async fn stay(mut self, until: Instant) -> Tally {
        while Instant::now() < until {
            let joined = timeout(Duration::from_secs(20), join(self.address, &self.room, &self.id));
            if let Ok(Ok(peer)) = joined.await {
                self.tally.connects += 1;
                // However the connection ended, the next one is made in a moment.
                let _ = self.live(peer, until).await;
            } else {
                self.tally.refusals += 1;
            }
            let away = Duration::from_millis(self.random.random_range(0..2000));
            let _ = timeout_at(until, sleep(away)).await;
        }
        self.tally
    }

    /// One connection.
    async fn live(&mut self, mut peer: Peer, until: Instant) -> io::Result<()> {
        let mut last_heard = HashMap::new();
        loop {
            let pause = Duration::from_millis(self.random.random_range(0..STEP_MILLIS_MAX));
            let next_at = until.min(Instant::now() + pause);
            self.listen(&mut peer, &mut last_heard, next_at).await?;
            if next_at == until {
                return Ok(());
            }
            match self.draw() {
                Step::Say => self.say(&mut peer, 1).await?,
                Step::Flood => {
                    self.tally.floods += 1;
                    self.say(&mut peer, FLOOD_MESSAGES).await?;
                }
                Step::Kick => {
                    self.tally.kicks += 1;
                    let neighbour = self.random.random_range(0..self.neighbours.len());
                    let kick = Frame::new("kick").json(&self.neighbours[neighbour]);
                    peer.send(&kick.map_err(io::Error::other)?).await?;
                }
                Step::Stall => {
                    self.tally.stalls += 1;
                    sleep(pause).await;
                }
                Step::Drop => {
                    self.tally.drops += 1;
                    return Ok(());
                }
                Step::Reset => {
                    self.tally.drops += 1;
                    reset(peer.into_stream());
                    return Ok(());
                }
                Step::Close => {
                    self.tally.leaves += 1;
                    peer.close(None).await?;
                }
                Step::AskToBeClosed => {
                    self.tally.leaves += 1;
                    peer.send(&Frame::new("leave")).await?;
                }
                Step::Violate => {
                    self.tally.violations += 1;
                    peer.write_raw(&self.violation()).await?;
                }
                Step::Move(event) => {
                    self.tally.moves += 1;
                    let room = format!("kept-{}", self.random.random_range(0..KEPT_ROOMS));
                    let asked = Frame::new(event).json(&room).map_err(io::Error::other)?;
                    peer.send(&asked).await?;
                }
                Step::Ask(event) => {
                    let asked = Frame::new(event).with_id(&*self.id).with_payload("0");
                    peer.send(&asked).await?;
                }
            }
        }
    }

    fn draw(&mut self) -> Step {
        match self.random.random_range(0..1000) {
            0..3 => Step::Flood,
            3..8 => Step::Kick,
            8..18 => Step::Stall,
            18..50 => Step::Drop,
            50..80 => Step::Reset,
            80..90 => Step::Close,
            90..100 => Step::AskToBeClosed,
            100..110 => Step::Violate,
            110..180 => Step::Move("enter"),
            180..230 => Step::Move("exit"),
            230..270 => Step::Ask("note"),
            270..335 => Step::Ask("cursor"),
            335..400 => Step::Ask("position"),
            400..450 => Step::Ask("question"),
            450..480 => Step::Ask("ask me"),
            480..510 => Step::Ask("whisper"),
            _ => Step::Say,
        }
    }

    fn violation(&mut self) -> Bytes {
        match self.random.random_range(0..4) {
            0 => masked(0xf1, b"reserved bits"),
            1 => masked(0x81, b"\xff\xfe"),
            2 => masked(0x80, b"a continuation of nothing"),
            // A length of 2^63 - 1.
            _ => Bytes::from_static(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04"),
        }
    }

    async fn say(&mut self, peer: &mut Peer, messages: usize) -> io::Result<()> {
        let mut bytes = Vec::new();
        for _ in 0..messages {
            self.said += 1;
            self.tally.said += 1;
            let text = format!(r#"{{"id":"{}","event":"say","payload":{}}}"#, self.id, self.said);
            bytes.extend_from_slice(&masked(0x81, text.as_bytes()));
        }
        // A server that reads no more will hang up, or the end comes.
        timeout(Duration::from_secs(20), peer.write_raw(&bytes)).await?
    }

    async fn listen(
        &mut self,
        peer: &mut Peer,
        last_heard: &mut HashMap<String, u64>,
        until: Instant,
    ) -> io::Result<()> {
        while let Ok(received) = timeout_at(until, peer.receive()).await {
            match received? {
                Received::Message(kind, payload) => {
                    let frame = self.hear(kind, payload, last_heard)?;
                    if frame.event() == "asked" {
                        self.tally.asked += 1;
                        let reply = Frame::new("reply").with_id(frame.id().to_owned());
                        peer.send(&reply).await?;
                    }
                }
                Received::Ping(payload) => peer.pong(&payload).await?,
                Received::Pong(_) => {}
                Received::Close(frame) => {
                    peer.close(frame.as_ref()).await?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    }

    /// What one client says comes in its order, with gaps where a full buffer dropped the oldest.
    fn hear(
        &mut self,
        kind: MessageKind,
        payload: Bytes,
        last_heard: &mut HashMap<String, u64>,
    ) -> io::Result<Frame> {
        let frame = JsonCodec.decode(InboundMessage::owned(kind, payload));
        let frame = frame.map_err(io::Error::other)?;
        self.tally.heard += 1;
        match frame.event() {
            "reply" => self.tally.replies += 1,
            "presence" => self.tally.presence += 1,
            _ => {}
        }
        if frame.event() != "say" {
            return Ok(frame);
        }
        let number = frame.to_json::<u64>().map_err(io::Error::other)?;
        if last_heard.insert(frame.id().to_owned(), number).is_some_and(|last| last >= number) {
            self.tally.disordered += 1;
        }
        Ok(frame)
    }
}
