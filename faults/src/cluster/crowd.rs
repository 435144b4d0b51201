//! Clients of a cluster that have sessions, in a process of their own, which is told what they do: they
//! hear what nodes say, send numbered frames, and go from node to node.

mod cut;
mod doors;
mod hearing;
mod order;
mod traveller;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub(super) use order::{Coming, Crowd, Errand, Own, Sending, Speech, Story};

use super::verdict::Sum;
use hearing::Speaker;
use traveller::{Patience, Traveller, World};

/// How often some of them send.
const TICK: Duration = Duration::from_millis(10);

/// How many set out at a time, and how long it takes until the next do.
const AT_ONCE: usize = 64;
const APART: Duration = Duration::from_millis(10);

/// Does what it is told until standard input ends.
///
/// # Errors
///
/// If it is told something that it does not understand.
pub async fn run() -> Result<(), Box<dyn Error>> {
    let world = Arc::<World>::default();
    let mut travellers = Arc::new(Vec::new());
    let mut sending: Option<JoinHandle<()>> = None;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line)? {
            Errand::Doors(doors) => {
                world.doors.set(doors);
                answer(&())?;
            }
            Errand::Come(coming) => {
                travellers = Arc::new(set_out(coming, &world).await?);
                answer(&())?;
            }
            Errand::Send(pace) => {
                sending = Some(tokio::spawn(send(Arc::clone(&travellers), pace)));
                answer(&())?;
            }
            Errand::Hush => {
                if let Some(sending) = sending.take() {
                    sending.abort();
                    let _ = sending.await;
                }
                travellers.iter().for_each(Traveller::post_last);
                answer(&())?;
            }
            Errand::Cut => {
                world.scissors.cut();
                answer(&())?;
            }
            Errand::Look => answer(&look(&travellers, world.doors.places()))?,
            Errand::Hear(speeches) => answer(&hear(&travellers, &speeches))?,
            Errand::Tell => answer(&tell(&travellers))?,
        }
    }
    Ok(())
}

fn answer(answer: &impl Serialize) -> Result<(), Box<dyn Error>> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

async fn set_out(coming: Coming, world: &Arc<World>) -> io::Result<Vec<Traveller>> {
    let mut travellers = Vec::new();
    let patience = Patience {
        silence: Duration::from_millis(coming.silence_ms),
        connect: Duration::from_millis(coming.connect_ms),
    };
    for number in coming.first..coming.first + coming.clients {
        let room = number / coming.members;
        let place = (room + number % coming.members) as usize % world.doors.places();
        let traveller = Traveller::set_out(number, room, place, patience, world);
        travellers.push(traveller.map_err(io::Error::other)?);
        if travellers.len().is_multiple_of(AT_ONCE) {
            tokio::time::sleep(APART).await;
        }
    }
    Ok(travellers)
}

/// One after the other, at a pace.
async fn send(travellers: Arc<Vec<Traveller>>, pace: Sending) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (begun_at, mut before) = (Instant::now(), 0);
    let mut turn = 0;
    loop {
        ticks.tick().await;
        let due = begun_at.elapsed().as_micros() * u128::from(pace.frames_per_second) / 1_000_000;
        // None twice at a time.
        for _ in 0..(due - before).min(travellers.len() as u128) {
            travellers[turn % travellers.len()].post();
            turn += 1;
        }
        before = due;
    }
}

fn look(travellers: &[Traveller], places: usize) -> Crowd {
    let mut crowd = Crowd { at: vec![0; places], ..Crowd::default() };
    for traveller in travellers {
        let life = traveller.life.lock();
        if life.is_here {
            crowd.here += 1;
            crowd.at[life.place] += 1;
        }
        crowd.resumed += life.resumed;
        crowd.anew += life.anew;
        crowd.waiting += u32::from(life.is_waiting);
        crowd.failed.extend(life.failed.clone());
    }
    crowd
}

fn hear(travellers: &[Traveller], speeches: &[Speech]) -> Sum {
    let mut sum = Sum::default();
    for traveller in travellers {
        let room = traveller.room as usize;
        let speakers = speeches.iter().map(|speech| {
            let said = speech.said.as_ref();
            let said = said.map(|said| said.get(room).copied().unwrap_or_default());
            Speaker { mark: speech.mark, said, goes_on: speech.goes_on }
        });
        let life = traveller.life.lock();
        // Who has ended fails the case by that, and hears nothing of what is said since.
        if life.failed.is_none() {
            life.hearing.add_to(&mut sum, speakers);
        }
    }
    sum
}

fn tell(travellers: &[Traveller]) -> Story {
    let mut story = Story::default();
    for traveller in travellers {
        let life = traveller.life.lock();
        story.away_ms.extend(&life.away_ms);
        story.own.push(life.own.clone());
    }
    story
}
