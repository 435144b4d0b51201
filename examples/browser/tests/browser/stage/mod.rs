//! A server, a browser, and tabs in it. Nothing here waits for a time to pass: it waits for what is
//! to be seen, until a deadline that only a broken page reaches.

mod bidi;
mod driver;
mod tab;

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::{ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use fantoccini::Client;
use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub(crate) use driver::Browser;
pub(crate) use tab::Tab;

/// Far beyond what any step takes on a slow machine.
const DEADLINE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy)]
pub(crate) struct Viewport {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

pub(crate) struct Stage {
    kind: Browser,
    browser: Client,
    server: Child,
    url: String,
    opened_tabs: usize,
    _driver: Child,
    _profile: TempDir,
}

/// An example with a page.
#[derive(Clone, Copy)]
pub(crate) enum Example {
    Chat,
    Cursors,
    /// One of those to copy, which is a package of its own.
    ToCopy(&'static str),
}

impl Example {
    const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Cursors => "cursors",
            Self::ToCopy(package) => package,
        }
    }

    /// What cargo is to build.
    const fn target(self) -> [&'static str; 2] {
        match self {
            Self::Chat | Self::Cursors => ["--example", self.name()],
            Self::ToCopy(package) => ["--bin", package],
        }
    }

    /// By which it takes a free port.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Chat | Self::Cursors => &["--port", "0"],
            Self::ToCopy(_) => &["127.0.0.1:0"],
        }
    }
}

/// Plays a scenario in the chat.
pub(crate) async fn perform(
    browser: Browser,
    viewport: Viewport,
    scenario: impl AsyncFnOnce(&mut Stage),
) {
    perform_in(Example::Chat, browser, viewport, scenario).await;
}

/// Plays a scenario, and ends the browser in any case: killing its driver would leave it behind.
pub(crate) async fn perform_in(
    example: Example,
    browser: Browser,
    viewport: Viewport,
    scenario: impl AsyncFnOnce(&mut Stage),
) {
    let mut stage = Stage::set_up(example, browser, viewport).await;
    let played = AssertUnwindSafe(scenario(&mut stage)).catch_unwind().await;
    stage.browser.close().await.expect("the browser ends");
    if let Err(panic) = played {
        resume_unwind(panic);
    }
}

impl Stage {
    async fn set_up(example: Example, kind: Browser, viewport: Viewport) -> Self {
        let (server, url) = start_server(example).await;
        let (driver, driver_url) = kind.start_driver().await;
        let profile = tempfile::tempdir().expect("a directory for the browser");
        let browser = kind.start(&driver_url, viewport, profile.path()).await;
        Self { kind, browser, server, url, opened_tabs: 0, _driver: driver, _profile: profile }
    }

    /// Opens the page in a window of its own, with a session storage of its own. Unlike a tab in the
    /// background, a window is visible, and its timers are on time.
    pub(crate) async fn open_tab(&mut self) -> Tab {
        self.open_tab_at("").await
    }

    /// As [`open_tab`](Self::open_tab), with another page of the server.
    pub(crate) async fn open_tab_at(&mut self, path: &str) -> Tab {
        // The browser comes with one tab.
        let window = if self.opened_tabs == 0 {
            self.browser.window().await.expect("a first tab")
        } else {
            self.browser.new_window(false).await.expect("another window").handle
        };
        self.opened_tabs += 1;
        let tab = Tab::new(self.kind, self.browser.clone(), window);
        tab.open(&format!("{}{path}", self.url)).await;
        tab
    }

    pub(crate) async fn join(&mut self, name: &str, room: &str) -> Tab {
        let tab = self.open_tab().await;
        tab.fill("#name", name).await;
        tab.fill("#room-name", room).await;
        tab.click("#join button").await;
        tab.waits_for_status("live", "Live").await;
        tab
    }

    /// Does what Ctrl-C in the server's terminal does.
    pub(crate) async fn interrupt_server(&self) {
        let id = self.server.id().expect("the server runs");
        let kill = format!("kill -INT {id}");
        let status = Command::new("sh").args(["-c", &kill]).status().await.expect("a shell");
        assert!(status.success(), "{status}");
    }

    pub(crate) async fn server_ended(&mut self) -> ExitStatus {
        let ended = timeout(DEADLINE, self.server.wait()).await;
        ended.expect("the server ends by itself").expect("its status is known")
    }
}

/// Starts the example, which says where it listens.
async fn start_server(example: Example) -> (Child, String) {
    let mut server = spawn(Command::new(built_example(example)).args(example.arguments()))
        .expect("the example starts");
    let stdout = server.stdout.take().expect("it is piped");
    let url = line_after(stdout, "open ").await.expect("it says where it listens");
    (server, url)
}

/// Where the example is, which is built for the first test that wants it: for a test that is asked for
/// by name, cargo does not build examples by itself.
fn built_example(example: Example) -> String {
    static BUILT: Mutex<BTreeMap<&str, String>> = Mutex::new(BTreeMap::new());
    // Whoever else wants one waits, as cargo would have it wait.
    let mut built = BUILT.lock().expect("all examples build");
    built.entry(example.name()).or_insert_with(|| build_example(example)).clone()
}

fn build_example(example: Example) -> String {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    // What cargo tells this test of its own package: some build scripts look at it, and would have all
    // that stands on them built anew, here and by the next cargo.
    for (name, _) in std::env::vars_os() {
        let is_of_this_package = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if is_of_this_package {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .args(["build", "--workspace", "--message-format", "json"])
        .args(example.target())
        // Beside an example the dependencies have the features that they have for tests, and are those
        // that are built already.
        .args(Example::Chat.target())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the example does not build");
    output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == example.name())
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .expect("cargo names the executable")
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    command.stdout(Stdio::piped()).kill_on_drop(true).spawn()
}

/// What follows `announcement` in the output of a process, or all the output of one that ends
/// without it. The rest is read too, lest the process fail or block in writing it.
async fn line_after(
    output: impl AsyncRead + Send + Unpin + 'static,
    announcement: &str,
) -> Result<String, String> {
    let mut lines = BufReader::new(output).lines();
    let mut said = String::new();
    let found = async {
        while let Some(line) = lines.next_line().await.expect("output is text") {
            if let Some((_, rest)) = line.split_once(announcement) {
                return Ok(rest.to_owned());
            }
            said.push_str(&line);
            said.push('\n');
        }
        Err(said)
    };
    let rest = timeout(DEADLINE, found).await.expect("the process announces itself")?;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(rest)
}
