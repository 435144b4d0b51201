use std::time::Duration;

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use wspulse::Frame;
use wspulse::testing::{Fault, LiveClient, TestServer};

use super::{app, builder};

fn notifier() -> TestServer {
    let builder = builder().expect("the routes are valid");
    TestServer::with_app(builder, app).expect("the options are valid")
}

async fn device(test: &TestServer, user: &str, device: &str) -> LiveClient {
    let target = format!("/ws?user={user}&device={device}");
    test.client(&format!("{user}/{device}")).connect(&target).await
}

/// Returns the status, and how many devices are connected and away.
async fn notify(test: &TestServer, user: &str, text: &str) -> (StatusCode, Value) {
    let request =
        Request::post(format!("/notify/{user}")).header("content-type", "application/json");
    let body = json!({ "text": text }).to_string();
    let answer: Response<_> = test.http(request.body(body).expect("a request")).await;
    (answer.status(), serde_json::from_slice(answer.body()).expect("JSON"))
}

fn text_of(notice: &Frame) -> String {
    let notice: Value = notice.to_json().expect("JSON");
    notice["text"].as_str().expect("a text").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_notice_reaches_all_devices_of_a_person_and_nobody_else() {
    let test = notifier();
    let phone = device(&test, "ann", "phone").await;
    let laptop = device(&test, "ann", "laptop").await;
    let stranger = device(&test, "eve", "phone").await;

    let told = notify(&test, "ann", "Your parcel is here").await;

    assert_eq!(told, (StatusCode::OK, json!({ "connected": 2, "away": 0 })));
    assert_eq!(text_of(&phone.expect("notice").await), "Your parcel is here");
    assert_eq!(text_of(&laptop.expect("notice").await), "Your parcel is here");
    stranger.refute("notice").await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_in_a_tunnel_gets_its_notices_afterwards() {
    let test = notifier();
    let mut phone = device(&test, "ann", "phone").await;
    phone.link().fail(Fault::Down);
    test.callbacks().expect_transport_drop("ann/phone").await;

    let told = notify(&test, "ann", "Your parcel is here").await;
    assert_eq!(told, (StatusCode::ACCEPTED, json!({ "connected": 0, "away": 1 })));
    test.pass(Duration::from_secs(4 * 60)).await;
    phone.link().restore();
    phone.reconnect().await;

    assert_eq!(text_of(&phone.expect("notice").await), "Your parcel is here");
}

#[tokio::test(start_paused = true)]
async fn what_is_read_on_one_device_is_read_on_all() {
    let test = notifier();
    let phone = device(&test, "ann", "phone").await;
    let laptop = device(&test, "ann", "laptop").await;

    notify(&test, "ann", "Your parcel is here").await;

    let notice: Value = phone.expect("notice").await.to_json().expect("JSON");
    phone.send_json("read", &notice["id"]);

    laptop.expect_json("read", &notice["id"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_notice_to_nobody_says_so() {
    let test = notifier();

    let told = notify(&test, "ann", "Are you there?").await;

    assert_eq!(told, (StatusCode::ACCEPTED, json!({ "connected": 0, "away": 0 })));
}
