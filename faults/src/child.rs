//! A process of this package that is asked by its standard input and answers by its output, a line
//! of JSON each: whatever happens to its sockets, this way stays open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long it may take for an answer: long enough for a machine that does ten other things, short
/// enough for a test that hangs to be told.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Such a process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Asked {
    child: Child,
    /// None, once it was told that nothing more will come.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    port: u16,
}

impl Asked {
    /// Starts it, by a command that ends in it, and waits until it says `LISTENING port`.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub(crate) fn spawn(command: Command) -> Self {
        let mut asked = Self::spawn_without_port(command);
        let first = asked.line();
        let port = first.strip_prefix("LISTENING ").and_then(|port| port.parse().ok());
        asked.port = port.unwrap_or_else(|| panic!("{first:?} names no port"));
        asked
    }

    /// Starts one that listens nowhere.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub(crate) fn spawn_without_port(mut command: Command) -> Self {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take().expect("standard input is piped");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin: Some(stdin), lines, port: 0 }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask<T: DeserializeOwned>(&mut self, ask: &impl Serialize) -> T {
        self.say(ask);
        self.answer()
    }

    pub(crate) fn say(&mut self, ask: &impl Serialize) {
        let mut line = serde_json::to_string(ask).expect("questions are JSON");
        line.push('\n');
        let stdin = self.stdin.as_mut().expect("it is still asked");
        stdin.write_all(line.as_bytes()).expect("the server runs");
    }

    pub(crate) fn answer<T: DeserializeOwned>(&mut self) -> T {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Ends its standard input, and waits for its end.
    ///
    /// # Panics
    ///
    /// If it goes on.
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.stdin = None;
        let begun_at = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(begun_at.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            panic!("no answer ({error}); the server's status is {:?}", self.child.try_wait())
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.kill();
    }
}
