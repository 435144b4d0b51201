//! What joins several servers of one kind: a broker, as a process of its own.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use wspulse_nats_server::NatsServer;

use crate::affinity;
use crate::process::{self, Cpu};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrokerKind {
    Nats,
    Redis,
}

/// One that runs; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Broker(Process);

#[derive(Debug)]
enum Process {
    Nats(NatsServer),
    Redis(Redis),
}

#[derive(Debug)]
struct Redis {
    child: Child,
    port: u16,
}

/// How long it may take to be there.
const START_WITHIN: Duration = Duration::from_secs(20);

impl Broker {
    /// Starts it on a free port, on the servers' core: what a delivery costs it is theirs as well.
    pub(crate) fn start(kind: BrokerKind) -> io::Result<Self> {
        let process = match kind {
            BrokerKind::Nats => {
                let program =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/nats/bin/nats-server");
                if !program.exists() {
                    return Err(io::Error::other("there is no NATS server: `.ci/nats` gets one"));
                }
                Process::Nats(NatsServer::start())
            }
            BrokerKind::Redis => Process::Redis(Redis::start()?),
        };
        let broker = Self(process);
        affinity::pin_process(broker.pid(), affinity::FIRST.start)?;
        Ok(broker)
    }

    pub(crate) fn url(&self) -> String {
        match &self.0 {
            Process::Nats(nats) => nats.url(),
            Process::Redis(Redis { port, .. }) => format!("redis://127.0.0.1:{port}"),
        }
    }

    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        process::cpu(self.pid())
    }

    fn pid(&self) -> u32 {
        match &self.0 {
            Process::Nats(nats) => nats.pid(),
            Process::Redis(Redis { child, .. }) => child.id(),
        }
    }
}

impl Redis {
    /// With nothing written to a disk: it carries messages only.
    fn start() -> io::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| {
                io::Error::other(format!("redis-server of Debian's package is needed: {error}"))
            })?;
        let redis = Self { child, port };
        let begun_at = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if begun_at.elapsed() > START_WITHIN {
                return Err(io::Error::other(format!("no Redis within {START_WITHIN:?}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
