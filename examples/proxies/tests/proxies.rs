//! The example behind real proxies, by its script.
#![cfg(unix)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use wspulse_client::{Client, Event, Frame, Messages, SessionStart, Target};
use wspulse_faults::ReservedAddress;

/// Far beyond what any step takes on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "it needs nginx: run by `.ci/run faults`"]
async fn clients_of_nginx_miss_nothing_when_it_is_restarted() {
    clients_miss_nothing_when_the_proxy_is_restarted("nginx").await;
}

#[tokio::test]
#[ignore = "it needs HAProxy: run by `.ci/run faults`"]
async fn clients_of_haproxy_miss_nothing_when_it_is_restarted() {
    clients_miss_nothing_when_the_proxy_is_restarted("haproxy").await;
}

async fn clients_miss_nothing_when_the_proxy_is_restarted(kind: &str) {
    let mut script = Script::start(kind).await;
    // It says of itself that it comes from elsewhere.
    let target = Target::new(format!("ws://{}/ws?tab=1", script.address));
    let target = target.header("x-real-ip", "192.0.2.66").header("origin", script.origin());
    let (client, mut messages) = Client::builder_with(move || {
        let target = target.clone();
        async move { Ok(target) }
    })
    .connect()
    .expect("a valid target");
    let address = client.request(Frame::new("address"), DEADLINE).await.expect("an answer");
    assert_eq!(address.to_json::<String>().expect("a text"), "127.0.0.1");
    let first = number(&mut messages).await;
    assert_eq!(number(&mut messages).await, first + 1);

    script.restart().await;

    for next in 2..5 {
        assert_eq!(number(&mut messages).await, first + next, "a number is missing");
    }
    client.close().await;
    script.end().await;
}

/// The next number that the server says. The session goes on all the time.
async fn number(messages: &mut Messages) -> u64 {
    loop {
        match timeout(DEADLINE, messages.next()).await.expect("in time").expect("the client lives")
        {
            Event::Message(frame) if frame.event() == "number" => {
                return frame.to_json().expect("a number");
            }
            Event::Session { session, .. } => assert_ne!(session, SessionStart::Plain),
            _ => {}
        }
    }
}

/// `examples/proxies/run`.
struct Script {
    address: SocketAddr,
    _reserved: ReservedAddress,
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Script {
    async fn start(kind: &str) -> Self {
        let reserved = ReservedAddress::new().expect("a free port");
        let address = reserved.get();
        let mut child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("run"))
            .args([kind, &address.to_string()])
            .env("BINARY", env!("CARGO_BIN_EXE_example-proxies"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is here");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut script = Self { address, _reserved: reserved, child, stdin, stdout };
        script.says(&format!("open {}/", script.origin())).await;
        script
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn restart(&mut self) {
        self.stdin.write_all(b"\n").await.expect("it reads");
        self.says("restarted").await;
    }

    async fn says(&mut self, expected: &str) {
        let line = timeout(DEADLINE, self.stdout.next_line()).await.expect("in time");
        assert_eq!(line.expect("text").as_deref(), Some(expected));
    }

    async fn end(mut self) {
        drop(self.stdin);
        let status = timeout(DEADLINE, self.child.wait()).await.expect("in time");
        let status = status.expect("its status is known");
        assert!(status.success(), "{status}");
    }
}
