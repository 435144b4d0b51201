//! Two processes, one after the other, and clients that ask all the time.
#![cfg(unix)] // The order to end is a signal.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use wspulse_client::{Client, Frame, RequestError, SendError};

/// For what takes moments on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 20;

/// A process of the example; it is killed when this is dropped.
struct Process {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Process {
    /// Starts one, and waits until it is ready.
    async fn start(address: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_example-deploy"))
            .args([address, "1"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the example starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ready = next_line(&mut output).await;
        let address = ready.split_once("http://").expect("it says where it listens").1;
        let address = address.trim_end_matches('/').to_owned();
        Self { child, output, address }
    }

    fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    async fn terminate(&self) {
        let status = Command::new("kill").arg(self.id().to_string()).status().await;
        assert!(status.expect("there is a kill").success(), "it does not run");
    }

    async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        let mut lines = Vec::new();
        while let Ok(Some(line)) = self.output.next_line().await {
            lines.push(line);
        }
        (status.expect("its status is known"), lines)
    }
}

async fn next_line(output: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = timeout(PATIENCE, output.next_line()).await.expect("it says something");
    line.expect("text").expect("it has not ended")
}

/// Asks which process it is, until it is the one: and tells how many answers came from others.
/// Whatever else an answer is fails the test.
async fn ask_until(client: Client, mut awaited: watch::Receiver<Option<u32>>) -> usize {
    let mut answers = 0;
    loop {
        let reply = match client.request(Frame::new("which"), PATIENCE).await {
            Ok(reply) => reply,
            // The process has gone with the answer; asking again does no harm.
            Err(RequestError::Send(SendError::Lost { .. }) | RequestError::Ended) => continue,
            Err(error) => panic!("no answer: {error}"),
        };
        let process: u32 = reply.to_json().expect("a number");
        if *awaited.borrow_and_update() == Some(process) {
            return answers;
        }
        answers += 1;
    }
}

#[tokio::test]
async fn all_clients_go_over_to_the_successor_and_each_question_is_answered() {
    let predecessor = Process::start("127.0.0.1:0").await;
    let address = predecessor.address.clone();
    let (goal, awaited) = watch::channel(None);
    let mut clients = Vec::new();
    for tab in 0..CLIENTS {
        let url = format!("ws://{address}/ws?tab={tab}");
        let (client, _) = Client::builder(url)
            .backoff(Duration::from_millis(50), Duration::from_secs(1))
            .connect()
            .expect("a valid target");
        client.connected().await.expect("it is let in");
        clients.push(tokio::spawn(ask_until(client, awaited.clone())));
    }

    let successor = Process::start(&address).await;
    predecessor.terminate().await;
    goal.send(Some(successor.id())).expect("somebody asks");

    for client in clients {
        let answers = timeout(PATIENCE, client).await.expect("it goes over").expect("it is well");
        assert!(answers > 0, "it was not with the predecessor");
    }
    let (status, said) = predecessor.ended().await;
    assert!(status.success(), "{status}");
    assert!(said[0].ends_with(&format!("sends {CLIENTS} away")), "{said:?}");
    assert!(said[1].ends_with("is done"), "{said:?}");
}

#[tokio::test]
async fn who_comes_while_the_predecessor_goes_is_the_successors_guest() {
    let predecessor = Process::start("127.0.0.1:0").await;
    let address = predecessor.address.clone();
    let url = |tab| format!("ws://{address}/ws?tab={tab}");
    let (early, _messages) = Client::builder(url(0)).connect().expect("a valid target");
    early.connected().await.expect("it is let in");
    let successor = Process::start(&address).await;
    let mut predecessor = predecessor;

    predecessor.terminate().await;
    assert!(next_line(&mut predecessor.output).await.ends_with("sends 1 away"));

    for tab in 1..=CLIENTS {
        let (late, _messages) =
            Client::builder(url(tab)).attempts_max(1).connect().expect("a valid target");
        let reply = late.request(Frame::new("which"), PATIENCE).await.expect("an answer");
        assert_eq!(reply.to_json::<u32>().expect("a number"), successor.id());
    }
}
