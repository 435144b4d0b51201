//! What limits on connections leave in the log: enough to understand, whatever clients do.

use wspulse::testing::request_parts;

use crate::support::clients::dial;
use crate::support::house::open_house;
use crate::support::http::Answer;
use crate::support::logs::Logs;

#[tokio::test(start_paused = true)]
async fn a_limit_by_address_that_finds_no_address_says_so_a_line_in_a_while() {
    let logs = Logs::capture();
    let server = open_house().max_connections_per_addr(1).build().unwrap();
    for _ in 0..2 {
        assert_eq!(Answer::to(&server, request_parts("/ws")).await.status, 500);
    }
    assert!(logs.one("ERROR", "max_connections_per_addr").contains("ServerBuilder::peer_addr"));
}

#[tokio::test(start_paused = true)]
async fn a_client_too_many_is_told_at_debug() {
    let logs = Logs::capture();
    let server = open_house().max_connections(1).build().unwrap();
    let _ann = dial(&server, "ann").await;
    let answer = Answer::to(&server, request_parts("/ws")).await;
    assert_eq!(answer.status, 503);
    logs.one("DEBUG", "client refused: too many connections");
}
