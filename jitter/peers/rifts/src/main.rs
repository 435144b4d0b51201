//! What rifts passes on over a good link, from its own server to its own client and back, and
//! whether a session can be resumed. It says why rifts is not played over links that fail.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rifts::broker::fanout::{FanoutError, FanoutSink, new_sink_id};
use rifts::broker::{Broker, InMemoryBroker, SubscribeIntent};
use rifts::client::{ClientEvent, RiftClient, RiftClientConfig};
use rifts::session::AllowAllAuth;
use rifts::{
    Frame, FrameType, RetentionPolicy, RiftServer, ServerConfig, TopicProfile, Transport,
    WebSocketTransport,
};
use tokio::time::{sleep, timeout};

const FRAMES: u64 = 100;

/// What the server's application hears on a topic.
struct Ear {
    id: u64,
    heard: AtomicU64,
}

impl FanoutSink for Ear {
    fn deliver(&self, _frame: Bytes) -> Result<(), FanoutError> {
        self.heard.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn id(&self) -> u64 {
        self.id
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let profile =
        TopicProfile { retention: RetentionPolicy::Count(8_192), ..TopicProfile::default() };
    let config = ServerConfig { default_topic_profile: profile.clone(), ..ServerConfig::default() };
    let broker: Arc<dyn Broker> =
        Arc::new(InMemoryBroker::new(profile, config.dedupe_window, config.max_payload_bytes));
    let address = serve(config, Arc::clone(&broker)).await?;
    let ear = Arc::new(Ear { id: new_sink_id(), heard: AtomicU64::new(0) });
    broker.subscribe("up", SubscribeIntent::Live, Arc::clone(&ear) as _).await?;

    let client = client(address, None, 1);
    let mut events = client.subscribe_events();
    client.connect().await?;
    client.subscribe("room", SubscribeIntent::Live, None).await?;
    while broker.subscriber_count("room").await == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    for number in 0..FRAMES {
        broker.publish(&event(number)).await?;
        client.publish("up", "u", "u@1.0", number.into(), None).await?;
    }
    let mut received = 0;
    while let Ok(Ok(event)) = timeout(Duration::from_secs(3), events.recv()).await {
        received += u64::from(matches!(event, ClientEvent::EventReceived { .. }));
    }
    println!("server → client: {received} of {FRAMES}");
    println!("client → server: {} of {FRAMES}", ear.heard.load(Ordering::Relaxed));

    let (session, epoch) = (client.session_id().await, client.epoch().await);
    client.close().await?;
    // The server has seen the end of the link long before.
    sleep(Duration::from_secs(3)).await;
    match self::client(address, session, epoch).connect().await {
        Ok(()) => println!("resume: taken"),
        Err(error) => println!("resume: {error}"),
    }
    Ok(())
}

/// Serves on a port of the system's choice.
async fn serve(config: ServerConfig, broker: Arc<dyn Broker>) -> rifts::Result<SocketAddr> {
    let server =
        RiftServer::builder().config(config).auth(Arc::new(AllowAllAuth)).broker(broker).build()?;
    let mut listener = WebSocketTransport::new().bind(([127, 0, 0, 1], 0).into()).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok(connection) = listener.accept().await {
            server.accept_and_spawn(connection);
        }
    });
    Ok(address)
}

fn client(address: SocketAddr, session_id: Option<String>, epoch: u32) -> RiftClient {
    let config = RiftClientConfig {
        client_id: "ann".to_owned(),
        session_id,
        epoch,
        last_offsets: BTreeMap::from([("room".to_owned(), 0)]),
        ..RiftClientConfig::default()
    };
    RiftClient::new(format!("ws://{address}"), config)
}

/// An event as its own client makes one.
fn event(number: u64) -> Frame {
    let message_id = format!("m{number}");
    let body = serde_json::json!({
        "class": "event",
        "event": "n",
        "message_id": message_id,
        "schema": "n@1.0",
        "payload": number,
    });
    Frame {
        frame_type: FrameType::Data,
        topic: Some("room".to_owned()),
        event: Some("n".to_owned()),
        message_id: Some(message_id),
        payload: Some(Bytes::from(body.to_string())),
        ..Frame::default()
    }
}
