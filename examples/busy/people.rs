//! People in the chat: they talk, read, leave, come back, and lose their networks.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;
use wspulse_client::{Client, Event, Frame, Messages};

use crate::{Failed, raw};

const PEOPLE: usize = 40;
const ROOMS: usize = 4;
/// How long one step of a person takes.
const STEP: Duration = Duration::from_millis(100);
const REPLY: Duration = Duration::from_secs(20);

/// Lets people live in the chat until one of them cannot.
pub(crate) async fn live(chat: SocketAddr) -> Result<(), Failed> {
    let mut people = JoinSet::new();
    for number in 0..PEOPLE {
        people.spawn(async move { Person { chat, number }.live().await });
    }
    people.spawn(lose_networks(chat));
    people.spawn(knock(chat));
    match people.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

#[derive(Clone, Copy)]
struct Person {
    chat: SocketAddr,
    number: usize,
}

impl Person {
    async fn live(self) -> Result<(), Failed> {
        for life in 0.. {
            let (client, messages) = self.enter(life)?;
            let reading = tokio::spawn(read(messages));
            // Some stay, most leave after a while.
            let steps = if self.number < ROOMS { u64::MAX } else { 20 + self.number as u64 * 3 };
            self.talk(&client, steps).await?;
            // The chat ends the session, which would else wait for who comes back.
            client.send(Frame::new("sign-out")).await?;
            client.close().await;
            reading.await?;
        }
        Ok(())
    }

    fn enter(self, life: usize) -> Result<(Client, Messages), Failed> {
        let Self { chat, number } = self;
        let room = self.room();
        let url = format!(
            "ws://{chat}/ws?id=busy-person-{number:04}-{life:08}&name=person-{number}\
             &rooms=%5B%22{room}%22%5D&cable={}",
            cable(number)
        );
        Ok(Client::builder(url).backoff(STEP, STEP * 10).connect()?)
    }

    fn room(self) -> String {
        format!("room-{}", self.number % ROOMS)
    }

    async fn talk(self, client: &Client, steps: u64) -> Result<(), Failed> {
        let room = self.room();
        let open = Frame::new("open").json(&json!({ "to": room, "after": 0 }))?;
        client.request(open, REPLY).await?;
        let other = format!("@person-{}", (self.number + 1) % PEOPLE);
        for step in 0..steps {
            sleep(STEP).await;
            let frame = match step % 5 {
                0 => Frame::new("typing").json(&json!({ "to": room }))?,
                1 => said(&room, step)?,
                2 => said(&other, step)?,
                3 => Frame::new("read").json(&json!({ "to": room, "seq": step }))?,
                _ => Frame::new("presence.again").json(&room)?,
            };
            client.send(frame).await?;
        }
        Ok(())
    }
}

fn said(to: &str, step: u64) -> Result<Frame, Failed> {
    let text = json!({ "to": to, "text": format!("what I wanted to say for the {step}th time") });
    Ok(Frame::new("say").json(&text)?.with_id(format!("{to}-{step}")))
}

fn cable(number: usize) -> String {
    format!("busy-{number}")
}

async fn read(mut messages: Messages) {
    while let Some(event) = messages.next().await {
        if let Event::Ended { .. } = event {
            break;
        }
    }
}

/// Cuts the networks of those who stay, one after the other; one is silent for longer than the
/// server waits.
async fn lose_networks(chat: SocketAddr) -> Result<(), Failed> {
    loop {
        for number in 1..ROOMS {
            sleep(STEP * 5).await;
            raw::post(chat, &format!("/network/{}/reset", cable(number))).await?;
        }
        let silent = cable(0);
        raw::post(chat, &format!("/network/{silent}/silence")).await?;
        sleep(Duration::from_secs(10)).await;
        raw::post(chat, &format!("/network/{silent}/restore")).await?;
    }
}

/// Asks for pages where there are none.
async fn knock(chat: SocketAddr) -> Result<(), Failed> {
    loop {
        sleep(STEP * 3).await;
        raw::ask_for_a_page(chat).await?;
    }
}
