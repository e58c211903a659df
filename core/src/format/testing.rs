//! What the tests of the readers share: what a reader says of bytes, as text.

extern crate std;

use std::format;
use std::string::String;
use std::vec::Vec;

use super::event::{Event, Sink};
use crate::limits::Limits;

/// The `read` of a reader.
pub(super) type Read = fn(&[u8], &Limits, Sink<'_>);

/// The ids of the anomalies.
pub(super) fn ids(read: Read, bytes: &[u8]) -> Vec<&'static str> {
    let mut ids = Vec::new();
    read(bytes, &Limits::DEFAULT, &mut |event| {
        if let Event::Anomaly(anomaly) = event {
            ids.push(anomaly.id);
        }
    });
    ids
}

/// The same, each with its subject.
pub(super) fn subjects(read: Read, bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    read(bytes, &Limits::DEFAULT, &mut |event| {
        if let Event::Anomaly(anomaly) = event {
            let subject = String::from_utf8_lossy(anomaly.subject);
            seen.push(format!("{} {subject}", anomaly.id));
        }
    });
    seen
}

/// The ids of the anomalies, and `+` with its length for each file that is handed back.
pub(super) fn members(read: Read, bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    read(bytes, &Limits::DEFAULT, &mut |event| match event {
        Event::Anomaly(anomaly) => seen.push(anomaly.id.into()),
        Event::Member { bytes, .. } => seen.push(format!("+{}", bytes.len())),
        _ => {}
    });
    seen
}
