//! Whose operator a node calls: the runtime's, a function's of the model, or somebody's library.

use crate::format::event::Sink;
use crate::format::protobuf::{Message, Value, int64};
use crate::rules::names::{Named, System, named};

use super::Violation;
use super::functions::{Functions, Name};

/// The most operator sets that a model imports: one for each domain, of which the exporters use
/// a dozen.
const IMPORTS: usize = 64;

/// The newest operator set of each domain whose operators are all in the table: up to that one, a
/// name that is not there is no operator of the domain, whatever its domain is called.
const COMPLETE: [(&[u8], i64); 5] = [
    (b"ai.onnx", 28),
    (b"ai.onnx.ml", 5),
    (b"ai.onnx.preview", 1),
    (b"ai.onnx.preview.training", 1),
    (b"ai.onnx.training", 1),
];

/// The default domain under the name that it also has (`onnx/common/constants.h`).
const DEFAULT: &[u8] = b"ai.onnx";

/// A domain under its one name.
pub(super) fn normal(domain: &[u8]) -> &[u8] {
    if domain.is_empty() { DEFAULT } else { domain }
}

/// The operator sets that a model or a function imports.
#[derive(Clone, Copy)]
pub(super) struct Imports<'a> {
    domains: [&'a [u8]; IMPORTS],
    versions: [i64; IMPORTS],
    count: usize,
}

impl<'a> Imports<'a> {
    /// Reads them from the fields of that number.
    pub(super) fn of(message: Message<'a>, number: u32, sink: Sink<'_>) -> Self {
        let mut imports = Self { domains: [&[]; IMPORTS], versions: [0; IMPORTS], count: 0 };
        for field in message.fields().map_while(Result::ok) {
            if let (true, Value::Bytes(import)) = (field.number == number, field.value) {
                imports.add(import, sink);
            }
        }
        imports
    }

    fn add(&mut self, import: Message<'a>, sink: Sink<'_>) {
        let mut domain: &[u8] = &[];
        let mut version = 0;
        for field in import.fields().map_while(Result::ok) {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => domain = text.bytes,
                (2, Value::Varint(number)) => version = int64(number),
                _ => {}
            }
        }
        let domain = normal(domain);
        let least = i64::from(named(System::Onnx, domain).is_some());
        let plausible = (least..=i64::from(i32::MAX)).contains(&version);
        // The same twice does no harm, and converters that merge models leave it so.
        let fits = match self.version(domain) {
            Some(before) => before == version,
            None => self.push(domain, version),
        };
        if !plausible || !fits {
            sink(Violation::Imports.at(import.offset, domain));
        }
    }

    /// Before IR version 3 there is one set, without being imported.
    pub(super) fn add_default(&mut self) {
        self.push(DEFAULT, 1);
    }

    fn push(&mut self, domain: &'a [u8], version: i64) -> bool {
        match (self.domains.get_mut(self.count), self.versions.get_mut(self.count)) {
            (Some(place), Some(number)) => {
                (*place, *number) = (domain, version);
                self.count = self.count.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn version(&self, domain: &[u8]) -> Option<i64> {
        let imports = self.domains.iter().zip(&self.versions).take(self.count);
        imports.into_iter().find(|(name, _)| **name == domain).map(|(_, &version)| version)
    }
}

/// Judges the operator of a node.
pub(super) fn judge(
    name: Name<'_>,
    imports: &Imports<'_>,
    functions: &mut Functions<'_>,
    offset: u64,
    sink: Sink<'_>,
) {
    let full = Joined::of(name.domain, name.operator);
    if imports.version(name.domain).is_none() {
        sink(Violation::ImportMissing.at(offset, full.bytes()));
    }
    if functions.has(&name) {
        // Its own nodes are judged where they stand.
        return;
    }
    let violation = match named(System::Onnx, full.bytes()) {
        Some(Named::Known(_)) => None,
        Some(Named::Dangerous(_)) => Some(Violation::OperatorDangerous),
        None => match named(System::Onnx, name.domain) {
            None | Some(Named::Dangerous(_)) => Some(Violation::DomainCustom),
            // A library may add operators to any domain, the default one included.
            Some(Named::Known(_)) if is_complete(name.domain, imports) => {
                Some(Violation::OperatorUnknown)
            }
            Some(Named::Known(_)) => None,
        },
    };
    if let Some(violation) = violation {
        sink(violation.at(offset, full.bytes()));
    }
}

/// Whether all operators are known that the domain has in the version that is imported.
fn is_complete(domain: &[u8], imports: &Imports<'_>) -> bool {
    let newest = COMPLETE.iter().find(|(name, _)| *name == domain).map(|&(_, newest)| newest);
    newest.zip(imports.version(domain)).is_some_and(|(newest, version)| version <= newest)
}

/// `domain::operator`, cut where it is longer than any name that is judged.
struct Joined {
    bytes: [u8; 256],
    length: usize,
}

impl Joined {
    fn of(domain: &[u8], operator: &[u8]) -> Self {
        let mut joined = Self { bytes: [0; 256], length: 0 };
        let all = domain.iter().chain(b"::").chain(operator);
        for (place, &byte) in joined.bytes.iter_mut().zip(all) {
            *place = byte;
            joined.length = joined.length.saturating_add(1);
        }
        joined
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
