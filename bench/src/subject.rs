//! The servers that are measured, each a process of its own.

use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::affinity;
use crate::broker::{Broker, BrokerKind};
use crate::load::{Dialect, Offer, Target, Way};
use crate::process::{self, Cpu};
use crate::report::{self, BEFORE, LIMIT, LIMIT_BATCHED};

/// A server that can be started.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Subject {
    pub(crate) name: String,
    #[serde(default)]
    dir: PathBuf,
    command: Vec<String>,
    pub(crate) dialect: Dialect,
    /// Whether it can resume sessions; they are switched on then.
    #[serde(default)]
    pub(crate) resume: bool,
    /// Whether it takes part only if it is asked for by its name, and then in all rounds: others
    /// need not pay for its time.
    #[serde(default)]
    pub(crate) if_named: bool,
    /// Which extensions its clients offer.
    #[serde(default)]
    offer: Offer,
    /// Whether it asks its clients how far they have got.
    #[serde(skip)]
    pub(crate) promises: bool,
    /// How its clients come in those scenarios that are about that.
    #[serde(skip)]
    pub(crate) way: Way,
    /// What joins several of it, if anything: then it is started with one, also where it is alone.
    #[serde(default)]
    pub(crate) broker: Option<BrokerKind>,
    /// What it takes to run; a peer that lacks one of these was not built.
    #[serde(default)]
    needs: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) note: String,
}

/// What messages lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    Echo,
    Room,
    /// As `Room`, and the members of the first room are told who is there.
    Presence,
    Count,
    Moving,
    Audience,
    /// Requests are replied to.
    Answer,
}

/// A server that runs; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    target: Target,
    /// It ends with the last of the servers that it joins.
    broker: Option<Arc<Broker>>,
}

/// How long a server may take to listen.
const START_WITHIN: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Peers {
    peer: Vec<Subject>,
}

/// Our own server and the limit, which are parts of this program, and our own as it was in the
/// program of another commit, if there is one.
pub(crate) fn built_in(before: Option<&Path>) -> io::Result<Vec<Subject>> {
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let serve = |arguments: &[&str]| {
        [program.as_str(), "serve"].iter().chain(arguments).map(ToString::to_string).collect()
    };
    let built_in = |name: &str, arguments: &[&str], resume, note: &str| Subject {
        name: name.to_owned(),
        dir: PathBuf::new(),
        command: serve(arguments),
        dialect: Dialect::Raw,
        needs: Vec::new(),
        resume,
        offer: Offer::Nothing,
        promises: false,
        way: Way::Connections,
        broker: None,
        if_named: false,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        note: note.to_owned(),
    };
    let variant = |name: &str, option: &str, value: &str, note: &str| Subject {
        if_named: true,
        ..built_in(name, &["wspulse", option, value], true, note)
    };
    let [at_least_once, exactly_once] = promising(variant);
    let before = before.map(|program| Subject {
        command: [&*program.to_string_lossy(), "serve", "wspulse"].map(ToOwned::to_owned).to_vec(),
        if_named: true,
        ..built_in(BEFORE, &[], true, "as wspulse, of another commit")
    });
    let now = vec![
        built_in(
            "wspulse",
            &["wspulse"],
            true,
            "JSON codec, resume window 60 s, tokio's default runtime",
        ),
        built_in(
            "wspulse-raw",
            &["wspulse", "--codec", "raw"],
            true,
            "a codec that keeps messages as they are and only counts in count mode",
        ),
        at_least_once,
        exactly_once.clone(),
        Subject {
            broker: Some(BrokerKind::Nats),
            if_named: true,
            ..built_in("wspulse+nats", &["wspulse"], true, "as wspulse, with wspulse-nats")
        },
        Subject {
            name: "wspulse+nats+exactly-once".to_owned(),
            note: "as wspulse+nats, with clients that speak wspulse.1".to_owned(),
            broker: Some(BrokerKind::Nats),
            ..exactly_once
        },
    ];
    let now = now
        .into_iter()
        .chain(observed(variant))
        .chain([compressing(variant), with_streams(variant)]);
    Ok(now.chain(limits(built_in)).chain(before).collect())
}

/// Our own server with a promise of delivery.
fn promising(variant: impl Fn(&str, &str, &str, &str) -> Subject) -> [Subject; 2] {
    let at_least_once = variant(
        "wspulse+at-least-once",
        "--delivery",
        "at-least-once",
        "as wspulse, with acknowledgements by Ping and Pong; who comes back resumes at any time",
    );
    let exactly_once = variant(
        "wspulse+exactly-once",
        "--delivery",
        "exactly-once",
        "as wspulse, with clients that speak wspulse.1",
    );
    [
        Subject { promises: true, ..at_least_once },
        Subject { promises: true, dialect: Dialect::Exchange, ..exactly_once },
    ]
}

/// Our own server, which compresses.
fn compressing(variant: impl Fn(&str, &str, &str, &str) -> Subject) -> Subject {
    let note = "as wspulse, with Compression::shared(): from 256 bytes on, level 6";
    let offer = Offer::Deflate;
    Subject { offer, ..variant("wspulse+compression", "--compression", "shared", note) }
}

/// Our own server, which speaks HTTP/2.
fn with_streams(variant: impl Fn(&str, &str, &str, &str) -> Subject) -> Subject {
    let note = "as wspulse, with Serve::http2: 256 streams in a connection";
    Subject { way: Way::Streams, ..variant("wspulse+http2", "--http2-streams", "256", note) }
}

