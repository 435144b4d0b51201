//! Joins the room of the example `chat` from a terminal: what is typed is said, what is said is
//! printed, and the network may be cut meanwhile.
//!
//! `cargo run -p wspulse-examples --example chat`, and `cargo run -p wspulse-client --example join -- ann`

use std::hash::{BuildHasher, Hasher, RandomState};

use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use wspulse_client::{Client, Event, Frame};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "guest".to_owned());
    // The session is this client's by its id, which it keeps to itself.
    let id = format!("{:032x}", RandomState::new().build_hasher().finish());
    let url = format!("ws://127.0.0.1:3000/ws?id={id}&name={name}&room=lobby");
    let (client, mut messages) = Client::builder(url).connect()?;
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(text) => client.post(say(&text)?)?,
                None => break,
            },
            event = messages.next() => match event {
                Some(event) => show(&event),
                None => break,
            },
        }
    }
    client.close().await;
    Ok(())
}

fn say(text: &str) -> Result<Frame, wspulse_client::PayloadError> {
    Frame::new("chat.message").json(text)
}

fn show(event: &Event) {
    match event {
        Event::Message(frame) => {
            println!("{} {}", frame.event(), String::from_utf8_lossy(frame.payload()));
        }
        Event::Session { session, .. } => println!("-- connected: {session}"),
        Event::Disconnected { .. } => println!("-- disconnected"),
        Event::Reconnecting { delay, cause, .. } => println!("-- {cause}; again in {delay:?}"),
        Event::Ended { cause, .. } => println!("-- the end: {cause}"),
        Event::Lost(frame) => println!("-- perhaps not said: {:?}", frame.payload()),
        Event::Unsent { frame, .. } => println!("-- not said: {:?}", frame.payload()),
        Event::Undecodable(error) => println!("-- {error}"),
        // What later versions tell.
        _ => {}
    }
}
