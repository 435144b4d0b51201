//! Clients that a script in Node runs, told what to do over its standard streams.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::{Kind, Phase, Running, Seat};
use crate::ledger::Ledger;
use crate::schedule::Stamp;

/// A script that obeys `node/stage.js`.
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) speaks_protocol: bool,
}

/// How long the script may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Clients of a script, as it is told of them.
pub(super) struct Troupe {
    /// The first line that it is told.
    pub(super) cast: String,
    ledgers: HashMap<usize, Arc<Ledger>>,
}

#[derive(Serialize)]
struct Cast {
    pause_ms: u128,
    seats: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    client: usize,
    url: String,
}

impl Kind for Script {
    fn name(&self) -> &'static str {
        self.name
    }

    fn speaks_protocol(&self) -> bool {
        self.speaks_protocol
    }

    fn run(&self, seats: Vec<Seat>) -> Running {
        let mut command = Command::new("node");
        command.arg(&self.path);
        Box::pin(run(command, seats))
    }
}

impl Troupe {
    pub(super) fn new(seats: &[Seat]) -> Result<Self, String> {
        let place = |seat: &Seat| Place { client: seat.client, url: seat.url() };
        let pause_ms = seats.first().map_or(0, |seat| seat.pause.as_millis());
        let cast = Cast { pause_ms, seats: seats.iter().map(place).collect() };
        let cast = serde_json::to_string(&cast).map_err(|error| error.to_string())?;
        let ledgers = seats.iter().map(|seat| (seat.client, Arc::clone(&seat.ledger))).collect();
        Ok(Self { cast, ledgers })
    }

    /// Puts into a ledger what the script has said.
    pub(super) fn note(&self, line: &str) -> Result<(), String> {
        self.note_words(line).ok_or_else(|| format!("the script says {line:?}"))
    }

    fn note_words(&self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let what = words.next()?;
        let ledger = self.ledgers.get(&words.next()?.parse().ok()?)?;
        match what {
            "o" => ledger.opened(),
            "c" => ledger.closed(),
            "n" => ledger.began_session(),
            "e" => ledger.ended(),
            "s" => _ = ledger.next_number(),
            "g" => {
                let mut number = || words.next()?.parse().ok();
                ledger.got(Stamp(number()?, u8::try_from(number()?).ok()?, number()?));
            }
            _ => return None,
        }
        Some(())
    }
}

/// What a script is told in a phase.
pub(super) const fn order(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Join => None,
        Phase::Talk => Some("talk"),
        Phase::Listen => Some("listen"),
        Phase::Leave => Some("leave"),
    }
}

async fn run(mut command: Command, seats: Vec<Seat>) -> Result<(), String> {
    let told = |error: std::io::Error| format!("the script: {error}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(told)?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let mut phase = seats.first().ok_or("nobody to play")?.phase.clone();
    let troupe = Troupe::new(&seats)?;
    stdin.write_all(format!("{}\n", troupe.cast).as_bytes()).await.map_err(told)?;
    let mut lines = BufReader::new(stdout).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line.map_err(told)? {
                Some(line) => troupe.note(&line)?,
                None => return Err("the script has ended".to_owned()),
            },
            changed = phase.changed() => {
                changed.map_err(|error| error.to_string())?;
                let now = *phase.borrow_and_update();
                if let Some(order) = order(now) {
                    stdin.write_all(format!("{order}\n").as_bytes()).await.map_err(told)?;
                }
                if now == Phase::Leave {
                    break;
                }
            }
        }
    }
    let ended = timeout(PATIENCE, child.wait()).await;
    ended.map_err(|_| "the script does not end".to_owned())?.map_err(told)?;
    Ok(())
}
