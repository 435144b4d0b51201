//! Who takes part: servers, and clients of each kind that this machine can run.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::ValueEnum;
use tokio::process::Command;

use crate::clients::Kind;
use crate::clients::page::{Browser, Page};
use crate::clients::plain::Plain;
use crate::clients::protocol::Protocol;
use crate::clients::rust::Rust;
use crate::clients::script::Script;
use crate::ledger::Streams;
use crate::nginx::Nginx;
use crate::options::{DIRECT_EVERY, Guest, RunOptions, TICKS_PER_SECOND};
use crate::scene::Scene;
use crate::server::Level;

/// Other servers.
#[derive(Debug, Clone, Copy)]
enum Peer {
    Socketio,
    Centrifuge,
    Socketioxide,
}

const SOCKETIOXIDE: &str = "peers/socketioxide/target/release/jitter-socketioxide";
const SOCKETIO_CLIENT: &str = "peers/socketio/node_modules/socket.io-client";

const BROWSERS: [Browser; 2] = [Browser::Chromium, Browser::Firefox];

/// What was asked for and is not here.
pub(crate) fn missing(options: &RunOptions) -> Vec<String> {
    let mut missing = Vec::new();
    if !Nginx::is_here() {
        missing.push("clients behind nginx, which is not installed".to_owned());
    }
    if !has_package() {
        missing.push("clients in Node, whose package is not built".to_owned());
    }
    let wanted = BROWSERS.into_iter().filter(|_| options.is_with(Guest::Browsers));
    for browser in wanted.filter(|browser| !has_program(browser.program())) {
        missing.push(format!("clients in {}, which is not installed", browser.program()));
    }
    let peers = Peer::ALL.into_iter().filter(|_| options.is_with(Guest::Peers));
    for peer in peers.filter(|peer| !peer.is_here()) {
        missing.push(format!("{peer:?}, which is not built"));
    }
    missing
}

/// All that are played.
pub(crate) fn scenes(options: &RunOptions) -> Result<Vec<Scene>, Box<dyn Error>> {
    let levels = [Level::AtMostOnce, Level::AtLeastOnce, Level::ExactlyOnce];
    let mut scenes = Vec::new();
    for level in levels {
        scenes.push(ours(level, options)?);
    }
    let peers = Peer::ALL.into_iter().filter(|_| options.is_with(Guest::Peers));
    scenes.extend(peers.filter(|each| each.is_here()).map(|each| peer(each, options)));
    Ok(scenes)
}

fn ours(level: Level, options: &RunOptions) -> Result<Scene, Box<dyn Error>> {
    let mut kinds: Vec<Box<dyn Kind>> = vec![Box::new(Plain), Box::new(Protocol), Box::new(Rust)];
    if has_package() {
        let path = here("javascript/client.js");
        kinds.push(Box::new(Script { name: "node", path, speaks_protocol: true }));
    }
    let browsers =
        BROWSERS.into_iter().filter(|_| options.is_with(Guest::Browsers) && has_package());
    for browser in browsers.filter(|browser| has_program(browser.program())) {
        let package = here("../clients/typescript/dist/wspulse.min.js");
        kinds.push(Box::new(Page { browser, package }));
    }
    let name = match level {
        Level::AtMostOnce => "AtMostOnce",
        Level::AtLeastOnce => "AtLeastOnce",
        Level::ExactlyOnce => "ExactlyOnce",
    };
    let value = level.to_possible_value().ok_or("a level has a name")?;
    let mut server = Command::new(std::env::current_exe()?);
    server.args(["server", "--level", value.get_name()]);
    schedule(&mut server, kinds.len(), options);
    Ok(Scene { name, level: Some(level), streams: Streams::One, server, kinds })
}

/// Another server, with clients in Node.
fn peer(peer: Peer, options: &RunOptions) -> Scene {
    let client = |name, path| Script { name, path: here(path), speaks_protocol: false };
    let (name, streams, mut server, client) = match peer {
        Peer::Socketio => {
            let mut server = Command::new("node");
            server.arg(here("peers/socketio/server.js"));
            let client = client("its own", "peers/socketio/client.js");
            ("Socket.IO 4.8", Streams::One, server, client)
        }
        // Direct sends are a channel of their own, and channels are recovered one by one.
        Peer::Centrifuge => {
            let server = Command::new(here("peers/centrifuge/bin/centrifuge"));
            let client = client("its own", "peers/centrifuge/client.js");
            ("Centrifuge 0.40", Streams::Two, server, client)
        }
        Peer::Socketioxide => {
            let server = Command::new(here(SOCKETIOXIDE));
            let client = client("Socket.IO's", "peers/socketio/client.js");
            ("socketioxide 0.18", Streams::One, server, client)
        }
    };
    let kinds: Vec<Box<dyn Kind>> = vec![Box::new(client)];
    schedule(&mut server, kinds.len(), options);
    Scene { name, level: None, streams, server, kinds }
}

/// Tells a server what to send to whom.
fn schedule(server: &mut Command, kinds: usize, options: &RunOptions) {
    server.args(["--clients", &(kinds * options.clients()).to_string()]);
    server.args(["--ticks-per-second", &TICKS_PER_SECOND.to_string()]);
    server.args(["--direct-every", &DIRECT_EVERY.to_string()]);
}

fn has_package() -> bool {
    has_program("node") && here("../clients/typescript/dist/index.js").exists()
}

impl Peer {
    const ALL: [Self; 3] = [Self::Socketio, Self::Centrifuge, Self::Socketioxide];

    /// Whether it is built.
    fn is_here(self) -> bool {
        let needed = match self {
            Self::Socketio => ["peers/socketio/node_modules/socket.io", SOCKETIO_CLIENT],
            Self::Centrifuge => {
                ["peers/centrifuge/bin/centrifuge", "peers/centrifuge/node_modules/centrifuge"]
            }
            Self::Socketioxide => [SOCKETIOXIDE, SOCKETIO_CLIENT],
        };
        has_program("node") && needed.iter().all(|path| here(path).exists())
    }
}

fn has_program(program: &str) -> bool {
    let mut command = std::process::Command::new(program);
    let version = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// A file of this package.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