/// Our own server while somebody counts what it does, or looks at it.
fn observed(variant: impl Fn(&str, &str, &str, &str) -> Subject) -> [Subject; 3] {
    [
        variant(
            "wspulse+prometheus",
            "--metrics",
            "prometheus",
            "as wspulse, with wspulse-prometheus",
        ),
        variant(
            "wspulse+otel",
            "--metrics",
            "otel",
            "as wspulse, with wspulse-otel and OpenTelemetry's SDK",
        ),
        variant(
            "wspulse+inspector",
            "--metrics",
            "inspector",
            "as wspulse, with a page of wspulse-inspector open, whose work counts as the server's",
        ),
    ]
}

/// Bare loops.
fn limits(built_in: impl Fn(&str, &[&str], bool, &str) -> Subject) -> [Subject; 2] {
    let batched = "a bare epoll loop: all that waits for a member in one send, 32 sends, then a look \
                   at the network; no sessions, no promises";
    let at_once = "the same, but each read is forwarded at once; no Pings";
    [
        built_in(LIMIT_BATCHED, &["limit", "--sending", "waves"], false, batched),
        built_in(LIMIT, &["limit"], false, at_once),
    ]
}

/// The peers of `bench/peers` that are built, and those that are not.
pub(crate) fn peers(dir: &Path) -> io::Result<(Vec<Subject>, Vec<String>)> {
    let text = std::fs::read_to_string(dir.join("peers.toml"))?;
    let Peers { peer } = toml::from_str(&text).map_err(io::Error::other)?;
    let (mut built, mut missing) = (Vec::new(), Vec::new());
    for mut subject in peer {
        subject.dir = dir.join(&subject.dir);
        if subject.needs.iter().all(|needed| subject.dir.join(needed).exists()) {
            built.push(subject);
        } else {
            missing.push(subject.name);
        }
    }
    Ok((built, missing))
}

impl Subject {
    pub(crate) fn for_report(&self) -> report::Subject {
        let Self { name, version, mut note, resume, .. } = self.clone();
        if resume {
            note += "; sessions can be resumed";
        }
        report::Subject { name, version, note }
    }

    /// Whether it compresses.
    pub(crate) fn compresses(&self) -> bool {
        self.offer == Offer::Deflate
    }

    /// The same server, whose clients send requests.
    pub(crate) fn asking(&self) -> Self {
        Self { dialect: Dialect::Request, ..self.clone() }
    }

    /// Starts it on a free port, with one core, and waits until it listens.
    pub(crate) fn start(&self, mode: Mode) -> io::Result<Running> {
        self.start_on(&affinity::FIRST, mode)
    }

    /// As [`start`](Self::start), with these cores. Servers with many threads start as many.
    pub(crate) fn start_on(&self, cores: &Range<usize>, mode: Mode) -> io::Result<Running> {
        let broker = self.broker.map(Broker::start).transpose()?.map(Arc::new);
        self.start_with(broker, cores, mode)
    }

    /// One more, of the same cluster, on the same core.
    pub(crate) fn start_beside(&self, first: &Running, mode: Mode) -> io::Result<Running> {
        self.start_with(first.broker.clone(), &affinity::FIRST, mode)
    }

    fn start_with(
        &self,
        broker: Option<Arc<Broker>>,
        cores: &Range<usize>,
        mode: Mode,
    ) -> io::Result<Running> {
        let mode = match mode {
            Mode::Echo => "echo",
            Mode::Room => "room",
            Mode::Presence => "presence",
            Mode::Count => "count",
            Mode::Moving => "moving",
            Mode::Audience => "audience",
            Mode::Answer => "answer",
        };
        let mut command = affinity::command(&self.program(), cores);
        command.args(&self.command[1..]).args(["--mode", mode, "--port", "0"]);
        if let Some(broker) = &broker {
            command.args(["--broker", &broker.url()]);
        }
        if !self.dir.as_os_str().is_empty() {
            command.current_dir(&self.dir);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let target = Target { port: 0, dialect: self.dialect, offer: self.offer };
        let mut running = Running { child, target, broker };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let mut stdout = BufReader::new(stdout);
            let read = stdout.read_line(&mut line);
            let _ = sender.send(read.map(|_| line));
            // What it prints besides is read away, or it would block.
            let _ = io::copy(&mut stdout, &mut io::sink());
        });
        let line = receiver.recv_timeout(START_WITHIN).map_err(io::Error::other)??;
        let port = line.trim().strip_prefix("LISTENING ").and_then(|port| port.parse().ok());
        running.target.port =
            port.ok_or_else(|| io::Error::other(format!("it said {line:?} instead of its port")))?;
        Ok(running)
    }

    /// A path is relative to the peer's folder, a bare name is looked for where programs are.
    fn program(&self) -> PathBuf {
        let program = Path::new(&self.command[0]);
        if program.components().count() > 1 { self.dir.join(program) } else { program.into() }
    }
}

impl Running {
    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// Asks it to end by itself.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        let status = Command::new("kill").arg(self.child.id().to_string()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill: {status}"))) }
    }

    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        process::cpu(self.child.id())
    }

    /// Of what joins it with others, if anything does.
    pub(crate) fn broker_cpu(&self) -> io::Result<Cpu> {
        self.broker.as_ref().map_or(Ok(Cpu::default()), |broker| broker.cpu())
    }

    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        process::resident_bytes(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_of_peers_that_compress_offer_it_and_no_others_do() {
        let Peers { peer } = toml::from_str(include_str!("../peers/peers.toml")).expect("peers");
        let compressing: Vec<_> =
            peer.iter().filter(|peer| peer.compresses()).map(|peer| peer.name.as_str()).collect();
        assert_eq!(
            compressing,
            [
                "uwebsockets+shared",
                "uwebsockets+dedicated",
                "gws+deflate",
                "ws+deflate",
                "sockudo+deflate"
            ]
        );
    }
}
