//! The limits: one thread, one epoll loop, frames that are forwarded as they come. No sessions, no
//! promises, no checks.

mod heartbeat;
mod waves;

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use self::heartbeat::Heartbeat;
use self::waves::{Room, SENDS, Waves};
use super::{announce, listen};
use crate::load::{COUNT_REQUEST, RAW_PAYLOAD_AT, is_pong, text_frame, unmask_first};
use crate::subject::Mode;

/// When the members of a room get what is said there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sending {
    /// All of one read at once, with one send for each member. What a socket does not take is lost.
    AtOnce,
    /// In waves: all that waits for a member with one send of one contiguous buffer, and a look at the
    /// network after so many of them. Pings go out like this as well. Nothing is lost, but whoever is
    /// far behind is cut off.
    Waves,
}

struct Peer {
    socket: TcpStream,
    room: usize,
    is_open: bool,
    carry: Vec<u8>,
    count: u64,
    /// How much of what its room has said it has had.
    heard: u64,
    /// Its socket took less than there was.
    is_full: bool,
}

const LISTENER: Token = Token(usize::MAX);

/// The load generator always sends the key of RFC 6455 §1.3; this is that section's answer.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Serves until it is killed.
pub(crate) fn serve(mode: Mode, sending: Sending, port: u16) -> Result<(), Box<dyn Error>> {
    if matches!(mode, Mode::Moving | Mode::Audience) {
        return Err("a bare loop has no memberships to change or to compare".into());
    }
    let listener = listen(port)?;
    announce(&listener)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut limit = Limit::new(mode, sending);
    loop {
        match poll.poll(&mut events, limit.may_sleep()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            looked => looked?,
        }
        for event in &events {
            match event.token() {
                LISTENER => limit.accept(&listener, &poll)?,
                Token(index) => {
                    if event.is_writable() {
                        limit.catch_up(index);
                    }
                    if event.is_readable() || event.is_read_closed() {
                        limit.read(index);
                    }
                }
            }
        }
        limit.send_wave();
    }
}

impl Peer {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            room: 0,
            is_open: false,
            carry: Vec::new(),
            count: 0,
            heard: 0,
            is_full: false,
        }
    }
}

struct Limit {
    mode: Mode,
    peers: Vec<Option<Peer>>,
    room_by_name: HashMap<String, usize>,
    rooms: Vec<Room>,
    /// Where all is sent at once there are none, and no Pings.
    waves: Option<(Waves, Heartbeat)>,
    scratch: Vec<u8>,
    wire: Vec<u8>,
}

