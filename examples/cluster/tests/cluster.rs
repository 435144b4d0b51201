//! The whole of it, with real processes: run by `.ci/run cluster`, which gets NATS and `HAProxy`.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use wspulse_client::{Client, Event, Messages, SessionStart, Target};

/// Far beyond what any step takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The conductor, and where its page is. It is killed when this is dropped.
struct Show {
    conductor: Child,
    address: String,
    /// The only place for files that it knows.
    folder: TempDir,
}

#[derive(Deserialize)]
struct Seen {
    name: String,
    id: Option<u32>,
}

#[derive(Deserialize)]
struct Tick {
    from: String,
    number: u64,
}

impl Show {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut conductor = Command::new(env!("CARGO_BIN_EXE_example-cluster"))
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let output = conductor.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("in time");
        let line = line.expect("text").expect("it says where it listens, or why it does not start");
        let address = line.strip_prefix("open http://").expect("it says where the page is");
        let address = address.trim_end_matches('/').to_owned();
        Self { conductor, address, folder }
    }

    /// Its answer to a request from a page at this address.
    async fn ask(&self, request: &str, origin: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.expect("it listens");
        let text = format!(
            "{request} HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            self.address
        );
        stream.write_all(text.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer))
            .await
            .expect("in time")
            .expect("text");
        answer
    }

    async fn order(&self, name: &str, action: &str) {
        let origin = format!("http://{}", self.address);
        let answer = self.ask(&format!("POST /control/{name}/{action}"), &origin).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    async fn processes(&self) -> BTreeMap<String, Option<u32>> {
        let answer = self.ask("GET /control", "null").await;
        let body = &answer[answer.find('[').expect("a list")..=answer.rfind(']').expect("its end")];
        let seen: Vec<Seen> = serde_json::from_str(body).expect("JSON");
        seen.into_iter().map(|seen| (seen.name, seen.id)).collect()
    }

    /// The process group of all that it has started.
    async fn group(&self) -> u32 {
        let node = self.processes().await["a"].expect("it runs");
        status(node).expect("it runs").1
    }

    /// Waits until nothing of it is left.
    async fn is_gone(&mut self, group: u32) {
        timeout(PATIENCE, self.conductor.wait())
            .await
            .expect("it ends")
            .expect("its status is known");
        let begun_at = Instant::now();
        loop {
            let left = members(group);
            let files = fs::read_dir(self.folder.path()).expect("a folder").count();
            if left.is_empty() && files == 0 {
                return;
            }
            assert!(begun_at.elapsed() < PATIENCE, "{left:?} are left, and {files} files");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Of a process, its state and its process group.
fn status(id: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.nth(1)?.parse().ok()?))
}

/// All processes of a group that have not ended.
fn members(group: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|&id| status(id).is_some_and(|(state, of)| of == group && state != 'Z')).collect()
}

#[tokio::test]
#[ignore = "it needs NATS and HAProxy: run by `.ci/run cluster`"]
async fn nothing_is_left_when_the_conductor_is_killed_while_a_node_stands_still() {
    let mut show = Show::start().await;
    let group = show.group().await;
    // NATS, three nodes, HAProxy, and who looks after them.
    assert_eq!(members(group).len(), 6);
    show.order("b", "stop").await;

    show.conductor.start_kill().expect("it runs");

    show.is_gone(group).await;
}

#[tokio::test]
#[ignore = "it needs NATS and HAProxy: run by `.ci/run cluster`"]
async fn nothing_is_left_when_the_conductor_is_told_to_end() {
    let mut show = Show::start().await;
    let group = show.group().await;

    let kill = format!("kill -TERM {}", show.conductor.id().expect("it runs"));
    assert!(Command::new("sh").args(["-c", &kill]).status().await.expect("a shell").success());

    show.is_gone(group).await;
}

#[tokio::test]
#[ignore = "it needs NATS and HAProxy: run by `.ci/run cluster`"]
async fn a_page_from_elsewhere_kills_nobody() {
    let show = Show::start().await;
    let before = show.processes().await;

    for request in ["POST /control/a/kill", "POST /control/a/cut"] {
        let answer = show.ask(request, "http://elsewhere.example").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }

    assert_eq!(show.processes().await, before);
}

/// What a client hears, with each node's numbers looked at.
struct Ears {
    messages: Messages,
    last: BTreeMap<String, u64>,
}

enum Heard {
    /// The client is on this node now.
    Node(String),
    /// The next number of one of them.
    Tick,
}

impl Ears {
    async fn next(&mut self) -> Heard {
        loop {
            let event = timeout(PATIENCE, self.messages.next()).await.expect("in time");
            match event.expect("the client lives") {
                Event::Session { session, .. } if !self.last.is_empty() => {
                    assert_eq!(session, SessionStart::Resumed, "its session is lost");
                }
                Event::Message(frame) if frame.event() == "node" => {
                    return Heard::Node(frame.to_json().expect("a name"));
                }
                Event::Message(frame) if frame.event() == "tick" => {
                    let Tick { from, number } = frame.to_json().expect("a number");
                    let last = self.last.insert(from, number).unwrap_or(number - 1);
                    assert_eq!(number, last + 1, "a number is missing, or comes twice");
                    return Heard::Tick;
                }
                _ => {}
            }
        }
    }

    /// Listens until the client is told which node it is on.
    async fn node(&mut self) -> String {
        loop {
            match self.next().await {
                Heard::Node(name) => return name,
                Heard::Tick => {}
            }
        }
    }

    /// Hears so many numbers.
    async fn numbers(&mut self, count: usize) {
        for _ in 0..count {
            while !matches!(self.next().await, Heard::Tick) {}
        }
    }
}

#[tokio::test]
#[ignore = "it needs NATS and HAProxy: run by `.ci/run cluster`"]
async fn a_client_whose_connections_are_cut_goes_from_node_to_node_and_misses_nothing() {
    let show = Show::start().await;
    let target = Target::new(format!("ws://{}/ws?tab=1", show.address));
    let target = target.header("origin", format!("http://{}", show.address));
    let (client, messages) = Client::builder_with(move || {
        let target = target.clone();
        async move { Ok(target) }
    })
    .backoff(Duration::from_millis(50), Duration::from_secs(1))
    .connect()
    .expect("a valid target");
    let mut ears = Ears { messages, last: BTreeMap::new() };
    let mut places = vec![ears.node().await];

    for _ in 0..6 {
        ears.numbers(10).await;
        show.order(places.last().expect("it is somewhere"), "cut").await;
        places.push(ears.node().await);
    }

    for node in ["a", "b", "c"] {
        assert!(places.iter().any(|place| place == node), "{places:?}");
    }
    ears.numbers(10).await;
    assert_eq!(ears.last.len(), 3, "it has heard all nodes");
    client.close().await;
}
