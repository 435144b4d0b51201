//! How a page's frames are written, and that nobody notices.

use serde_json::json;

use crate::DESKTOP;
use crate::stage::{Browser, Tab, perform};

pub(crate) async fn windows_of_every_codec_hear_each_other(browser: Browser) {
    perform(browser, DESKTOP, async |stage| {
        let grace = stage.join("Grace", "lobby").await;
        let ada = stage.join("Ada", "lobby").await;
        let mut said = Vec::new();
        for codec in ["msgpack", "cbor", "protobuf", "json"] {
            ada.chooses_codec(codec).await;
            ada.waits_for_status("live", "Live").await;
            grace.waits_for_members(&["Ada", "Grace you"]).await;
            let (of_ada, of_grace) = (format!("<b>{codec}</b> ✓"), format!("to {codec}"));
            said.push(of_ada.clone());
            ada.say(&of_ada).await;
            waits_for_all(&[&ada, &grace], &said).await;
            said.push(of_grace.clone());
            grace.say(&of_grace).await;
            waits_for_all(&[&ada, &grace], &said).await;

            // One that was cut goes on where it was, with the same codec.
            ada.forget_shown().await;
            ada.click("#reset").await;
            ada.has_shown("Connection lost").await;
            ada.waits_for_status("live", "Live again").await;
            assert_eq!(protocol(&ada).await, format!("wspulse.1+{codec}"));
            assert_eq!(protocol(&grace).await, "wspulse.1+json");
            assert_eq!(ada.count(".notice.bad").await, 0, "{codec}");
        }
        let foreign = "return performance.getEntriesByType('resource')
            .filter((entry) => !entry.name.startsWith(location.origin)).length";
        assert_eq!(ada.eval(foreign).await, json!(0), "no request goes elsewhere");
    })
    .await;
}

async fn waits_for_all(tabs: &[&Tab], said: &[String]) {
    let said: Vec<_> = said.iter().map(String::as_str).collect();
    for tab in tabs {
        tab.waits_for_messages(&said).await;
    }
}

/// The protocol of the socket by which a page says something.
async fn protocol(tab: &Tab) -> String {
    let watch = "const { send } = WebSocket.prototype;
        WebSocket.prototype.send = function (data) {
            window.protocolSeen = this.protocol;
            WebSocket.prototype.send = send;
            return send.call(this, data);
        };
        const text = document.getElementById('text');
        text.value = 'x';
        text.dispatchEvent(new Event('input'));
        text.value = ''";
    tab.eval(watch).await;
    tab.waits_until("it has sent something", "Boolean(window.protocolSeen)").await;
    let seen =
        tab.eval("const seen = window.protocolSeen; delete window.protocolSeen; return seen");
    seen.await.as_str().expect("a protocol").to_owned()
}
