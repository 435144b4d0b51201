//! A server that is tested, seen from outside: a process that is told what to do by lines.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::ledger::Heard;
use crate::server::Sent;

/// A server process; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Subject {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pid: u32,
    address: SocketAddr,
}

/// How long it may take for an answer, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

impl Subject {
    /// Starts a server, which tells its port first.
    pub(crate) async fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let missing = || io::Error::other("the server has no standard streams");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let pid = child.id().ok_or_else(missing)?;
        let lines = BufReader::new(stdout).lines();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut subject = Self { child, stdin, lines, pid, address };
        let first = subject.line().await?;
        let port = first.strip_prefix("LISTENING ").and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| io::Error::other(format!("{first:?} names no port")))?;
        subject.address.set_port(port);
        Ok(subject)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Has it send.
    pub(crate) async fn start_sending(&mut self) -> io::Result<()> {
        self.say("start").await
    }

    /// Ends that.
    pub(crate) async fn pause(&mut self) -> io::Result<Sent> {
        self.ask("pause").await
    }

    /// What it has heard of each client.
    pub(crate) async fn heard(&mut self) -> io::Result<HashMap<usize, Heard>> {
        self.ask("heard").await
    }

    /// Has it close.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        self.say("end").await?;
        let status = timeout(PATIENCE, self.child.wait()).await??;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("the server ended with {status}")))
        }
    }

    async fn ask<T: DeserializeOwned>(&mut self, question: &str) -> io::Result<T> {
        self.say(question).await?;
        Ok(serde_json::from_str(&self.line().await?)?)
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        self.stdin.flush().await
    }

    async fn line(&mut self) -> io::Result<String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await??;
        line.ok_or_else(|| io::Error::other("the server has ended"))
    }
}

/// Sends a signal to a process, such as `-STOP`.
pub(crate) async fn signal(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([signal, &pid.to_string()]).status().await;
}

/// Its resident memory in KiB.
pub(crate) fn resident_kib(pid: u32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    rss.split_ascii_whitespace().next()?.parse().ok()
}
