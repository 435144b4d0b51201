//! A broadcast that goes compressed to the members of one room, by the size of its messages.

use std::error::Error;
use std::time::{Duration, Instant};

use super::content::Content;
use super::flight::Flight;
use super::stage::{STEP_WITHIN, Stage, Stopwatch};
use super::{Effort, Field, Outcome, Scenario, column, cost_columns, headline};
use crate::load::{Fleet, LoadError};
use crate::report::{Better, COMPRESSED, Unit, WIRE_BYTES};
use crate::subject::{Mode, Subject};

const MEMBERS: usize = 1000;

/// Of so many members one inflates all that it gets, and looks whether it is what was said.
const INFLATED_ONE_IN: usize = 250;

/// How many bytes are under way to a member, if that is more than one message.
const WINDOW_BYTES: usize = 64 * 1024;
const WINDOW_MAX: usize = 16;

pub(super) fn scenario(content: Content, message_bytes: usize) -> Scenario {
    let window = (WINDOW_BYTES / message_bytes).clamp(1, WINDOW_MAX);
    let mut columns = vec![headline("rate", "deliveries", Unit::PerSecond, Better::Higher)];
    let mut costs = cost_columns("delivery");
    columns.push(costs.remove(0));
    columns.push(column(WIRE_BYTES, "bytes per delivery", Unit::Bytes, Better::Lower));
    columns.push(column("messages", "messages", Unit::PerSecond, Better::Higher));
    columns.extend(costs);
    Scenario {
        name: match content {
            Content::Talk => format!("{COMPRESSED}{message_bytes}"),
            Content::Positions => format!("{COMPRESSED}positions-{message_bytes}"),
        },
        title: format!("Compressed fan-out, {message_bytes} bytes of JSON: {}", content.what()),
        what: format!(
            "One of {MEMBERS} members publishes JSON of {message_bytes} bytes to all of them, \
             {window} under way, no two alike. Clients offer permessage-deflate to those servers that are to compress, and \
             say what they publish as it is. Bytes are those that clients read, headers included; \
             one client of {INFLATED_ONE_IN} inflates each message and compares it with what was \
             said."
        ),
        columns,
        field: Field::Compressing,
        run: Box::new(move |subject, effort| {
            run(subject, effort, &content.messages(message_bytes), window)
        }),
    }
}

fn run(
    subject: &Subject,
    effort: &Effort,
    messages: &[Vec<u8>],
    window: usize,
) -> Result<Outcome, Box<dyn Error>> {
    let mut stage = Stage::with_rooms(subject, Mode::Room, 1, MEMBERS)?;
    stage.fleet.inflate_one_in(INFLATED_ONE_IN);
    let framed: Vec<_> = messages.iter().map(|message| Fleet::framed(message)).collect();
    let mut flight = Flight::new(MEMBERS);
    let mut published = 0;
    let mut inflated = Inflated::new(messages);
    let warm = Instant::now() + effort.warm_up;
    let mut begun: Option<Begun> = None;
    let mut progressed_at = Instant::now();
    loop {
        while flight.under_way() < window {
            flight.publish(Instant::now());
            stage.fleet.write(0, &framed[published % framed.len()])?;
            published += 1;
        }
        let before = flight.deliveries;
        stage.fleet.turn(Duration::from_millis(100), &mut |client, got| {
            inflated.compare(client, got);
            flight.deliver(client, Instant::now);
        })?;
        if flight.deliveries > before {
            progressed_at = Instant::now();
        } else if progressed_at.elapsed() > STEP_WITHIN {
            let what = format!("the next delivery after {before}");
            return Err(LoadError::Late { what, within: STEP_WITHIN }.into());
        }
        match &begun {
            None if Instant::now() > warm => {
                begun = Some(Begun {
                    watch: stage.stopwatch()?,
                    deliveries: flight.deliveries,
                    completed: flight.completed,
                    bytes: stage.fleet.message_bytes(),
                });
            }
            // A message that takes long is seen to its end.
            Some(begun)
                if begun.watch.elapsed() >= effort.measured
                    && flight.completed > begun.completed =>
            {
                let costs = begun.watch.stop(&stage)?;
                flight.verify()?;
                inflated.verify()?;
                let deliveries = flight.deliveries - begun.deliveries;
                let bytes = stage.fleet.message_bytes() - begun.bytes;
                let outcome = Outcome::default()
                    .with("rate", costs.per_second(deliveries))
                    .with("messages", costs.per_second(flight.completed - begun.completed))
                    .with(WIRE_BYTES, bytes as f64 / deliveries as f64);
                return Ok(costs.fill(outcome, deliveries));
            }
            None | Some(_) => {}
        }
    }
}

/// Where the measured stretch begins.
struct Begun {
    watch: Stopwatch,
    deliveries: u64,
    completed: u64,
    bytes: u64,
}

/// What is said beside what some members have inflated.
struct Inflated<'a> {
    said: &'a [Vec<u8>],
    /// How many messages each of them has got.
    got: [usize; MEMBERS.div_ceil(INFLATED_ONE_IN)],
    differing: u64,
}

impl<'a> Inflated<'a> {
    const fn new(said: &'a [Vec<u8>]) -> Self {
        Self { said, got: [0; MEMBERS.div_ceil(INFLATED_ONE_IN)], differing: 0 }
    }

    #[inline]
    fn compare(&mut self, client: usize, message: &[u8]) {
        if client.is_multiple_of(INFLATED_ONE_IN) {
            let got = &mut self.got[client / INFLATED_ONE_IN];
            self.differing += u64::from(message != self.said[*got % self.said.len()]);
            *got += 1;
        }
    }

    fn verify(&self) -> Result<(), String> {
        match self.differing {
            0 => Ok(()),
            differing => Err(format!("{differing} messages were not what was said")),
        }
    }
}
