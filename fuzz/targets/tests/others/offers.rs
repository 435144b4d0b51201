//! Offers of permessage-deflate.

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use wspulse_core::deflate::agree;

use crate::asked::{Other, dice};

const OFFERS: usize = 20_000;

#[test]
#[ignore = "it needs the Python library websockets"]
fn websockets_answers_offers_alike() {
    compare(Other::Python("offers.py"));
}

#[test]
#[ignore = "it needs the Node library ws"]
fn ws_answers_offers_alike() {
    compare(Other::Node("offers.mjs"));
}

fn compare(other: Other) {
    let mut dice = dice();
    let offers: Vec<_> = (0..OFFERS).map(|_| offers(&mut dice)).collect();
    let questions: Vec<_> = offers.iter().map(|offers| json!(offers)).collect();
    let mut alike = [0; 3];
    for (offers, mut theirs) in offers.iter().zip(other.answers(&questions)) {
        // They answer any window that is asked for.
        if theirs["window"].as_u64().is_some_and(|bits| (9..15).contains(&bits)) {
            theirs["window"] = json!(9);
        }
        let ours = answer(offers);
        if is_loose(offers) && theirs["is"] == "malformed" {
            continue;
        }
        assert_eq!(ours, theirs, "{offers:?}");
        let kinds = ["agreed", "declined", "malformed"];
        alike[kinds.iter().position(|kind| ours["is"] == *kind).expect("one of them")] += 1;
    }
    println!("{other:?}: {alike:?} agreed, declined and malformed");
    assert!(alike.iter().all(|alike| *alike > OFFERS / 50), "{alike:?}");
}

fn answer(offers: &str) -> Value {
    match agree([offers]) {
        Ok(Some(agreed)) => {
            let answer = agreed.to_string();
            let is_named = answer.contains("server_max_window_bits");
            let window = is_named.then(|| agreed.window().get());
            json!({ "is": "agreed", "window": window })
        }
        Ok(None) => json!({ "is": "declined" }),
        Err(_) => json!({ "is": "malformed" }),
    }
}

/// Whether it has what servers should take, and some do not: empty places of a list, and spaces around `=` or
/// around all of it.
fn is_loose(offers: &str) -> bool {
    let dense: String = offers.chars().filter(|c| !matches!(c, ' ' | '\t')).collect();
    let spaced = offers.replace('\t', " ");
    format!(",{dense},").contains(",,")
        || [" =", "= "].iter().any(|around| spaced.contains(around))
        || spaced.trim() != spaced
}

/// A list of what clients offer, and sometimes something wrong in it.
fn offers(dice: &mut SmallRng) -> String {
    let mut list: Vec<_> = (0..dice.random_range(1..=3)).map(|_| offer(dice)).collect();
    if dice.random_ratio(1, 20) {
        list.push(String::new());
    }
    let mut offers = list.join([",", ", ", " , "].choose(dice).expect("one"));
    while dice.random_ratio(1, 5) {
        let at = dice.random_range(0..=offers.len());
        let strange = [" ", "\t", ",", ";", "=", "\"", "\\", "0", "1", "x", "(", "\u{7f}"];
        if dice.random() || at == offers.len() {
            offers.insert_str(at, strange.choose(dice).expect("one"));
        } else {
            offers.remove(at);
        }
    }
    offers
}

fn offer(dice: &mut SmallRng) -> String {
    let names = [
        "permessage-deflate",
        "permessage-deflate",
        "permessage-deflate",
        "x-webkit-deflate-frame",
    ];
    let mut offer = (*names.choose(dice).expect("one")).to_owned();
    for _ in 0..dice.random_range(0..=3) {
        offer += [";", "; ", " ;"].choose(dice).expect("one");
        offer += &parameter(dice);
    }
    offer
}

fn parameter(dice: &mut SmallRng) -> String {
    let name = *[
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits",
        "client_max_window_bits",
        "client_max_window_bits",
        "unknown",
    ]
    .choose(dice)
    .expect("one");
    let has_value = dice.random_ratio(if name.ends_with("takeover") { 1 } else { 6 }, 8);
    if !has_value {
        return name.to_owned();
    }
    let bits = if dice.random_ratio(1, 6) {
        (*["0", "7", "16", "09", "+9", "1e1", "0xa", "a", "10.0"].choose(dice).expect("one"))
            .to_owned()
    } else {
        dice.random_range(8..=15).to_string()
    };
    match dice.random_range(0..6) {
        0 => format!("{name}=\"{bits}\""),
        1 => format!("{name}=\"\\{bits}\""),
        _ => format!("{name}={bits}"),
    }
}
