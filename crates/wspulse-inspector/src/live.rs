//! What goes to open pages without being asked for: a room server of their own.

use std::sync::Arc;

use serde::Deserialize;
use wspulse::{ConfigError, Connection, Frame, Server, origin};

use crate::tail::Tails;
use crate::ticker::Ticker;

/// All pages are in this one.
pub(crate) const ROOM: &str = "pages";

/// What a page says: an id.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Makes the server of the pages.
pub(crate) fn server(
    inspected: &Server,
    shows_payloads: bool,
    pages_max: usize,
) -> Result<Server, ConfigError> {
    let ticker = Arc::new(Ticker::new(inspected.clone()));
    let tails = Arc::new(Tails::new(inspected.clone(), shows_payloads));
    let (of_gone, tails_of_gone) = (Arc::clone(&ticker), Arc::clone(&tails));
    Server::builder_without_connect()
        // A page of another origin has the cookies of whoever visits it.
        .check_origin(origin::same_origin())
        .max_connections(pages_max)
        .max_message_size(MESSAGE_BYTES_MAX)
        .on_connect(move |page| ticker.begin(page.server()))
        .on_message(move |page, frame| obey(&tails, &page, &frame))
        .on_disconnect(move |page, _| {
            tails_of_gone.end(&page);
            of_gone.end();
        })
        .build()
}

/// Whose tail a page wants.
#[derive(Deserialize)]
struct TailOf {
    id: String,
}

fn obey(tails: &Tails, page: &Connection, frame: &Frame) {
    match frame.event() {
        "tail" => {
            if let Ok(TailOf { id }) = frame.to_json() {
                tails.begin(page, &id);
            }
        }
        "no_tail" => tails.end(page),
        // A newer page's.
        _ => {}
    }
}
