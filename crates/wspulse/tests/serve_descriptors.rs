//! Alone in its process, which it starts again with few file descriptors.
//!
//! A process that has no file descriptor left serves on as soon as it has one again.

#![cfg(unix)]

mod support;

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use tokio::time::sleep;
use wspulse::testing::{TestClient, request_head};

use crate::support::clients::echoes;
use crate::support::house::echo;
use crate::support::listener::serve_over_tcp;
use crate::support::logs::Logs;

/// Set in the process whose descriptors are few.
const ROLE: &str = "WSPULSE_FEW_DESCRIPTORS";

#[test]
fn a_process_without_descriptors_goes_on_accepting_once_it_has_some() {
    if std::env::var_os(ROLE).is_some() {
        run_out_and_recover();
        return;
    }
    // The limit is the process's, and others' tests need theirs.
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -n 64 && exec "$0" --nocapture"#])
        .arg(std::env::current_exe().expect("its own path"))
        .env(ROLE, "1")
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// On one thread, under virtual time: what runs when is known.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn run_out_and_recover() {
    let logs = Logs::capture();
    let app = Router::new().route_service("/ws", echo().build().expect("valid options"));
    let address = serve_over_tcp(app, |serve| serve).await;
    // The system completes these connections, accepted or not. Nothing else runs meanwhile.
    let sockets = [(); 3].map(|()| std::net::TcpStream::connect(address).expect("a backlog"));
    let fillers: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!fillers.is_empty());

    sleep(Duration::from_secs(5)).await;
    logs.one("ERROR", "accepting failed; trying again");
    drop(fillers);

    for (number, socket) in sockets.into_iter().enumerate() {
        socket.set_nonblocking(true).expect("an open socket");
        let stream = tokio::net::TcpStream::from_std(socket).expect("an open socket");
        let mut client = TestClient::new(stream);
        client.write_raw(request_head("/ws").as_bytes()).await.expect("it is read");
        let head = client.read_response_head().await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        echoes(&mut client, number).await;
    }
}
