//! A pickle of mixed plain data: a long list of records, as a cache or a log would hold them.
//!
//! A record is a dict of eleven keys: integers of every width, floats, lists of both, short
//! names, sentences (every sixteenth with letters beyond ASCII), tuples, a nested dict, `None`
//! and booleans, and strings that come from the memo. An instruction takes five bytes on
//! average. The mix was chosen once, before anything was measured.

use crate::pickler::{Pickler, Protocol};
use crate::random::Random;

const KEYS: [&str; 11] = [
    "id", "name", "note", "ratio", "counts", "weights", "shape", "pair", "flags", "parent", "tags",
];

const FLAGS: [&str; 3] = ["active", "hidden", "reviewed"];

const WORDS: [&str; 16] = [
    "layer",
    "attention",
    "norm",
    "weight",
    "bias",
    "running",
    "mean",
    "variance",
    "encoder",
    "decoder",
    "embedding",
    "token",
    "position",
    "output",
    "gate",
    "convolution",
];

/// A pickle of a little more than `size` bytes.
#[must_use]
pub fn pickle(protocol: Protocol, size: usize) -> Vec<u8> {
    let mut pickler = Pickler::new(protocol);
    let mut shared = Shared::default();
    let mut random = Random::new(0x5ec0_4e70);
    // The record count that fills the size is found by writing: a list's items are batched,
    // and its length is not written anywhere.
    let count = records_of(protocol, size);
    pickler.list(count, |pickler, index| {
        record(pickler, &mut random, &mut shared, index);
    });
    pickler.finish()
}

/// How many records fill `size` bytes, from the mean size of the first thousand.
fn records_of(protocol: Protocol, size: usize) -> usize {
    const SAMPLE: usize = 1_000;
    let mut pickler = Pickler::new(protocol);
    let mut shared = Shared::default();
    let mut random = Random::new(0x5ec0_4e70);
    pickler.list(SAMPLE, |pickler, index| {
        record(pickler, &mut random, &mut shared, index);
    });
    (size * SAMPLE).div_ceil(pickler.len())
}

/// The memo's numbers of strings that every record uses.
#[derive(Default)]
struct Shared {
    keys: [Option<u32>; KEYS.len()],
    flags: [Option<u32>; FLAGS.len()],
    words: [Option<u32>; WORDS.len()],
}

fn shared_text(pickler: &mut Pickler, slot: &mut Option<u32>, text: &str) {
    match *slot {
        Some(index) => pickler.get(index),
        None => *slot = Some(pickler.text(text)),
    }
}

fn record(pickler: &mut Pickler, random: &mut Random, shared: &mut Shared, number: usize) {
    pickler.dict(KEYS.len(), |pickler, index| {
        shared_text(pickler, &mut shared.keys[index], KEYS[index]);
        match index {
            0 => pickler.int(number as i64),
            1 => drop(pickler.text(&name(random))),
            2 => drop(pickler.text(&sentence(random))),
            3 => pickler.float(random.unit()),
            4 => {
                let count = random.below(24) as usize;
                pickler.list(count, |pickler, _| pickler.int(integer(random)));
            }
            5 => {
                let count = random.below(12) as usize;
                pickler.list(count, |pickler, _| pickler.float(random.unit() - 0.5));
            }
            6 => {
                let count = 1 + random.below(4) as usize;
                pickler.tuple(count, |pickler, _| pickler.int(random.below(2_048) as i64));
            }
            7 => drop(pickler.tuple(2, |pickler, item| match item {
                0 => drop(pickler.text(&name(random))),
                _ => pickler.float(random.unit()),
            })),
            8 => drop(pickler.dict(FLAGS.len(), |pickler, flag| {
                shared_text(pickler, &mut shared.flags[flag], FLAGS[flag]);
                pickler.bool(random.below(2) == 1);
            })),
            9 if random.below(4) == 0 => pickler.none(),
            9 => pickler.int(random.below(number as u64 + 1) as i64),
            _ => {
                let count = random.below(6) as usize;
                pickler.list(count, |pickler, _| {
                    let word = random.below(WORDS.len() as u64) as usize;
                    shared_text(pickler, &mut shared.words[word], WORDS[word]);
                });
            }
        }
    });
}

/// An integer whose width varies: one, two, four or eight bytes, of either sign.
fn integer(random: &mut Random) -> i64 {
    let bits = [7, 8, 8, 12, 16, 24, 31, 48][random.below(8) as usize];
    let magnitude = random.below(1 << bits) as i64;
    if random.below(8) == 0 { -magnitude } else { magnitude }
}

fn name(random: &mut Random) -> String {
    let word = WORDS[random.below(WORDS.len() as u64) as usize];
    format!("{word}.{}.{}", random.below(100), random.below(100_000))
}

fn sentence(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..2 + random.below(20) {
        text.push_str(WORDS[random.below(WORDS.len() as u64) as usize]);
        text.push(' ');
    }
    if random.below(16) == 0 {
        text.push_str("größer als üblich");
    }
    text
}
