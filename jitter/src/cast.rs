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
use crate::nginx::Nginx;
use crate::options::{DIRECT_EVERY, Guest, RunOptions, TICKS_PER_SECOND};
use crate::scene::Scene;
use crate::server::Level;

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
    if options.is_with(Guest::Peers) && !has_socketio() {
        missing.push("Socket.IO, which is not installed".to_owned());
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
    if options.is_with(Guest::Peers) && has_socketio() {
        scenes.push(socketio(options));
    }
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
    Ok(Scene { name, level: Some(level), server, kinds })
}

fn socketio(options: &RunOptions) -> Scene {
    let path = here("peers/socketio/client.js");
    let client = Script { name: "its own", path, speaks_protocol: false };
    let kinds: Vec<Box<dyn Kind>> = vec![Box::new(client)];
    let mut server = Command::new("node");
    server.arg(here("peers/socketio/server.js"));
    schedule(&mut server, kinds.len(), options);
    Scene { name: "Socket.IO 4.8", level: None, server, kinds }
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

fn has_socketio() -> bool {
    has_program("node") && here("peers/socketio/node_modules/socket.io-client").exists()
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
