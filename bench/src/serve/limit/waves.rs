//! What is said in rooms goes out in waves of sends, with a look at the network between two of them.
//!
//! A room keeps what some member has not had yet as one piece, and each member knows how far it is:
//! whatever waits for it goes out in one send, without being copied.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};

use super::Peer;

/// So many sends, then a look at the network: what has arrived meanwhile shares those yet to come.
pub(super) const SENDS: usize = 32;

/// Whoever is further behind is cut off.
const BEHIND_BYTES_MAX: usize = 1024 * 1024;

#[derive(Default)]
pub(super) struct Room {
    /// In the order in which they came, which is that of their sockets in the kernel's memory.
    pub(super) members: Vec<usize>,
    said: Vec<u8>,
    /// How much was said before that.
    said_before: u64,
    /// Whose turn is next, as a place in `members`.
    next: usize,
    /// How many members have a turn before all have had what was said.
    turns: usize,
    /// How many have a full socket.
    full: usize,
}

/// The rooms in which somebody has a turn.
#[derive(Default)]
pub(super) struct Waves {
    rooms: VecDeque<usize>,
    /// How many sends in a row were the first room's.
    in_a_row: usize,
}

impl Waves {
    pub(super) fn say(&mut self, rooms: &mut [Room], index: usize, wire: &[u8]) {
        let room = &mut rooms[index];
        room.said.extend_from_slice(wire);
        if room.turns == 0 && !room.members.is_empty() {
            self.rooms.push_back(index);
        }
        room.turns = room.members.len();
    }

    pub(super) fn is_over(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Sends one wave. A room that has had a whole one to itself lets the others go first.
    pub(super) fn send(&mut self, rooms: &mut [Room], peers: &mut [Option<Peer>]) {
        let mut sends = 0;
        while sends < SENDS
            && let Some(&index) = self.rooms.front()
        {
            let room = &mut rooms[index];
            while room.turns > 0 && sends < SENDS {
                let sent = usize::from(room.take_turn(peers));
                sends += sent;
                self.in_a_row += sent;
            }
            if room.turns == 0 {
                room.forget(peers);
                self.rooms.pop_front();
                self.in_a_row = 0;
            } else if self.in_a_row >= SENDS {
                self.rooms.rotate_left(1);
                self.in_a_row = 0;
            }
        }
    }
}

impl Room {
    /// Tells from where on the new member hears what is said.
    pub(super) fn enter(&mut self, member: usize) -> u64 {
        self.members.push(member);
        self.said_before + self.said.len() as u64
    }

    pub(super) fn leave(&mut self, member: usize, peer: &Peer) {
        let Some(place) = self.members.iter().position(|other| *other == member) else { return };
        self.members.remove(place);
        if place < self.next {
            self.next -= 1;
        }
        self.turns = self.turns.min(self.members.len());
        self.full -= usize::from(peer.is_full);
    }

    /// A member's socket takes something again.
    pub(super) fn catch_up(&mut self, peer: &mut Peer) {
        if peer.is_full {
            peer.is_full = false;
            self.full -= 1;
            self.send_to(peer);
        }
    }

    /// Whether that took a send.
    fn take_turn(&mut self, peers: &mut [Option<Peer>]) -> bool {
        if self.next >= self.members.len() {
            self.next = 0;
        }
        let member = self.members[self.next];
        self.next += 1;
        self.turns -= 1;
        match &mut peers[member] {
            Some(peer) if !peer.is_full => self.send_to(peer),
            Some(_) | None => false,
        }
    }

    /// Whether there was anything to send.
    fn send_to(&mut self, peer: &mut Peer) -> bool {
        let had = usize::try_from(peer.heard - self.said_before).unwrap_or(usize::MAX);
        let rest = &self.said[had..];
        if rest.is_empty() {
            return false;
        }
        let taken = match peer.socket.write(rest) {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            // Its end is an event of its own.
            Err(_) => rest.len(),
        };
        peer.heard += taken as u64;
        if taken < rest.len() {
            peer.is_full = true;
            self.full += 1;
        }
        true
    }

