//! A transport that its session has parted with, until the peer was told or time is up.

use std::io::IoSlice;
use std::time::Instant;

use wspulse_core::CloseFrame;
use wspulse_core::outbound::{ControlLane, Remainder};

use crate::client::Attempt;
use crate::coverage::Scene;
use crate::env::Env;
use crate::socket::Socket;

pub(crate) struct Leaving {
    pub(crate) socket: Socket,
    pub(crate) attempt: Attempt,
    lane: ControlLane,
    remainder: Option<Remainder>,
    remainder_written: usize,
    /// The frame that the remainder completes.
    completes: Option<u32>,
    close_payload: Vec<u8>,
    pub(crate) deadline: Instant,
}

impl Leaving {
    pub(crate) fn new(
        socket: Socket,
        attempt: Attempt,
        mut lane: ControlLane,
        remainder: Option<Remainder>,
        completes: Option<u32>,
        close: Option<CloseFrame>,
        deadline: Instant,
    ) -> Self {
        assert!(remainder.is_none() || !lane.is_started(), "one half-written frame at most");
        let close_payload = close.as_ref().map_or_else(Vec::new, |frame| {
            let mut payload = frame.code().as_u16().to_be_bytes().to_vec();
            payload.extend_from_slice(frame.reason().as_bytes());
            payload
        });
        lane.queue_close(close);
        Self {
            socket,
            attempt,
            lane,
            remainder,
            remainder_written: 0,
            completes,
            close_payload,
            deadline,
        }
    }

    /// Writes what the socket takes. Tells whether the transport is gone.
    pub(crate) fn see_off(&mut self, env: &mut Env) -> bool {
        if let Some(remainder) = &self.remainder {
            let rest = &remainder.bytes()[self.remainder_written..];
            let (taken, offered) = self.socket.write(&[IoSlice::new(rest)], env);
            self.remainder_written += taken;
            if taken == offered {
                Scene::RemainderFinished.seen();
                self.remainder = None;
                assert_eq!(self.socket.peer.take_arrived(), Vec::from_iter(self.completes));
            }
        }
        while self.remainder.is_none() && !self.lane.is_empty() {
            self.lane.stage();
            let (taken, offered) = self.socket.write(&[IoSlice::new(self.lane.bytes())], env);
            assert_eq!(self.lane.advance(taken), 0);
            if taken < offered {
                break;
            }
        }
        let told = self.lane.is_empty();
        if told {
            assert!(self.socket.peer.is_between_frames());
            assert_eq!(self.socket.peer.close.as_ref(), Some(&self.close_payload));
        }
        assert!(self.socket.peer.take_arrived().is_empty(), "no other frame");
        told || env.now >= self.deadline
    }
}