impl Limit {
    fn new(mode: Mode, sending: Sending) -> Self {
        Self {
            mode,
            peers: Vec::new(),
            room_by_name: HashMap::new(),
            rooms: Vec::new(),
            waves: match sending {
                Sending::AtOnce => None,
                Sending::Waves => Some((Waves::default(), Heartbeat::new(Instant::now()))),
            },
            scratch: vec![0; 256 * 1024],
            wire: Vec::new(),
        }
    }

    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let interest = match self.waves {
                None => Interest::READABLE,
                // Of a socket that has room, nobody is told again before it was full.
                Some(_) => Interest::READABLE | Interest::WRITABLE,
            };
            poll.registry().register(&mut socket, Token(self.peers.len()), interest)?;
            self.peers.push(Some(Peer::new(socket)));
        }
    }

    /// How long there is nothing to do if nothing comes.
    fn may_sleep(&self) -> Option<Duration> {
        let (waves, heartbeat) = self.waves.as_ref()?;
        Some(if waves.is_over() { heartbeat.due_in(Instant::now()) } else { Duration::ZERO })
    }

    fn send_wave(&mut self) {
        if let Some((waves, heartbeat)) = &mut self.waves {
            waves.send(&mut self.rooms, &mut self.peers);
            heartbeat.send(Instant::now(), SENDS, &mut self.peers);
        }
    }

    fn catch_up(&mut self, index: usize) {
        if let Some(peer) = &mut self.peers[index]
            && let Some(room) = self.rooms.get_mut(peer.room)
        {
            room.catch_up(peer);
        }
    }

    fn remove(&mut self, index: usize) {
        if let Some(peer) = self.peers[index].take()
            && let Some(room) = self.rooms.get_mut(peer.room)
        {
            room.leave(index, &peer);
        }
    }

    /// Reads until nothing more is there: the next byte is an event of its own.
    fn read(&mut self, index: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut is_full = true;
        while is_full && let Some(peer) = &mut self.peers[index] {
            let carried = peer.carry.len();
            scratch[..carried].copy_from_slice(&peer.carry);
            let filled = match peer.socket.read(&mut scratch[carried..]) {
                Ok(read) if read > 0 => carried + read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => {
                    self.remove(index);
                    break;
                }
            };
            is_full = filled == scratch.len();
            let consumed = self.handle(index, &mut scratch[..filled]);
            if let Some(peer) = &mut self.peers[index] {
                peer.carry.clear();
                peer.carry.extend_from_slice(&scratch[consumed..filled]);
            }
        }
        self.scratch = scratch;
    }

    fn handle(&mut self, index: usize, input: &mut [u8]) -> usize {
        let Some(peer) = &mut self.peers[index] else { return 0 };
        let mut consumed = 0;
        if !peer.is_open {
            let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
                return 0;
            };
            consumed = end + 4;
            self.upgrade(index, &input[..end]);
        }
        let mut wire = std::mem::take(&mut self.wire);
        wire.clear();
        while let Some(payload) = unmask_first(&mut input[consumed..]) {
            let frame = &input[consumed..];
            let message = &frame[payload.clone()];
            consumed += payload.end;
            if is_pong(frame) {
                continue;
            }
            match self.mode {
                Mode::Echo
                | Mode::Room
                | Mode::Presence
                | Mode::Answer
                | Mode::Moving
                | Mode::Audience => {
                    text_frame(message, &mut wire);
                }
                Mode::Count => self.count(index, message, &mut wire),
            }
        }
        match self.mode {
            Mode::Echo
            | Mode::Room
            | Mode::Presence
            | Mode::Count
            | Mode::Answer
            | Mode::Moving
            | Mode::Audience
                if wire.is_empty() => {}
            Mode::Echo | Mode::Count | Mode::Answer => self.write(index, &wire),
            Mode::Room | Mode::Presence | Mode::Moving | Mode::Audience => {
                let room = self.peers[index].as_ref().map_or(0, |peer| peer.room);
                match &mut self.waves {
                    Some((waves, _)) => waves.say(&mut self.rooms, room, &wire),
                    None => {
                        for member in &self.rooms[room].members {
                            if let Some(peer) = &mut self.peers[*member] {
                                let _ = peer.socket.write(&wire);
                            }
                        }
                    }
                }
            }
        }
        self.wire = wire;
        consumed
    }

    fn upgrade(&mut self, index: usize, request: &[u8]) {
        let request = String::from_utf8_lossy(request);
        let (_, rest) = request.split_once("room=").unwrap_or_default();
        let name = rest.split(['&', ' ']).next().unwrap_or_default();
        let next = self.rooms.len();
        let room = *self.room_by_name.entry(name.to_owned()).or_insert(next);
        if room == next {
            self.rooms.push(Room::default());
        }
        if let Some(peer) = &mut self.peers[index] {
            peer.room = room;
            peer.is_open = true;
            peer.heard = self.rooms[room].enter(index);
        }
        self.write(index, RESPONSE);
    }

    fn count(&mut self, index: usize, message: &[u8], wire: &mut Vec<u8>) {
        let Some(peer) = &mut self.peers[index] else { return };
        if message.get(RAW_PAYLOAD_AT) == Some(&COUNT_REQUEST) {
            let count = std::mem::take(&mut peer.count).to_string();
            text_frame(count.as_bytes(), wire);
        } else {
            peer.count += 1;
        }
    }

    fn write(&mut self, index: usize, wire: &[u8]) {
        if let Some(peer) = &mut self.peers[index] {
            let _ = peer.socket.write(wire);
        }
    }
}
