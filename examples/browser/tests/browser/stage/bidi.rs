//! `WebDriver` `BiDi`, for what `WebDriver` has no word in Firefox.

use fantoccini::Client;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const ID: u64 = 1;

/// Sends a command, over a WebSocket of its own, and waits until it is done.
pub(super) async fn command(client: &Client, method: &str, parameters: Value) {
    let url = client.capabilities().and_then(|all| all.get("webSocketUrl")?.as_str());
    let url = url.expect("the browser speaks BiDi, as it was asked to");
    let (mut socket, _) = connect_async(url).await.expect("it takes a connection");
    let command = json!({ "id": ID, "method": method, "params": parameters });
    socket.send(Message::text(command.to_string())).await.expect(method);
    while let Some(message) = socket.next().await {
        let message = message.expect(method);
        let said: Value = serde_json::from_slice(&message.into_data()).unwrap_or_default();
        // What has no id is an event.
        if said["id"] == ID {
            assert_eq!(said["type"], "success", "{method}: {said}");
            return;
        }
    }
    panic!("no answer to {method}");
}
