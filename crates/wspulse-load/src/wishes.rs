//! `Wishes`: what was asked for, by flags and by a file. Each flag has its name in the file, too.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::plan::{FanOut, PlanError, Protocol};
use crate::span::Span;

/// What to do, as far as it was said.
#[derive(Debug, Clone, Default, PartialEq, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Wishes {
    // clap makes a new line of the place of the client's number, so it is not written in these lines.
    /// Where to connect: ws://… or wss://… (needed)
    ///
    /// Places in it, in braces, differ between clients: `n` is the client's number, from 0, `room` its
    /// room, `token` its token; `run` is new in each run.
    pub url: Option<String>,
    /// `plain` for any server, or `wspulse.1`, with sessions that are resumed (plain by default)
    #[arg(long)]
    pub protocol: Option<Protocol>,
    /// How many clients connect (100 by default)
    #[arg(long)]
    pub clients: Option<usize>,
    /// How many of them begin to connect in a second (200 by default)
    #[arg(long)]
    pub connect_rate: Option<f64>,
    /// How long each may take until it is ready (15s by default)
    #[arg(long)]
    pub connect_timeout: Option<Span>,
    /// Over how many rooms the clients are spread (1 by default)
    #[arg(long)]
    pub rooms: Option<usize>,
    /// What rooms are called; the place `n` is the room's number (load-0, load-1, … by default)
    #[arg(long)]
    pub room: Option<String>,
    /// A header of the handshake, `name: value`, with the same places as the URL; repeat it
    #[arg(long)]
    pub header: Vec<String>,
    /// A subprotocol to offer, with the same places as the URL; repeat it
    #[arg(long)]
    pub subprotocol: Vec<String>,
    /// A file with a token in each line: {token} is that of the client, in turn
    #[arg(long)]
    pub tokens: Option<PathBuf>,
    /// A message to send first in each new session, with the same places; repeat it
    #[arg(long)]
    pub hello: Vec<String>,
    /// A client is ready when a message with this in it has come; else when it is connected
    #[arg(long)]
    pub ready: Option<String>,
    /// The message, with {mark}, which must be in it, {fill}, {seq} and the places of the URL
    #[arg(long)]
    pub message: Option<String>,
    /// How long a message is: {fill} makes up what is missing (128 by default)
    #[arg(long)]
    pub message_bytes: Option<usize>,
    /// How many messages each sender sends in a second; 0 for none (1 by default)
    #[arg(long)]
    pub rate: Option<f64>,
    /// How many members of each room send (all by default)
    #[arg(long)]
    pub senders: Option<usize>,
    /// Who gets a copy of a message: `echo` its sender, `room` all members of its room, `others` all
    /// of them but the sender, `unknown` nobody knows (room by default)
    #[arg(long)]
    pub fan_out: Option<FanOut>,
    /// How long to send (30s by default)
    #[arg(long)]
    pub duration: Option<Span>,
    /// How long to wait for the last copies (5s by default)
    #[arg(long)]
    pub settle: Option<Span>,
    /// How often each client's connection is cut, with a reset (never by default)
    #[arg(long)]
    pub cut_every: Option<Span>,
    /// How many attempts in a row may fail before a client gives up; 0 never comes back (5 by default)
    #[arg(long)]
    pub attempts: Option<u32>,
    /// The longest wait before the first attempt to come back; it doubles up to 30s (500ms by default)
    #[arg(long)]
    pub backoff: Option<Span>,
    /// A file with the certificates (PEM) to trust, in place of Mozilla's
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// Take any certificate, whoever has made it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub insecure: Option<bool>,
    /// Where the URL's host is, as in 10.0.0.7:443, in place of what its name says
    #[arg(long)]
    pub address: Option<SocketAddr>,
    /// A local address to connect from; repeat it for more ports
    #[arg(long)]
    pub source: Vec<IpAddr>,
    /// What must be true at the end, as in `latency.p99 < 50ms`; repeat it
    #[arg(long)]
    pub require: Vec<String>,
}

impl Wishes {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if there is none, or if it says what is not understood.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PlanError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text)
            .map_err(|source| PlanError::File { path: path.to_owned(), source: source.into() })
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// If it says what is not understood, with the line.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// These, and those others where these say nothing. A list takes the place of a list.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            url: self.url.or(other.url),
            protocol: self.protocol.or(other.protocol),
            clients: self.clients.or(other.clients),
            connect_rate: self.connect_rate.or(other.connect_rate),
            connect_timeout: self.connect_timeout.or(other.connect_timeout),
            rooms: self.rooms.or(other.rooms),
            room: self.room.or(other.room),
            header: list(self.header, other.header),
            subprotocol: list(self.subprotocol, other.subprotocol),
            tokens: self.tokens.or(other.tokens),
            hello: list(self.hello, other.hello),
            ready: self.ready.or(other.ready),
            message: self.message.or(other.message),
            message_bytes: self.message_bytes.or(other.message_bytes),
            rate: self.rate.or(other.rate),
            senders: self.senders.or(other.senders),
            fan_out: self.fan_out.or(other.fan_out),
            duration: self.duration.or(other.duration),
            settle: self.settle.or(other.settle),
            cut_every: self.cut_every.or(other.cut_every),
            attempts: self.attempts.or(other.attempts),
            backoff: self.backoff.or(other.backoff),
            ca: self.ca.or(other.ca),
            insecure: self.insecure.or(other.insecure),
            address: self.address.or(other.address),
            source: list(self.source, other.source),
            require: list(self.require, other.require),
        }
    }
}

fn list<T>(first: Vec<T>, other: Vec<T>) -> Vec<T> {
    if first.is_empty() { other } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_before_the_file() {
        let file =
            Wishes::parse("clients = 5\nrate = 2.0\nrequire = [\"lost = 0\"]").expect("TOML");
        let flags = Wishes { clients: Some(9), ..Wishes::default() };

        let both = flags.or(file);

        assert_eq!((both.clients, both.rate), (Some(9), Some(2.0)));
        assert_eq!(both.require, ["lost = 0"]);
    }

    #[test]
    fn a_file_with_an_unknown_name_is_refused_with_its_line() {
        let error = Wishes::parse("clients = 5\nclient = 6").expect_err("no such name");

        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
