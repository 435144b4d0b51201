//! `Plan`: what to do, complete and within its bounds.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::require::{RequireError, Requirement};
use crate::span::Span;
use crate::template::Template;
use crate::wishes::Wishes;

/// More clients than one machine has ports and memory for.
const CLIENTS_MAX: usize = 1_000_000;
/// More messages in a second than the clock can tell apart.
const RATE_MAX: f64 = 1_000_000.0;
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A frame of wspulse, and text as any other for a server that does not know frames.
const MESSAGE: &str = r#"{"event":"load","payload":{"mark":"{mark}","fill":"{fill}"}}"#;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Protocol {
    /// WebSocket, and nothing more is known of the server.
    #[value(name = "plain")]
    #[serde(rename = "plain")]
    Plain,
    /// Sessions that are resumed after a cut.
    #[value(name = "wspulse.1")]
    #[serde(rename = "wspulse.1")]
    Wspulse,
}

/// Who should get a copy of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FanOut {
    /// Its sender.
    Echo,
    /// All members of its room.
    Room,
    /// All members of its room but the sender.
    Others,
    /// That is not known: nothing is missed.
    Unknown,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) url: Template,
    /// The URL as it was given, for the report.
    pub(crate) url_text: String,
    pub(crate) protocol: Protocol,
    pub(crate) clients: usize,
    pub(crate) connect_rate: f64,
    pub(crate) connect_timeout: Duration,
    pub(crate) rooms: usize,
    pub(crate) room: Template,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) subprotocols: Vec<Template>,
    pub(crate) tokens: Vec<String>,
    pub(crate) hello: Vec<Template>,
    pub(crate) ready: Option<Template>,
    pub(crate) message: Template,
    pub(crate) message_bytes: usize,
    pub(crate) rate: f64,
    pub(crate) senders: usize,
    pub(crate) fan_out: FanOut,
    pub(crate) duration: Duration,
    pub(crate) settle: Duration,
    pub(crate) cut_every: Option<Duration>,
    pub(crate) attempts: u32,
    pub(crate) backoff: Duration,
    pub(crate) trust: Trust,
    /// Where the server is, if its name does not say it.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) requirements: Vec<Requirement>,
}

/// Whose certificates are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    Mozilla,
    File(PathBuf),
    Everybody,
}

/// What cannot be done as it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A file that cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    #[non_exhaustive]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that says what is not understood.
    #[error("{}: {source}", path.display())]
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// Where, and what would be.
        source: Box<toml::de::Error>,
    },
    /// A value that is out of its bounds.
    #[error("{name} is {value}: it must be {rule}")]
    #[non_exhaustive]
    Value {
        /// The flag, without its dashes, as it is in the file as well.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        rule: String,
    },
    /// There is no URL.
    #[error(
        "no URL: say where to connect, as in `wspulse-load ws://127.0.0.1:3000/ws`, or `url = …` in the file"
    )]
    NoUrl,
    /// A requirement that is none.
    #[error(transparent)]
    Requirement(#[from] RequireError),
}

fn out_of_bounds(
    name: &'static str,
    value: impl std::fmt::Display,
    rule: impl Into<String>,
) -> PlanError {
    PlanError::Value { name, value: value.to_string(), rule: rule.into() }
}

fn count(name: &'static str, value: usize, most: usize) -> Result<usize, PlanError> {
    let rule = || format!("from 1 to {most}");
    if (1..=most).contains(&value) { Ok(value) } else { Err(out_of_bounds(name, value, rule())) }
}

fn rate(name: &'static str, value: f64) -> Result<f64, PlanError> {
    let is_fine = value.is_finite() && (0.0..=RATE_MAX).contains(&value);
    let rule = || format!("a number from 0 to {RATE_MAX}");
    if is_fine { Ok(value) } else { Err(out_of_bounds(name, value, rule())) }
}

fn positive(
    name: &'static str,
    span: Option<Span>,
    default: Duration,
) -> Result<Duration, PlanError> {
    let span = span.map_or(default, |Span(span)| span);
    if span.is_zero() {
        return Err(out_of_bounds(name, "0", "more than 0"));
    }
    Ok(span)
}

fn header(line: &str) -> Result<(String, Template), PlanError> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| out_of_bounds("header", format!("{line:?}"), "`name: value`"))?;
    Ok((name.trim().to_owned(), Template::new(value.trim())))
}

fn tokens(path: Option<PathBuf>) -> Result<Vec<String>, PlanError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(&path)
        .map_err(|source| PlanError::Unreadable { path: path.clone(), source })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let tokens: Vec<String> = lines.map(str::to_owned).collect();
    if tokens.is_empty() {
        return Err(out_of_bounds("tokens", path.display(), "a file with a token in each line"));
    }
    Ok(tokens)
}

fn message(text: Option<String>, protocol: Protocol, rate: f64) -> Result<Template, PlanError> {
    let text = text.unwrap_or_else(|| MESSAGE.to_owned());
    let template = Template::new(&text);
    let is_control = protocol == Protocol::Wspulse && text.trim_start().starts_with('[');
    if is_control {
        let rule = "something that does not begin with [, as control messages of wspulse.1 do";
        return Err(out_of_bounds("message", format!("{text:?}"), rule));
    }
    if rate > 0.0 && !template.has("{mark}") {
        let rule = "a text with {mark} in it, by which copies are known";
        return Err(out_of_bounds("message", format!("{text:?}"), rule));
    }
    Ok(template)
}

