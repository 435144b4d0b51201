//! A node talks to its rooms at a pace.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wspulse::{Frame, Server};

use super::appending::{Failed, append_all};
use crate::cluster::handled::Notes;
use crate::cluster::order::{Payload, SAID, Talk, now_us, room};

/// How often it speaks.
const TICK: Duration = Duration::from_millis(2);

/// The most that it says at once: what a node that stood still would have said meanwhile, it never says.
const AT_ONCE_MAX: u64 = 400;

/// What goes on, if anything.
#[derive(Debug, Default)]
pub(super) struct Talking {
    task: Option<JoinHandle<Result<Vec<u64>, Failed>>>,
    /// Where it notes what it has appended, if its rooms have a log.
    notes: Option<Arc<Notes>>,
    is_over: CancellationToken,
    /// How many frames were said to each room before.
    before: Vec<u64>,
    said: Arc<AtomicU64>,
}

impl Talking {
    /// Rooms have a log if there is a file to note in.
    pub(super) fn new(appended: Option<&Path>) -> io::Result<Self> {
        let notes = appended.map(Notes::begin).transpose()?.map(Arc::new);
        Ok(Self { notes, ..Self::default() })
    }

    pub(super) fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&mut self, server: &Server, mark: u32, talk: Talk) {
        self.is_over = CancellationToken::new();
        let mut numbers = std::mem::take(&mut self.before);
        numbers.resize(numbers.len().max(talk.rooms as usize), 0);
        let (server, is_over, said) =
            (server.clone(), self.is_over.clone(), Arc::clone(&self.said));
        if let Some(notes) = &self.notes {
            let told = (said, Arc::clone(notes));
            self.task = Some(tokio::spawn(append_all(server, mark, talk, numbers, told, is_over)));
            return;
        }
        self.task = Some(tokio::spawn(async move {
            let all = speak(&server, mark, talk, &mut numbers, &said);
            let _ = is_over.run_until_cancelled(all).await;
            Ok(numbers)
        }));
    }

    /// Says one more to each room, and tells how many that were: so even a member that came a moment ago
    /// has something to hear. Entries of logs have nobody who begins in the middle.
    pub(super) async fn hush(
        &mut self,
        server: &Server,
        mark: u32,
    ) -> Result<Vec<u64>, Box<dyn Error>> {
        self.end().await?;
        if self.notes.is_none() {
            let mut numbers = std::mem::take(&mut self.before);
            for (place, number) in (0..).zip(&mut numbers) {
                say(server, &room(place), (mark, number), "", &self.said);
            }
            self.before = numbers;
        }
        Ok(self.before.clone())
    }

    /// How many frames were said to each room so far.
    pub(super) async fn end(&mut self) -> Result<Vec<u64>, Box<dyn Error>> {
        self.is_over.cancel();
        if let Some(task) = self.task.take() {
            self.before = task.await?.map_err(|failed| failed as Box<dyn Error>)?;
        }
        Ok(self.before.clone())
    }
}

async fn speak(server: &Server, mark: u32, talk: Talk, numbers: &mut [u64], said: &AtomicU64) {
    let pad = "x".repeat(talk.pad_bytes);
    let rooms: Vec<_> = (0..talk.rooms).map(room).collect();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (begun_at, mut due_before) = (Instant::now(), 0);
    let mut turn = 0;
    loop {
        ticks.tick().await;
        let due = begun_at.elapsed().as_micros() * u128::from(talk.frames_per_second) / 1_000_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        for _ in 0..(due - due_before).min(AT_ONCE_MAX) {
            let place = turn % rooms.len();
            turn += 1;
            say(server, &rooms[place], (mark, &mut numbers[place]), &pad, said);
        }
        due_before = due;
    }
}

/// Nobody refuses it: it is counted once it is said, and both without a pause between.
fn say(server: &Server, room: &str, (mark, number): (u32, &mut u64), pad: &str, said: &AtomicU64) {
    let frame = Frame::new(SAID).json(&Payload(mark, *number + 1, now_us(), pad));
    if server.broadcast(room, frame.expect("numbers are JSON")).is_ok() {
        *number += 1;
        said.fetch_add(1, Ordering::Relaxed);
    }
}
