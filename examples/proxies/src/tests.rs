use http::StatusCode;
use wspulse::Frame;
use wspulse::testing::{LiveClient, TestServer};

use super::{app, builder};

fn server() -> TestServer {
    let builder = builder().expect("the routes are valid");
    TestServer::with_app(builder, app).expect("the options are valid")
}

/// Comes by a proxy, which says from where.
async fn come_from(test: &TestServer, address: &str, tab: u32) -> LiveClient {
    let dial = test.client(&tab.to_string()).header("x-real-ip", address);
    dial.connect(&format!("/ws?tab={tab}")).await
}

#[tokio::test(start_paused = true)]
async fn a_clients_address_is_what_the_proxy_says() {
    let test = server();
    let ann = come_from(&test, "192.0.2.1", 1).await;

    ann.send(&Frame::new("address").with_id("1"));

    ann.expect_json("reply", "192.0.2.1").await;
}

#[tokio::test(start_paused = true)]
async fn one_address_has_twenty_connections_and_others_have_theirs() {
    let test = server();
    let mut clients = Vec::new();
    for tab in 0..20 {
        clients.push(come_from(&test, "192.0.2.1", tab).await);
    }

    let one_more = test.client("20").header("x-real-ip", "192.0.2.1");
    assert_eq!(one_more.refused("/ws?tab=20").await.status(), StatusCode::TOO_MANY_REQUESTS);
    come_from(&test, "192.0.2.2", 21).await;
}
