//! Compressed messages.

use std::fs;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, RngExt};
use serde_json::{Value, json};
use wspulse_core::deflate::{Level, WindowBits, compress, inflate};

use crate::asked::{Other, dice};

const MESSAGES: usize = 4_000;

/// What the fuzzer's target has in front of a message.
const HEAD_BYTES: usize = 8;

#[test]
#[ignore = "it needs Python"]
fn the_zlib_of_python_inflates_alike() {
    compare(Other::Python("inflate.py"));
}

#[test]
#[ignore = "it needs Node"]
fn the_zlib_of_node_inflates_alike() {
    compare(Other::Node("inflate.mjs"));
}

fn compare(other: Other) {
    let mut dice = dice();
    let mut messages = corpus();
    messages.extend((0..MESSAGES).map(|_| message(&mut dice)));
    let limits: Vec<_> = messages.iter().map(|_| limit(&mut dice)).collect();
    let both = || messages.iter().zip(&limits);
    let questions: Vec<_> = both()
        .map(|(compressed, limit)| json!({ "compressed": compressed, "limit": limit }))
        .collect();
    let (mut inflated, mut refused) = (0, 0);
    for ((compressed, limit), theirs) in both().zip(other.answers(&questions)) {
        let mut ours = Vec::new();
        let ours = match inflate(compressed, *limit, &mut ours) {
            Ok(()) => json!(ours),
            Err(_) => Value::Null,
        };
        assert_eq!(ours, theirs, "{limit}: {compressed:?}");
        *(if ours.is_null() { &mut refused } else { &mut inflated }) += 1;
    }
    println!("{other:?}: {inflated} inflated, {refused} refused");
    assert!(inflated > MESSAGES / 10 && refused > MESSAGES / 10, "{inflated} {refused}");
}

/// What the fuzzer has kept.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/inflate");
    let files = fs::read_dir(folder).expect("a corpus");
    let inputs = files.map(|file| fs::read(file.expect("a file").path()).expect("readable"));
    inputs.filter_map(|input| input.get(HEAD_BYTES..).map(<[u8]>::to_vec)).collect()
}

fn limit(dice: &mut SmallRng) -> usize {
    if dice.random_ratio(1, 2) { 10_000 } else { dice.random_range(0..3_000) }
}

/// A compressed message, more often than not with something wrong in it.
fn message(dice: &mut SmallRng) -> Vec<u8> {
    let mut text = vec![0; dice.random_range(1..=300)];
    dice.fill_bytes(&mut text);
    let alphabet = dice.random_range(1..=255);
    for byte in &mut text {
        *byte %= alphabet;
    }
    let text = text.repeat(dice.random_range(1..=20));
    let window = WindowBits::new(dice.random_range(9..=15)).expect("a window");
    let level = Level::new(dice.random_range(1..=9));
    let mut message = compress(&text, window, level).unwrap_or(text);
    if dice.random_ratio(1, 4) {
        message.truncate(dice.random_range(0..=message.len()));
    }
    while !message.is_empty() && dice.random_ratio(1, 2) {
        let at = dice.random_range(0..message.len());
        message[at] ^= 1 << dice.random_range(0..8);
    }
    message
}
