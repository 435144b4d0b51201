//! Frames through the outbound queues of two connections that share broadcasts.

use std::io::IoSlice;

use wspulse_core::EncodedFrame;
use wspulse_core::outbound::{
    Batch, ControlLane, JoinedFrames, OutboundQueue, OverflowPolicy, QueueFull, Remainder,
    SLICES_MAX, advance, gather,
};

use crate::dice::Dice;
use crate::env::Env;
use crate::ledger::{Capacity, Ledger};
use crate::marks::{Marks, Placed};
use crate::socket::{Socket, Takes, data_frame, number_in};

/// Pushes, writes in part, loses transports and discards, as the script says. Each peer must get
/// whole frames in their order, and each queue's account must add up, as its ledger has it.
///
/// # Panics
///
/// If the library has a fault.
pub fn outbound_queue(script: &[u8]) {
    let mut env = Env::new(Dice::new(script));
    let mut room = Room::new(&mut env);
    for _ in 0..script.len().min(OPERATIONS_MAX) {
        room.befall(&mut env);
    }
    for member in &mut room.members {
        member.socket.takes = Takes::Everything;
        while !(member.queue.is_empty() && member.lane.is_empty()) {
            member.write(None, &mut env);
        }
        assert!(member.ledger.is_empty(), "all that was accepted has a fate");
        assert!(member.socket.peer.is_between_frames());
    }
}

/// As many as a script can choose.
const OPERATIONS_MAX: usize = 1_000;

/// Few bytes, so that joins end in the middle of batches.
const JOINED_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, Copy)]
enum Operation {
    Send,
    Broadcast,
    Write,
    WriteJoined,
    WriteWhileBroadcasting,
    Ping,
    Pong,
    Lose,
    Discard,
}

const OPERATIONS: [Operation; 12] = [
    Operation::Send,
    Operation::Broadcast,
    Operation::Broadcast,
    Operation::Write,
    Operation::Write,
    Operation::WriteJoined,
    Operation::WriteJoined,
    Operation::WriteWhileBroadcasting,
    Operation::Ping,
    Operation::Pong,
    Operation::Lose,
    Operation::Discard,
];

struct Room {
    members: [Member; 2],
    joined: JoinedFrames,
    /// The number of the next frame, whoever gets it.
    next_frame: u32,
}

/// A frame, with what was put into it.
struct Numbered {
    number: u32,
    frame: EncodedFrame,
    marks: Marks,
}

struct Member {
    queue: OutboundQueue,
    ledger: Ledger,
    /// The numbers of the frames that this member accepted, by their number in its ledger.
    accepted: Vec<u32>,
    lane: ControlLane,
    socket: Socket,
    pings_received: u32,
}

impl Room {
    fn new(env: &mut Env) -> Self {
        let members = [(); 2].map(|()| {
            let bytes = if env.chance(50) { usize::MAX } else { 1 + env.up_to(300) };
            Member::new(Capacity { frames: 1 + env.up_to(20), bytes })
        });
        Self { members, joined: JoinedFrames::default(), next_frame: 0 }
    }

    fn befall(&mut self, env: &mut Env) {
        let index = env.up_to(1);
        match env.pick(&OPERATIONS) {
            Operation::Send => {
                let frame = self.frame(env);
                self.members[index].push(&frame, OverflowPolicy::RejectNewest);
            }
            Operation::Broadcast => {
                let frame = self.frame(env);
                for member in &mut self.members {
                    member.push(&frame, OverflowPolicy::DropOldest);
                }
            }
            Operation::Write => {
                self.members[index].any_takes(env);
                self.members[index].write(None, env);
            }
            Operation::WriteJoined => {
                for member in &mut self.members {
                    member.any_takes(env);
                    member.write(Some(&mut self.joined), env);
                }
            }
            Operation::WriteWhileBroadcasting => {
                let frame = self.frame(env);
                let member = &mut self.members[index];
                member.any_takes(env);
                let batch = member.begin_write();
                member.push(&frame, env.pick(&POLICIES));
                member.finish_write(batch, None, env);
            }
            Operation::Ping => {
                self.members[index].lane.queue_ping(wspulse_core::outbound::PingPayload::Empty);
            }
            Operation::Pong => self.members[index].answer_ping(),
            Operation::Lose => self.members[index].lose_transport(env),
            Operation::Discard => self.members[index].discard(),
        }
    }

    fn frame(&mut self, env: &mut Env) -> Numbered {
        let number = self.next_frame;
        self.next_frame += 1;
        let filling_bytes = if env.chance(10) { 110 + env.up_to(20) } else { env.up_to(8) };
        let marks = Marks::any(env);
        Numbered { number, frame: data_frame(number, filling_bytes, marks), marks }
    }
}

const POLICIES: [OverflowPolicy; 2] = [OverflowPolicy::DropOldest, OverflowPolicy::RejectNewest];

impl Member {
    fn new(capacity: Capacity) -> Self {
        Self {
            queue: OutboundQueue::new(capacity.frames).with_capacity_bytes(capacity.bytes),
            ledger: Ledger::new(capacity, None),
            accepted: Vec::new(),
            lane: ControlLane::default(),
            socket: Socket::new(Takes::Everything),
            pings_received: 0,
        }
    }