    /// Lets go of what all have had, and of those that are too far behind.
    fn forget(&mut self, peers: &mut [Option<Peer>]) {
        if self.full > 0 {
            if self.said.len() <= BEHIND_BYTES_MAX {
                return;
            }
            self.members.retain(|&member| {
                let is_behind = peers[member].as_ref().is_none_or(|peer| peer.is_full);
                if is_behind {
                    peers[member] = None;
                }
                !is_behind
            });
            (self.full, self.next) = (0, 0);
        }
        self.said_before += self.said.len() as u64;
        self.said.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    /// Rooms whose members' other ends a test reads.
    struct House {
        rooms: Vec<Room>,
        waves: Waves,
        peers: Vec<Option<Peer>>,
        clients: Vec<TcpStream>,
    }

    impl House {
        fn with_members(members: &[usize]) -> Self {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            let mut it = Self {
                rooms: Vec::new(),
                waves: Waves::default(),
                peers: Vec::new(),
                clients: Vec::new(),
            };
            for (index, members) in members.iter().enumerate() {
                it.rooms.push(Room::default());
                for _ in 0..*members {
                    let client = TcpStream::connect(address).expect("it listens");
                    client.set_nonblocking(true).expect("a socket");
                    let (socket, _) = listener.accept().expect("a client waits");
                    socket.set_nonblocking(true).expect("a socket");
                    let mut peer = Peer::new(mio::net::TcpStream::from_std(socket));
                    peer.room = index;
                    peer.heard = it.rooms[index].enter(it.peers.len());
                    it.peers.push(Some(peer));
                    it.clients.push(client);
                }
            }
            it
        }

        fn say(&mut self, room: usize, wire: &[u8]) {
            self.waves.say(&mut self.rooms, room, wire);
        }

        fn send(&mut self) {
            self.waves.send(&mut self.rooms, &mut self.peers);
        }

        fn got(&mut self, client: usize) -> Vec<u8> {
            let mut got = vec![0; 4096];
            let read = self.clients[client].read(&mut got).unwrap_or(0);
            got.truncate(read);
            got
        }
    }

    #[test]
    fn a_wave_ends_after_so_many_sends() {
        let mut house = House::with_members(&[SENDS + 1]);
        house.say(0, b"a");

        house.send();
        assert_eq!((house.got(SENDS - 1), house.got(SENDS)), (b"a".to_vec(), Vec::new()));
        assert!(!house.waves.is_over());

        house.send();
        assert_eq!(house.got(SENDS), b"a");
        assert!(house.waves.is_over());
    }

    #[test]
    fn what_arrives_between_two_waves_shares_the_sends_that_are_left() {
        let mut house = House::with_members(&[SENDS + 1]);
        house.say(0, b"a");
        house.send();
        house.say(0, b"b");
        house.send();
        house.send();

        assert_eq!((house.got(0), house.got(SENDS)), (b"ab".to_vec(), b"ab".to_vec()));
        assert!(house.waves.is_over());
    }

    #[test]
    fn a_large_room_lets_others_go_first_after_each_wave() {
        let mut house = House::with_members(&[2 * SENDS, 1]);
        house.say(0, b"large");
        house.say(1, b"small");

        house.send();
        assert_eq!(house.got(2 * SENDS), b"");
        house.send();
        assert_eq!(house.got(2 * SENDS), b"small");
        assert_eq!(house.got(SENDS), b"large");
    }

    #[test]
    fn who_comes_later_hears_only_what_is_said_from_then_on() {
        let mut house = House::with_members(&[2]);
        house.say(0, b"before");
        let member = &mut house.peers[1];
        let (member, room) = (member.as_mut().expect("it is there"), &mut house.rooms[0]);
        room.leave(1, member);
        member.heard = room.enter(1);
        house.say(0, b"after");
        house.send();

        assert_eq!((house.got(0), house.got(1)), (b"beforeafter".to_vec(), b"after".to_vec()));
    }

    #[test]
    fn a_full_socket_gets_the_rest_later_and_one_that_stays_full_is_cut_off() {
        let mut house = House::with_members(&[2]);
        let piece = vec![b'x'; 64 * 1024];
        let mut said = 0;
        let mut buffer = vec![0; piece.len()];
        while house.peers[1].is_some() {
            assert!(said < 100 * BEHIND_BYTES_MAX, "nobody was cut off");
            house.say(0, &piece);
            said += piece.len();
            house.send();
            // The first member reads, the second one does not.
            let mut read = 0;
            while read < piece.len() {
                if let Ok(more) = house.clients[0].read(&mut buffer) {
                    read += more;
                } else {
                    let peer = house.peers[0].as_mut().expect("it reads");
                    house.rooms[0].catch_up(peer);
                }
            }
        }

        assert!(house.peers[0].is_some());
        assert_eq!(house.rooms[0].members, [0]);
        assert!(house.rooms[0].said.is_empty());
    }
}
