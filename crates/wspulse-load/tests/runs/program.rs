//! The program itself: its exit status and its files.

use std::process::Output;

use tokio::process::Command;

use crate::support::repeat;

async fn program(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_wspulse-load");
    Command::new(program).args(arguments).output().await.expect("it runs")
}

const SHORT: [&str; 6] = [
    "--clients=2",
    "--connect-rate=1000",
    "--rate=20",
    "--duration=100ms",
    "--fan-out=echo",
    "--quiet",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_holds_ends_with_0_and_writes_its_reports() {
    let url = repeat(|_| 1).await;
    let folder = tempfile::tempdir().expect("a folder");
    let [html, json] = ["report.html", "report.json"].map(|name| folder.path().join(name));

    let mut arguments = vec![url.as_str(), "--require", "lost = 0"];
    let (html_flag, json_flag) =
        (format!("--html={}", html.display()), format!("--json={}", json.display()));
    arguments.extend([html_flag.as_str(), json_flag.as_str()]);
    arguments.extend(SHORT);
    let output = program(&arguments).await;

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("met     lost = 0"), "{output:?}");
    let page = std::fs::read_to_string(html).expect("a page");
    assert!(page.matches("<svg").count() >= 3 && !page.contains("src="), "{page}");
    let json = std::fs::read_to_string(json).expect("a file");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["measured"]["lost"]["value"], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_does_not_hold_ends_with_1() {
    let url = repeat(|_| 1).await;

    let mut arguments = vec![url.as_str(), "--require", "latency.p50 < 1us"];
    arguments.extend(SHORT);
    let output = program(&arguments).await;

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("MISSED"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_ends_with_2_and_says_what_can() {
    let output = program(&["ws://127.0.0.1:1/", "--clients=0"]).await;

    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("clients is 0"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_ends_with_3_and_its_cause() {
    let mut arguments = vec!["ws://127.0.0.1:1/", "--attempts=0"];
    arguments.extend(SHORT);
    let output = program(&arguments).await;

    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("refused"), "{output:?}");
}