    fn any_takes(&mut self, env: &mut Env) {
        self.socket.takes = env.pick(&[Takes::Everything, Takes::AnyPart, Takes::Nothing]);
    }

    fn push(&mut self, frame: &Numbered, policy: OverflowPolicy) {
        let Numbered { number, frame, marks } = frame;
        let was_empty = self.queue.is_empty();
        let bytes = frame.wire().len();
        let policy = if marks.is_volatile { OverflowPolicy::GiveWay } else { policy };
        let pushed = if marks.is_plain() {
            self.queue.push(frame.clone(), policy).map(|pushed| {
                assert_eq!(pushed.was_empty, was_empty);
                Placed { evicted: pushed.evicted, conflated: false }
            })
        } else {
            let pushed = self.queue.push_marked(frame.clone(), policy);
            pushed.map(|it| Placed { evicted: it.evicted, conflated: it.conflated })
        };
        let pushed = pushed.map_err(|full| matches!(full, QueueFull::Bytes { .. }));
        assert_eq!(pushed, self.ledger.push(policy, bytes, *marks), "evictions, refusals");
        if pushed.is_ok() {
            self.accepted.push(*number);
        }
        self.ledger.check(self.queue.stats());
    }

    fn write(&mut self, joined: Option<&mut JoinedFrames>, env: &mut Env) {
        let batch = self.begin_write();
        self.finish_write(batch, joined, env);
    }

    fn begin_write(&mut self) -> Batch {
        let batch = self.queue.take();
        self.ledger.begin_write(batch.len());
        batch
    }

    fn finish_write(&mut self, mut batch: Batch, joined: Option<&mut JoinedFrames>, env: &mut Env) {
        let mut joined = joined.filter(|_| self.lane.is_empty());
        let run = joined.as_mut().and_then(|joined| joined.join(&batch, JOINED_BYTES_MAX));
        let (taken, run_bytes) = if let Some(bytes) = run {
            assert!(bytes.len() <= JOINED_BYTES_MAX);
            (self.socket.write(&[IoSlice::new(bytes)], env).0, Some(bytes.len()))
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let filled = gather(&mut self.lane, &batch, &mut slices);
            (self.socket.write(&slices[..filled], env).0, None)
        };
        let mut sent = Vec::new();
        if let Some(joined) = joined.filter(|_| run_bytes == Some(taken)) {
            sent.extend(batch.frames().map(|frame| number_in(frame.payload())));
            sent.truncate(joined.advance(&mut batch).len());
        } else {
            let on_sent = |frame: &EncodedFrame| sent.push(number_in(frame.payload()));
            advance(&mut self.lane, &mut batch, taken, on_sent);
        }
        let arrived = self.socket.peer.take_arrived();
        assert_eq!(sent, arrived, "sent is what the peer has whole");
        for number in arrived {
            self.ledger.arrived(self.number_in_ledger(number));
        }
        let begun = self.socket.peer.begun_data_bytes() > 0;
        assert!(!(begun && self.lane.is_started()), "one half-written frame at most");
        let returned = self.queue.give_back(batch);
        let gone = (returned.evicted as usize, returned.conflated as usize);
        assert_eq!(gone, self.ledger.end_write(begun), "who goes after a write");
        self.ledger.check(self.queue.stats());
    }

    fn number_in_ledger(&self, frame: u32) -> u32 {
        let index = self.accepted.binary_search(&frame).expect("a frame that was accepted");
        u32::try_from(index).expect("few frames")
    }

    fn answer_ping(&mut self) {
        self.pings_received += 1;
        self.lane.queue_pong(&self.pings_received.to_be_bytes());
    }

    /// The next transport gets a half-written frame anew, and the old one its rest.
    fn lose_transport(&mut self, env: &mut Env) {
        let is_begun = self.socket.peer.begun_data_bytes() > 0;
        let remainder = self.queue.rewind();
        let completes = self.ledger.rewind().map(|(number, _)| number);
        assert_eq!(remainder.is_some(), is_begun, "the rest of what was begun");
        if let (Some(remainder), Some(completes)) = (remainder, completes) {
            self.finish(&remainder, completes, env);
        }
        if env.chance(50) {
            assert_eq!(self.queue.drop_volatile(), self.ledger.drop_volatile());
        }
        self.lane = ControlLane::default();
        self.pings_received = 0;
        self.socket = Socket::new(Takes::Everything);
        self.ledger.check(self.queue.stats());
    }

    fn finish(&mut self, remainder: &Remainder, completes: u32, env: &mut Env) {
        self.socket.takes = Takes::Everything;
        self.socket.write(&[IoSlice::new(remainder.bytes())], env);
        assert_eq!(self.socket.peer.take_arrived(), [self.accepted[completes as usize]]);
        assert!(self.socket.peer.is_between_frames());
    }

    /// The end of a session, whose transport is gone by then.
    fn discard(&mut self) {
        if self.socket.peer.is_between_frames() {
            assert_eq!(self.queue.discard(), self.ledger.discard());
            self.ledger.check(self.queue.stats());
        }
    }
}