impl TryFrom<Wishes> for Plan {
    type Error = PlanError;

    fn try_from(wishes: Wishes) -> Result<Self, PlanError> {
        let url_text = wishes.url.ok_or(PlanError::NoUrl)?;
        let protocol = wishes.protocol.unwrap_or(Protocol::Plain);
        let clients = count("clients", wishes.clients.unwrap_or(100), CLIENTS_MAX)?;
        let connect_rate = rate("connect-rate", wishes.connect_rate.unwrap_or(200.0))?;
        if connect_rate <= 0.0 {
            return Err(out_of_bounds("connect-rate", connect_rate, "more than 0"));
        }
        let rate = rate("rate", wishes.rate.unwrap_or(1.0))?;
        let rooms = count("rooms", wishes.rooms.unwrap_or(1), clients)?;
        let members = clients.div_ceil(rooms);
        let bytes = wishes.message_bytes.unwrap_or(128);
        Ok(Self {
            url: Template::new(&url_text),
            url_text,
            protocol,
            clients,
            connect_rate,
            connect_timeout: positive(
                "connect-timeout",
                wishes.connect_timeout,
                Duration::from_secs(15),
            )?,
            rooms,
            room: Template::new(wishes.room.as_deref().unwrap_or("load-{n}")),
            headers: wishes.header.iter().map(|line| header(line)).collect::<Result<_, _>>()?,
            subprotocols: wishes.subprotocol.iter().map(|text| Template::new(text)).collect(),
            tokens: tokens(wishes.tokens)?,
            hello: wishes.hello.iter().map(|text| Template::new(text)).collect(),
            ready: wishes.ready.as_deref().map(Template::new),
            message: message(wishes.message, protocol, rate)?,
            message_bytes: count("message-bytes", bytes, MESSAGE_BYTES_MAX)?,
            rate,
            senders: count("senders", wishes.senders.unwrap_or(members), members)?,
            fan_out: wishes.fan_out.unwrap_or(FanOut::Room),
            duration: positive("duration", wishes.duration, Duration::from_secs(30))?,
            settle: wishes.settle.map_or(Duration::from_secs(5), |Span(span)| span),
            cut_every: wishes
                .cut_every
                .map(|span| positive("cut-every", Some(span), span.0))
                .transpose()?,
            attempts: wishes.attempts.unwrap_or(5),
            backoff: positive("backoff", wishes.backoff, Duration::from_millis(500))?,
            trust: match (wishes.insecure, wishes.ca) {
                (Some(true), Some(path)) => {
                    let rule = "left out where insecure is true, which takes every certificate";
                    return Err(out_of_bounds("ca", path.display(), rule));
                }
                (Some(true), None) => Trust::Everybody,
                (_, Some(path)) => Trust::File(path),
                (_, None) => Trust::Mozilla,
            },
            address: wishes.address,
            sources: wishes.source,
            requirements: wishes
                .require
                .iter()
                .map(|text| Requirement::from_str(text))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Plan {
    /// Which room a client is in.
    pub(crate) const fn room_of(&self, client: usize) -> usize {
        client % self.rooms
    }

    /// Whether a client is one of those of its room who send.
    pub(crate) const fn is_sender(&self, client: usize) -> bool {
        client / self.rooms < self.senders
    }

    /// What a client's token is; empty if there are none.
    pub(crate) fn token_of(&self, client: usize) -> &str {
        match self.tokens.len() {
            0 => "",
            tokens => &self.tokens[client % tokens],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, PlanError> {
        let wishes = Wishes::parse(text).expect("TOML");
        Wishes { url: Some("ws://a".to_owned()), ..Wishes::default() }.or(wishes).try_into()
    }

    #[test]
    fn a_url_is_enough() {
        let plan = plan("").expect("a plan");

        assert_eq!((plan.clients, plan.senders), (100, 100));
    }

    #[test]
    fn a_value_out_of_its_bounds_is_named_with_them() {
        for (text, words) in [
            ("clients = 0", ["clients is 0", "from 1 to 1000000"]),
            ("rooms = 200", ["rooms is 200", "from 1 to 100"]),
            ("senders = 11\nrooms = 10", ["senders is 11", "from 1 to 10"]),
            ("rate = -1.0", ["rate is -1", "from 0 to 1000000"]),
            ("connect-rate = 0.0", ["connect-rate is 0", "more than 0"]),
            ("duration = \"0s\"", ["duration is 0", "more than 0"]),
            ("message = \"a\"", ["message is \"a\"", "{mark}"]),
            ("message = \"[{mark}]\"\nprotocol = \"wspulse.1\"", ["message", "begin with ["]),
            ("header = [\"a\"]", ["header is \"a\"", "`name: value`"]),
            ("insecure = true\nca = \"x\"", ["ca is x", "left out"]),
        ] {
            let error = plan(text).expect_err(text).to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn clients_are_spread_over_the_rooms_and_the_first_members_send() {
        let plan = plan("clients = 6\nrooms = 3\nsenders = 1").expect("a plan");

        let rooms: Vec<_> = (0..6).map(|client| plan.room_of(client)).collect();
        let senders: Vec<_> = (0..6).filter(|client| plan.is_sender(*client)).collect();

        assert_eq!((rooms, senders), (vec![0, 1, 2, 0, 1, 2], vec![0, 1, 2]));
    }
}
