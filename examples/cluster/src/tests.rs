use std::time::Duration;

use http::{Request, StatusCode};
use serde_json::{Value, json};
use wspulse::testing::cluster::MemoryNetwork;
use wspulse::testing::{LiveClient, TestServer};
use wspulse::{Frame, Server};

use super::node;

/// Two nodes, in memory.
fn cluster() -> [TestServer; 2] {
    let network = MemoryNetwork::new();
    ["a", "b"].map(|name| {
        let builder = node::builder(name).cluster(network.engine());
        TestServer::with_app(builder, node::app).expect("the options are valid")
    })
}

async fn page(node: &TestServer, tab: &str) -> LiveClient {
    node.client(tab).connect(&format!("/ws?tab={tab}")).await
}

async fn health(node: &TestServer) -> StatusCode {
    node.http(Request::get("/healthz").body("").expect("a request")).await.status()
}

#[tokio::test(start_paused = true)]
async fn a_page_hears_which_node_it_has_come_to() {
    let [a, b] = cluster();

    page(&a, "1").await.expect_json("node", "a").await;
    page(&b, "2").await.expect_json("node", "b").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_page_says_comes_back_and_is_heard_on_the_other_node() {
    let [a, b] = cluster();
    let (ann, bob) = (page(&a, "1").await, page(&b, "2").await);
    let said = json!({ "tab": "1", "number": 1 });

    ann.send(&Frame::new("say").json(&said).expect("JSON"));

    ann.expect_json("said", said.clone()).await;
    bob.expect_json("said", said).await;
}

#[tokio::test(start_paused = true)]
async fn numbers_of_a_node_are_heard_on_the_other_one_without_a_hole() {
    let [a, b] = cluster();
    let bob = page(&b, "2").await;

    tokio::spawn(node::count(a.server().clone(), "a".to_owned()));

    for number in 1..=20 {
        let tick = bob.expect("tick").await;
        let tick: Value = tick.to_json().expect("JSON");
        assert_eq!((&tick["node"], &tick["number"]), (&json!("a"), &json!(number)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_tells_the_balancer_to_send_nobody_and_to_cut_nobody() {
    let [a, _b] = cluster();
    let _ann = page(&a, "1").await;
    assert_eq!(health(&a).await, StatusCode::OK);

    let server: Server = a.server().clone();
    let drain = tokio::spawn(async move { server.drain(Duration::from_secs(3)).await });
    tokio::task::yield_now().await;

    assert_eq!(health(&a).await, StatusCode::NOT_FOUND);
    drain.await.expect("it ends");
}
