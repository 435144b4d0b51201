//! A node appends to the logs of its rooms at a pace.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use wspulse::cluster::AppendId;
use wspulse::{AppendError, Frame, Server};

use crate::cluster::handled::Notes;
use crate::cluster::order::{Payload, SAID, Talk, now_us, room};

/// How many append at a time: each waits for its own, and has rooms of its own.
const WRITERS: u32 = 16;

/// How long it waits before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why it has ended before it was to.
pub(super) type Failed = Box<dyn Error + Send + Sync>;

/// Until it is over, and returns how much was appended to each room.
pub(super) async fn append_all(
    server: Server,
    mark: u32,
    talk: Talk,
    numbers: Vec<u64>,
    (said, notes): (Arc<AtomicU64>, Arc<Notes>),
    is_over: CancellationToken,
) -> Result<Vec<u64>, Failed> {
    let mut writers = JoinSet::new();
    for first in 0..WRITERS.min(talk.rooms) {
        let (server, notes, said) = (server.clone(), Arc::clone(&notes), Arc::clone(&said));
        let (is_over, mut numbers) = (is_over.clone(), numbers.clone());
        let pace = WRITERS.min(talk.rooms) * 1_000_000 / talk.frames_per_second.max(1);
        writers.spawn(async move {
            let own = (first..talk.rooms).step_by(WRITERS as usize);
            let mut due = Instant::now();
            for place in own.clone().cycle() {
                due += Duration::from_micros(u64::from(pace));
                if is_over.run_until_cancelled(sleep_until(due)).await.is_none() {
                    break;
                }
                let number = numbers[place as usize] + 1;
                append(&server, place, mark, number, talk.pad_bytes).await;
                numbers[place as usize] = number;
                notes.note(place, u32::try_from(number).expect("not so many"))?;
                said.fetch_add(1, Ordering::Relaxed);
                // What it could not append meanwhile it never will.
                due = due.max(Instant::now() - Duration::from_millis(100));
            }
            Ok::<_, std::io::Error>(own.map(|place| (place, numbers[place as usize])).collect())
        });
    }
    let mut all = numbers;
    while let Some(done) = writers.join_next().await {
        let own: Vec<(u32, u64)> = done??;
        for (place, number) in own {
            all[place as usize] = number;
        }
    }
    Ok(all)
}

/// Until it is known to be there, with one id, so that it is there once.
async fn append(server: &Server, place: u32, mark: u32, number: u64, pad_bytes: usize) {
    let (to, id) = (server.room(room(place)), AppendId::random());
    let pad = "x".repeat(pad_bytes);
    loop {
        let frame = Frame::new(SAID).json(&Payload(mark, number, now_us(), &pad));
        match to.append(frame.expect("numbers are JSON")).with_id(id).await {
            Ok(_) => return,
            Err(AppendError::Unavailable { .. } | AppendError::Unknown { .. }) => {
                sleep(PAUSE).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
