//! The limit: one thread, one epoll loop, frames that are forwarded as they come, all of one read in
//! one write. No sessions, no checks: what a socket does not take at once is lost.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::{announce, listen};
use crate::load::{COUNT_REQUEST, RAW_PAYLOAD_AT, text_frame, unmask_first};
use crate::subject::Mode;

struct Peer {
    socket: TcpStream,
    room: usize,
    is_open: bool,
    carry: Vec<u8>,
    count: u64,
}

const LISTENER: Token = Token(usize::MAX);

/// The load generator always sends the key of RFC 6455 §1.3; this is that section's answer.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Serves until it is killed.
pub(crate) fn serve(mode: Mode, port: u16) -> Result<(), Box<dyn Error>> {
    if matches!(mode, Mode::Moving | Mode::Audience) {
        return Err("a bare loop has no memberships to change or to compare".into());
    }
    let listener = listen(port)?;
    announce(&listener)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut limit = Limit::new(mode);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => limit.accept(&listener, &poll)?,
                Token(index) => limit.read(index),
            }
        }
    }
}

struct Limit {
    mode: Mode,
    peers: Vec<Option<Peer>>,
    room_by_name: HashMap<String, usize>,
    members: Vec<Vec<usize>>,
    scratch: Vec<u8>,
    wire: Vec<u8>,
}

impl Limit {
    fn new(mode: Mode) -> Self {
        Self {
            mode,
            peers: Vec::new(),
            room_by_name: HashMap::new(),
            members: Vec::new(),
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
            poll.registry().register(&mut socket, Token(self.peers.len()), Interest::READABLE)?;
            let carry = Vec::new();
            self.peers.push(Some(Peer { socket, room: 0, is_open: false, carry, count: 0 }));
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
                    let room = peer.room;
                    self.peers[index] = None;
                    if let Some(members) = self.members.get_mut(room) {
                        members.retain(|member| *member != index);
                    }
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
            let message = &input[consumed..][payload.clone()];
            consumed += payload.end;
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
                for member in &self.members[room] {
                    if let Some(peer) = &mut self.peers[*member] {
                        let _ = peer.socket.write(&wire);
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
        let next = self.members.len();
        let room = *self.room_by_name.entry(name.to_owned()).or_insert(next);
        if room == next {
            self.members.push(Vec::new());
        }
        self.members[room].push(index);
        if let Some(peer) = &mut self.peers[index] {
            peer.room = room;
            peer.is_open = true;
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
