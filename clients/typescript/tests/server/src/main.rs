//! The servers that the client is tested against: one that promises exactly once and has all codecs, one
//! that also ends the session of a client that leaves, one that also compresses, and one that promises
//! nothing. Prints their addresses in one line of JSON, and does what frames tell it by their event:
//!
//! | event | what happens |
//! |---|---|
//! | `note` | its payload is kept |
//! | `notes` | the answer has all that was kept of this id |
//! | `down` | so many frames `down` are sent, numbered |
//! | `slow` | the callback takes so many milliseconds |
//! | `refuse` | the answer is an error |
//! | `close` | the connection is closed with this code |

use std::collections::HashMap;
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use wspulse::codec::{CborCodec, MessagePackCodec, ProtobufCodec};
use wspulse::{Admission, CloseCode, Compression, Connection, Delivery, Frame, Server, ServerBuilder};

type Notes = Arc<Mutex<HashMap<String, Vec<Value>>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let exactly = builder(Delivery::ExactlyOnce)
        .also_codec(MessagePackCodec)
        .also_codec(CborCodec)
        .also_codec(ProtobufCodec);
    let (exactly, exactly_listener) = start(exactly).await?;
    let leaving = builder(Delivery::ExactlyOnce).on_transport_drop(|connection, cause| {
        if cause.is_normal() {
            connection.close();
        }
    });
    let (leaving, leaving_listener) = start(leaving).await?;
    let compressing = builder(Delivery::ExactlyOnce).compression(Compression::shared());
    let (compressing, compressing_listener) = start(compressing).await?;
    let (plain, plain_listener) = start(builder(Delivery::AtMostOnce)).await?;
    println!(
        r#"{{"exactly":"ws://{}","leaving":"ws://{}","compressing":"ws://{}","plain":"ws://{}"}}"#,
        exactly_listener.local_addr()?,
        leaving_listener.local_addr()?,
        compressing_listener.local_addr()?,
        plain_listener.local_addr()?
    );
    tokio::try_join!(
        async { wspulse::serve(exactly_listener, exactly).await },
        async { wspulse::serve(leaving_listener, leaving).await },
        async { wspulse::serve(compressing_listener, compressing).await },
        async { wspulse::serve(plain_listener, plain).await },
    )?;
    Ok(())
}

async fn start(builder: ServerBuilder) -> Result<(Server, TcpListener), Box<dyn Error>> {
    Ok((builder.build()?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?))
}

fn builder(delivery: Delivery) -> ServerBuilder {
    let notes = Notes::default();
    Server::builder_sync(|request| {
        let id = request.query("id").unwrap_or("ann".into());
        Ok(Admission::room("lobby").id(&*id))
    })
    .on_message(move |connection, frame| {
        let notes = Arc::clone(&notes);
        async move {
            if let Err(error) = received(&connection, &frame, &notes).await {
                eprintln!("{}: {error}", frame.event());
            }
        }
    })
    .delivery(delivery)
    .resume_window(Duration::from_secs(60))
    .max_message_size(4096)
}

async fn received(
    connection: &Connection,
    frame: &Frame,
    notes: &Notes,
) -> Result<(), Box<dyn Error>> {
    let notes = || notes.lock().unwrap_or_else(PoisonError::into_inner);
    match frame.event() {
        "note" => {
            let note = frame.to_json()?;
            notes().entry(connection.id().to_owned()).or_default().push(note);
        }
        "notes" => {
            let answer = Frame::new("reply").with_id(frame.id());
            let answer = answer.json(&notes().entry(connection.id().to_owned()).or_default())?;
            connection.send(answer)?;
        }
        "down" => {
            for number in 0..frame.to_json()? {
                connection.send(Frame::new("down").json::<u64>(&number)?)?;
            }
        }
        "slow" => tokio::time::sleep(Duration::from_millis(frame.to_json()?)).await,
        "refuse" => connection.send(Frame::new("error").with_id(frame.id()).json("no")?)?,
        "close" => connection.close_with(CloseCode::new(frame.to_json()?)?, "as you wish"),
        _ => {}
    }
    Ok(())
}
