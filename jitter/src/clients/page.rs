//! Clients in a page of a real browser, which talks to this program over a link of its own.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::script::{Troupe, order};
use super::{Kind, Phase, Running, Seat, Socket};

/// A browser without a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Browser {
    Chromium,
    Firefox,
}

/// Clients in one page of it.
pub(crate) struct Page {
    pub(crate) browser: Browser,
    /// The package, in one file.
    pub(crate) package: PathBuf,
}

/// How long a browser may take to open the page.
const PATIENCE: Duration = Duration::from_mins(1);

impl Browser {
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox-esr",
        }
    }

    fn open(self, url: &str, profile: &TempDir) -> io::Result<Child> {
        let mut command = Command::new(self.program());
        match self {
            Self::Chromium => {
                command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
                command.args(["--disable-background-networking", "--disable-component-update"]);
                command.args(["--disable-sync", "--remote-debugging-port=0"]);
                command.arg(format!("--user-data-dir={}", profile.path().display()));
            }
            Self::Firefox => {
                command.args(["--headless", "--no-remote", "--profile"]).arg(profile.path());
            }
        }
        command.arg(url).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()
    }
}

impl Kind for Page {
    fn name(&self) -> &'static str {
        match self.browser {
            Browser::Chromium => "Chromium",
            Browser::Firefox => "Firefox",
        }
    }

    fn speaks_protocol(&self) -> bool {
        true
    }

    fn run(&self, seats: Vec<Seat>) -> Running {
        let (browser, package) = (self.browser, self.package.clone());
        Box::pin(async move {
            let told = |error: io::Error| format!("{}: {error}", browser.program());
            let package = std::fs::read(package).map_err(told)?;
            let listener = TcpListener::bind("127.0.0.1:0").await.map_err(told)?;
            let profile = TempDir::new().map_err(told)?;
            let url = format!("http://{}/", listener.local_addr().map_err(told)?);
            let mut process = browser.open(&url, &profile).map_err(told)?;
            let opened = timeout(PATIENCE, serve(&listener, &package)).await;
            let socket = opened.map_err(|_| "the page does not open")?.map_err(told)?;
            let played = play(socket, seats).await;
            process.kill().await.map_err(told)?;
            played
        })
    }
}

/// Serves the page's files, until the page has opened its own link.
async fn serve(listener: &TcpListener, package: &[u8]) -> io::Result<Socket> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut head = [0; 64];
        let peeked = stream.peek(&mut head).await?;
        let path = String::from_utf8_lossy(&head[..peeked]);
        let path = path.split(' ').nth(1).unwrap_or("").to_owned();
        let (kind, body): (&str, &[u8]) = match path.as_str() {
            "/control" => return accept_async(stream).await.map_err(io::Error::other),
            "/" => ("text/html", include_bytes!("../../javascript/page.html")),
            "/stage.js" => ("text/javascript", include_bytes!("../../javascript/stage.js")),
            "/visitor.js" => ("text/javascript", include_bytes!("../../javascript/visitor.js")),
            "/wspulse.min.js" => ("text/javascript", package),
            _ => ("text/plain", b""),
        };
        // A browser opens connections ahead of need; one that asks nothing harms nothing.
        if !path.is_empty() {
            answer(&mut stream, kind, body).await?;
        }
    }
}

async fn answer(stream: &mut TcpStream, kind: &str, body: &[u8]) -> io::Result<()> {
    let mut request = [0; 8_192];
    let _ = stream.read(&mut request).await?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

async fn play(mut socket: Socket, seats: Vec<Seat>) -> Result<(), String> {
    let told = |error| format!("the page's own link: {error}");
    let mut phase = seats.first().ok_or("nobody to play")?.phase.clone();
    let troupe = Troupe::new(&seats)?;
    socket.send(Message::text(troupe.cast.clone())).await.map_err(told)?;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(line))) => troupe.note(&line)?,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(told(error)),
                None => return Err("the page has gone".to_owned()),
            },
            changed = phase.changed() => {
                changed.map_err(|error| error.to_string())?;
                let now = *phase.borrow_and_update();
                if let Some(order) = order(now) {
                    socket.send(Message::text(order)).await.map_err(told)?;
                }
                if now == Phase::Leave {
                    return Ok(());
                }
            }
        }
    }
}
