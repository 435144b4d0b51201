//! The browsers: how each is started and driven.

use std::path::Path;

use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use url::{ParseError, Url};

use super::{Viewport, bidi, line_after, spawn};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Browser {
    Chromium,
    Firefox,
}

/// What a page has of the browser's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    On,
    Off,
}

impl Browser {
    /// Starts the browser's driver on a free port. chromedriver wants the same one of IPv4 and IPv6,
    /// picks one that is free for the one and gives up if it is taken for the other, as may happen on
    /// a busy machine.
    pub(super) async fn start_driver(self) -> (Child, String) {
        let (program, arguments, announcement) = match self {
            Self::Chromium => {
                ("chromedriver", ["--port=0"].as_slice(), "started successfully on port ")
            }
            Self::Firefox => (
                "geckodriver",
                ["--port=0", "--websocket-port=0"].as_slice(),
                "Listening on 127.0.0.1:",
            ),
        };
        let mut said = String::new();
        for _ in 0..5 {
            let mut driver = spawn(Command::new(program).args(arguments))
                .unwrap_or_else(|error| panic!("{program} is in the PATH: {error}"));
            let stdout = driver.stdout.take().expect("it is piped");
            match line_after(stdout, announcement).await {
                Ok(port) => {
                    return (driver, format!("http://127.0.0.1:{}", port.trim_end_matches('.')));
                }
                Err(output) => said.push_str(&output),
            }
        }
        panic!("{program} does not start:\n{said}");
    }

    pub(super) async fn start(self, driver: &str, viewport: Viewport, profile: &Path) -> Client {
        let capabilities = match self {
            Self::Chromium => chromium(viewport, profile),
            Self::Firefox => firefox(viewport),
        };
        ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().cloned().expect("an object"))
            .connect(driver)
            .await
            .unwrap_or_else(|error| panic!("{self:?} starts: {error}"))
    }

    /// Gives the network to the page in the client's window, which is the current one, or takes it
    /// away.
    pub(super) async fn set_network(self, client: &Client, window: &WindowHandle, is: Network) {
        match self {
            Self::Chromium => {
                // As fast as it comes where it is on.
                let parameters = json!({
                    "offline": is == Network::Off,
                    "latency": 0,
                    "downloadThroughput": -1,
                    "uploadThroughput": -1,
                });
                for (command, parameters) in [
                    ("Network.enable", json!({})),
                    ("Network.emulateNetworkConditions", parameters),
                ] {
                    client.issue_cmd(DevTools { command, parameters }).await.expect(command);
                }
            }
            Self::Firefox => {
                let conditions = match is {
                    Network::On => Value::Null,
                    Network::Off => json!({ "type": "offline" }),
                };
                let window = String::from(window.clone());
                let parameters = json!({ "contexts": [window], "networkConditions": conditions });
                bidi::command(client, "emulation.setNetworkConditions", parameters).await;
            }
        }
    }
}

fn chromium(Viewport { width, height }: Viewport, profile: &Path) -> Value {
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    // A window cannot be as narrow as a phone; its emulation can.
    let metrics = json!({ "width": width, "height": height, "pixelRatio": 1, "mobile": false });
    json!({
        "acceptInsecureCerts": true, // of an example that has made its own
        "goog:chromeOptions": {
            "args": arguments,
            "mobileEmulation": { "deviceMetrics": metrics },
        },
    })
}

fn firefox(Viewport { width, height }: Viewport) -> Value {
    let size = [width, height].map(|pixels| pixels.to_string());
    json!({
        "acceptInsecureCerts": true,
        "moz:firefoxOptions": {
            "args": ["-headless", "--width", size[0], "--height", size[1]],
        },
        "webSocketUrl": true,
    })
}

/// A command of the Chrome `DevTools` Protocol, for what `WebDriver` has no word.
#[derive(Debug)]
pub(super) struct DevTools {
    pub(super) command: &'static str,
    pub(super) parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.expect("a session")))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (Method::POST, Some(body.to_string()))
    }
}
